#!/usr/bin/env python3
"""Measure how cost grows with the log, from 10^3 to 10^7 entries: gas, seconds of an audit, its memory, bytes; exit 1
if an audit's memory is not flat.

Guarantees: one log grows from size to size, and at each one everything is measured on it: gas on a real Anvil with the
real council, the audit in a process of its own beside bare hashing of the same bytes, the database's size once its
write-ahead log is folded in, the file that proves one entry. What was not measured is marked as extrapolated. Opens
sockets on 127.0.0.1 only; removes what it wrote; ends by process id what it started.

    python scripts/bench_growth.py [--most 10000000] [--json FILE] [--svg FILE] [--markdown]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench_gas import Bench, running_anvil
from bench_growth_curve import REACH, Point, extrapolated, faults, from_json, table, to_json
from bench_growth_gas import Anchoring
from bench_log_sample import grow, opened

from agent_guard.log.bundle import to_bundle
from agent_guard.log.reading import prove
from agent_guard.store import SqliteReader

SMALLEST, LARGEST = 1_000, 10_000_000
BYTES_PER_ENTRY = 700
AUDIT = Path(__file__).with_name("bench_growth_audit.py")


def main() -> int:
    """Measures, shows and writes; 1 if an audit's memory is not flat."""
    given = _arguments()
    if given.shown:
        day, points = from_json(json.loads(given.shown.read_text("utf-8")))
    else:
        day, points = time.strftime("%-d %B %Y", time.gmtime()), list(_measured(given.folder, given.most))
    if points[-1].entries < LARGEST <= REACH * points[-1].entries:
        points.append(extrapolated(points, LARGEST))
    if given.json:
        given.json.write_text(json.dumps(to_json(day, points), indent=2) + "\n", "utf-8")
    if given.svg:
        from bench_growth_picture import draw

        given.svg.write_bytes(draw(points, f"How cost grows with the log, {day}"))
    print(table(points, markdown=given.markdown))
    found = faults(points)
    for fault in found:
        print(f"missed: {fault}", file=sys.stderr)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--most",
        type=int,
        default=LARGEST,
        help="entries of the longest log, 700 bytes of disk for each; the others have powers of ten",
    )
    parser.add_argument(
        "--folder", type=Path, help="where it grows (the system's folder for temporary files)"
    )
    parser.add_argument(
        "--from", dest="shown", type=Path, help="measure nothing, show what --json once wrote"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--svg", type=Path, help="where to write the picture (needs matplotlib)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    given = parser.parse_args()
    if given.most < 10 * SMALLEST:
        parser.error(f"--most is at least {10 * SMALLEST}: it takes two points to go on from")
    return given


def sizes(most: int) -> list[int]:
    """Powers of ten from the smallest size up, and `most`."""
    size, found = SMALLEST, []
    while size < most:
        found.append(size)
        size *= 10
    return [*found, most]


def _measured(folder: Path | None, most: int) -> Iterator[Point]:
    """A point for each size, from one log that grows."""
    with (
        tempfile.TemporaryDirectory(prefix="agent-guard-bench-", dir=folder) as name,
        running_anvil() as web3,
    ):
        _check_room(Path(name), most)
        anchoring, path = Anchoring(Bench(web3)), Path(name) / "log.sqlite"
        for size in sizes(most):
            yield _point(path, anchoring, size)


def _check_room(folder: Path, most: int) -> None:
    free, needed = shutil.disk_usage(folder).free, most * BYTES_PER_ENTRY
    if free < 2 * needed:
        raise SystemExit(
            f"A log of {most:,} entries takes {needed / 1e9:.1f} GB, which would be more than half of what is free in"
            f" {folder.parent}. Nothing was measured: name another --folder, or fewer entries with --most."
        )


def _point(path: Path, anchoring: Anchoring, size: int) -> Point:
    with closing(opened(path)) as store:
        _tell(f"appending up to {size:,} entries")
        grow(store, size)
        _tell(f"anchoring up to {size:,} entries")
        anchoring.to(store, size)
        at_once = anchoring.at_once()
    store_bytes = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    _tell(f"auditing {size:,} entries")
    audited = _audited(path, size)
    if bytes.fromhex(audited.pop("root")) != anchoring.head()[1]:
        raise SystemExit("the log that was audited is not the one that was anchored")
    _tell(f"proving an entry of {size:,}")
    with SqliteReader(path) as reader:
        proof = prove(reader, size // 3)
    return Point(
        entries=size,
        measured=True,
        gas=anchoring.gas,
        anchors=anchoring.count,
        gas_at_once=at_once,
        store_bytes=store_bytes,
        proof_bytes=len(to_bundle(proof).encode()),
        proof_hashes=len(proof.hashes),
        **audited,
    )


def _audited(path: Path, size: int) -> dict[str, Any]:
    """What bench_growth_audit.py says; short audits are repeated."""
    rounds = 1 if size > 1_000_000 else 3 if size > 100_000 else 5
    command = [sys.executable, str(AUDIT), str(path), str(size), str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def _tell(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
