"""Which entries wait to be anchored, since when, and by which steps they go. Pure: time and events are handed in."""

from collections import deque
from dataclasses import dataclass

# Waiting entries whose times lie closer than this count as one, so that an outage costs no memory. Seconds.
GRAIN = 0.1


@dataclass(frozen=True, slots=True)
class AnchorPolicy:
    """When the log's head goes on chain: `entries` waiting or the oldest `seconds` old, whichever comes first.

    `leaves`: at most so many leaf hashes go into calldata around a critical entry (256 cost about 360,000 gas).
    `recheck`: seconds after which an idle log looks whether its last anchor still stands (a reorg may have undone it).
    `retry`, `retry_max`: seconds before the first and between the last repetitions of an attempt that failed.
    """

    entries: int = 256
    seconds: float = 10.0
    leaves: int = 256
    recheck: float = 60.0
    retry: float = 0.5
    retry_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction: extend the log on chain to `size`, by leaf hashes or by the roots of perfect subtrees."""

    size: int
    by_leaves: bool


class Backlog:
    """Entries from `anchored` to `size` - 1. Times are monotonic seconds. Not for several threads at once."""

    def __init__(self, policy: AnchorPolicy, size: int, anchored: int, oldest: float) -> None:
        self._policy = policy
        self.size = size
        self.anchored = anchored
        self._critical: int | None = None
        # (entries below this size, have been waiting since): sizes and times rise.
        self._waiting: deque[tuple[int, float]] = deque([(size, oldest)] if size > anchored else [])

    def grew(self, size: int, critical: int | None, now: float) -> None:
        """The log has `size` entries now; `critical` is the first that must go at once."""
        if self._waiting and now - self._waiting[-1][1] < GRAIN:
            self._waiting[-1] = (size, self._waiting[-1][1])
        else:
            self._waiting.append((size, now))
        self.size = max(self.size, size)
        if critical is not None and self._critical is None:
            self._critical = critical

    def stands_at(self, anchored: int, now: float) -> None:
        """The chain's head has this size. A smaller one than before means that a reorg undid an anchor."""
        if anchored < self.anchored:
            self._waiting.appendleft((self.anchored, now - self._policy.seconds))
        self.anchored = anchored
        while self._waiting and self._waiting[0][0] <= anchored:
            self._waiting.popleft()
        if self._critical is not None and self._critical < anchored:
            self._critical = None

    def due_at(self) -> float | None:
        """When the waiting entries go; None if there are none. A time that has passed means at once."""
        if not self._waiting:
            return None
        if self._critical is not None or self.size - self.anchored >= self._policy.entries:
            return float("-inf")
        return self._waiting[0][1] + self._policy.seconds

    def lag(self, now: float) -> tuple[int, float]:
        """Waiting entries, and the age of the oldest in seconds."""
        if not self._waiting:
            return 0, 0.0
        return self.size - self.anchored, max(0.0, now - self._waiting[0][1])

    def steps(self) -> list[Step]:
        """The transactions that anchor everything: a critical entry's hash, and its neighbours', stand in calldata."""
        start, end, most = self.anchored, self.size, self._policy.leaves
        if start >= end:
            return []
        if self._critical is None:
            return [Step(end, by_leaves=False)]
        first = self._critical if end - start > most else start
        middle = min(end, first + most)
        steps = [Step(first, False), Step(middle, True), Step(end, False)]
        return [
            step for step, before in zip(steps, [start, first, middle], strict=True) if step.size > before
        ]
