#!/usr/bin/env python3
"""Measure the log beside the parts that it is made of: appending, acting over the socket, auditing, proving.

Guarantees: each figure is a ratio of two things measured in this one run, on this machine, by turns; the log's parts
are the product's own (store, recorder, gate, HTTP server, audit, tiles), the others are SQLite, hashlib and FastAPI as
they come. Opens Unix sockets only, is bounded in count, and ends by process id what it started.

    python scripts/bench_log.py [--entries 1000000] [--actions 4000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from bench_log_parts import Ratio, appending, auditing, growing, proving, socket_many, socket_one

ROUNDS = 5


def main() -> None:
    """Runs all of it, prints a table, and exits with 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=1_000_000, help="in the log that is audited")
    parser.add_argument("--actions", type=int, default=4_000, help="over the socket, in each round")
    parser.add_argument("--rows", type=int, default=65_536, help="appended, in each round")
    parser.add_argument("--only", default="", help="names of measurements, with commas between")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agent-guard-bench-") as name:
        ratios = []
        for ratio in _measure(Path(name), given):
            print(ratio, flush=True)
            ratios.append(ratio)
    if given.json:
        given.json.write_text(json.dumps([asdict(ratio) for ratio in ratios], indent=2) + "\n")
    if missed := [ratio.name for ratio in ratios if not ratio.met]:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
        raise SystemExit(1)


def _measure(folder: Path, given: argparse.Namespace) -> Iterator[Ratio]:
    measurements: dict[str, Callable[[], Iterator[Ratio]]] = {
        "append": lambda: appending(folder, given.rows, ROUNDS),
        "one": lambda: socket_one(folder, given.actions, ROUNDS),
        "many": lambda: socket_many(folder, given.actions, ROUNDS),
        "audit": lambda: auditing(folder, given.entries),
        "growth": lambda: growing(folder, given.entries),
        "prove": lambda: proving(folder, given.entries),
    }
    wanted = given.only.split(",") if given.only else measurements
    for name in wanted:
        print(f"measuring: {name}", file=sys.stderr)
        yield from measurements[name]()


if __name__ == "__main__":
    main()
