"""Counts per span of time, in a bounded number of equal spans: when they grow too many, neighbours are joined.

Guarantees: never more than `MOST` spans, whatever times come in whatever order; every count is kept. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

MOST = 120
# Each divides the next, so that spans can be joined; beyond a week they double.
_WIDTHS = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800)


@dataclass(slots=True)
class Bucket:
    """What happened in one span: intents, refusals (one that took back an intent is among both), all else."""

    actions: int = 0
    refusals: int = 0
    others: int = 0

    def take(self, other: "Bucket") -> None:
        self.actions += other.actions
        self.refusals += other.refusals
        self.others += other.others


@dataclass(slots=True)
class Buckets:
    """Spans of `width` seconds, by the unix second at which they begin; those in which nothing happened are absent."""

    width: int = 1
    spans: dict[int, Bucket] = field(default_factory=dict)

    def at(self, second: int) -> Bucket:
        """The span that holds a unix second."""
        start = second - second % self.width
        found = self.spans.get(start)
        if found is None:
            found = self.spans[start] = Bucket()
            if self._extent() > MOST:
                self._widen()
                return self.at(second)
        return found

    def __iter__(self) -> Iterator[tuple[int, Bucket]]:
        yield from sorted(self.spans.items())

    def _extent(self) -> int:
        return (max(self.spans) - min(self.spans)) // self.width + 1

    def _widen(self) -> None:
        while self._extent() > MOST:
            self.width = next((width for width in _WIDTHS if width > self.width), self.width * 2)
            joined: dict[int, Bucket] = {}
            for start, bucket in self.spans.items():
                joined.setdefault(start - start % self.width, Bucket()).take(bucket)
            self.spans = joined
