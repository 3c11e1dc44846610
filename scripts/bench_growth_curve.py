"""What was measured at each size of a growing log, what follows from it for sizes that were not, and as a table. Pure.

Guarantees: an extrapolated point says that it is one (`measured` is False), everywhere it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FLAT = 1.25
"""An audit's memory may be so many times that of an audit of `FLAT_FROM` entries, however long the log is."""
FLAT_FROM = 100_000
MOST_MIB = 300.0
REACH = 10
"""No farther than to so many times the longest log that was measured is anything extrapolated."""


@dataclass(frozen=True, slots=True)
class Point:
    """A log of so many entries (an action makes two: what was asked for, and what came of it).

    Args:
        gas, anchors: of all transactions that anchored it as a busy guard does, and how many those were.
        gas_at_once: of the one transaction that would anchor all of it.
        audit_seconds, hash_seconds: of one audit; of SHA-256 over the same bytes, and the tree over them.
        audit_mib: the most memory that the auditing process held.
        store_bytes: of the database, its write-ahead log folded in.
        proof_bytes, proof_hashes: of the file that proves one entry, and of the hashes in it.
    """

    entries: int
    measured: bool
    gas: float
    anchors: float
    gas_at_once: float
    audit_seconds: float
    hash_seconds: float
    audit_mib: float
    store_bytes: float
    proof_bytes: float
    proof_hashes: float

    @property
    def gas_per_entry(self) -> float:
        return self.gas / self.entries

    @property
    def gas_at_once_per_entry(self) -> float:
        return self.gas_at_once / self.entries

    @property
    def audit_ratio(self) -> float:
        """Times the bare hashing."""
        return self.audit_seconds / self.hash_seconds


_BY_DOUBLING = ("gas_at_once", "proof_bytes", "proof_hashes")
"""What grows by about as much each time that the log's length doubles; everything else grows with every entry."""


def extrapolated(points: Sequence[Point], entries: int) -> Point:
    """The point at `entries`, on the straight line through the last two measured ones (for some over log(entries)).
    Nothing shrinks: where that line falls, the last value stands.

    Raises:
        ValueError: fewer than two points, or it would not lie beyond them, or farther than `REACH`.
    """
    measured = [point for point in points if point.measured]
    if len(measured) < 2 or not measured[-1].entries < entries <= REACH * measured[-1].entries:
        raise ValueError("only what lies beyond two measured points, and not far, can be extrapolated")
    first, last = measured[-2:]
    values = {
        name: _line(first, last, name, entries, math.log2 if name in _BY_DOUBLING else float)
        for name in asdict(last)
        if name not in ("entries", "measured")
    }
    return Point(entries=entries, measured=False, **values)


def _line(first: Point, last: Point, name: str, entries: int, scale: Callable[[int], float]) -> float:
    left, right, at = scale(first.entries), scale(last.entries), scale(entries)
    before, value = float(getattr(first, name)), float(getattr(last, name))
    return value + max(0.0, value - before) * (at - right) / (right - left)


def faults(points: Sequence[Point]) -> list[str]:
    """What of an audit's memory is not as it must be, in words; judges by what was measured alone."""
    measured = [point for point in points if point.measured]
    if not measured:
        return ["nothing was measured"]
    found = [
        f"the audit of {point.entries:,} entries took {point.audit_mib:.0f} MiB (wanted: less than {MOST_MIB:.0f})"
        for point in measured
        if point.audit_mib >= MOST_MIB
    ]
    base = next((point for point in measured if point.entries == FLAT_FROM), None)
    longer = [point for point in measured if point.entries > FLAT_FROM]
    if base is None or not longer:
        return [*found, f"nothing beyond {FLAT_FROM:,} entries was measured, so memory can't be called flat"]
    worst = max(longer, key=lambda point: point.audit_mib)
    if worst.audit_mib > FLAT * base.audit_mib:
        found.append(
            f"the audit of {worst.entries:,} entries took {worst.audit_mib / base.audit_mib:.2f} times the memory of"
            f" that of {FLAT_FROM:,} (wanted: at most {FLAT:g})"
        )
    return found


def to_json(day: str, points: Sequence[Point]) -> dict[str, Any]:
    """As an object for a file; `day` of the measurement, as people write it."""
    return {"day": day, "points": [asdict(point) for point in points]}


def from_json(value: Mapping[str, Any]) -> tuple[str, list[Point]]:
    """What `to_json` was given, without what was extrapolated. `TypeError` or `KeyError` for another object."""
    points = [Point(**point) for point in value["points"]]
    return str(value["day"]), [point for point in points if point.measured]


# -------------------------------------------------------------------------------------------------------------- table

_COLUMNS: tuple[tuple[str, Callable[[Point], str]], ...] = (
    ("entries", lambda point: f"{point.entries:,}" + ("" if point.measured else " (extrapolated)")),
    ("gas per entry, anchored by 256", lambda point: f"{point.gas_per_entry:,.1f}"),
    ("anchored at once", lambda point: significant(point.gas_at_once_per_entry)),
    ("audit", lambda point: f"{significant(point.audit_seconds)} s"),
    ("bare hashing", lambda point: f"{significant(point.hash_seconds)} s"),
    ("ratio", lambda point: f"{point.audit_ratio:.1f}"),
    ("audit's memory", lambda point: f"{point.audit_mib:.0f} MiB"),
    ("store", lambda point: amount(point.store_bytes)),
    ("per entry", lambda point: f"{point.store_bytes / point.entries:,.0f} B"),
    ("one proof", lambda point: f"{point.proof_bytes:,.0f} B"),
    ("hashes in it", lambda point: f"{point.proof_hashes:.0f}"),
)


def table(points: Sequence[Point], *, markdown: bool = False) -> str:
    """A line for each point, under the columns' names."""
    cells = [[name for name, _ in _COLUMNS]] + [[cell(point) for _, cell in _COLUMNS] for point in points]
    if markdown:
        cells.insert(1, ["---", *("---:" for _ in _COLUMNS[1:])])
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells
    )


def significant(value: float) -> str:
    """Three significant digits, written out."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def amount(size: float) -> str:
    """Bytes in the decimal unit that suits them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{significant(size / factor)} {unit}"
    return f"{size:.0f} B"
