"""Was the guard silent, or its clock wrong? From when its log was anchored, and the times that its entries bear.

A guard that can't anchor must stop allowing actions once the oldest waiting entry is `silence_seconds` old. So between
two anchors no action may be younger than the oldest entry there by more than that. (A start may: a guard that comes
back records it before it anchors what its predecessor left.) And an entry was written before the block that anchored
it: one that bears a later time comes from a clock that is ahead.

Guarantees: judges only where the node gave every anchor, each beginning where the one before ended. A clock that goes
back is no proof of anything; it is said. Memory does not grow with the log.
"""

from collections.abc import Sequence
from math import inf

from agent_guard.audit.facts import ChainFacts, Extension, Written
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind

_INTENT, _START, _EXIT, _DEATH, _CONFIG = Kind.INTENT, Kind.START, Kind.EXIT, Kind.DEATH, Kind.CONFIG
CLOCK_SECONDS = 60.0
"""How far the guard's clock and the chain's may differ, as long as nobody wonders."""
_CLOCK_MS = CLOCK_SECONDS * 1000


class Silence:
    """Sees every entry of the log in order. `limits` has seen an entry before this does."""

    def __init__(self, chain: ChainFacts, limits: LimitsInForce) -> None:
        self._chain, self._limits = chain, limits
        self._anchors = unbroken(chain)
        self._wait_ms = _wait_ms(limits)
        self._at = -1
        self._segment_end: float = 0  # all three are of the anchor that covers the entry seen last
        self._latest_ms = inf
        self._oldest: tuple[int, int] | None = None  # index and time
        self._newest_ms = 0
        self._back: tuple[int, float] | None = None
        self._alive = False
        self._silent: str | None = None
        self._ahead: str | None = None
        self.written = Written()
        """When the entry seen last was written, by the anchors before and after it."""

    def see(self, entry: Entry, of_agent: bool) -> None:
        """Takes the log's next entry; `of_agent`: it is the audited agent's. Flat, for it sees every entry there is."""
        time = entry.time
        self.go_on_to(entry.index, time)
        if time > self._latest_ms and self._ahead is None:
            self._ahead = self._too_young(entry)
        if time > self._newest_ms:
            self._newest_ms = time
        elif self._newest_ms - time > _CLOCK_MS:
            self._goes_back(entry)
        if self._oldest is not None and time < self._oldest[1]:
            self._oldest = (entry.index, time)
        if of_agent:
            kind = entry.kind
            if kind is _INTENT:
                if self._oldest is not None and time - self._oldest[1] > self._wait_ms:
                    self._silent = self._silent or self._was_silent(entry, *self._oldest)
            elif kind is _START:
                self._alive = True
            elif kind is _CONFIG:
                self._wait_ms = _wait_ms(self._limits)
            elif kind is _EXIT or kind is _DEATH:
                self._alive = False

    def go_on_to(self, index: int, time: int) -> None:
        """Goes on to the anchor that covers the log's next entry, if there is one. Asked for it twice, stays there."""
        if index < self._segment_end:
            return
        while self._at < len(self._anchors) and index >= self._segment_end:
            before = self._anchors[self._at].block.timestamp if self._at >= 0 else 0
            self._at += 1
            ended = self._at == len(self._anchors)
            self._segment_end = inf if ended else self._anchors[self._at].new_size
        covered = self._at < len(self._anchors)
        if self._anchors:
            by = self._anchors[self._at].block if covered else self._chain.as_of
            self.written = Written(before, by)
        self._latest_ms = (self._anchors[self._at].block.timestamp + CLOCK_SECONDS) * 1000 if covered else inf
        self._oldest = (index, time) if self._anchors else None

    def fits(self, stretch: Stretch) -> bool:
        """Whether `see` would find nothing in any of its entries: all under one anchor, no clock and no wait amiss."""
        waited, before = self._oldest, self._newest_ms
        newest = before if stretch.ordered else max(before, stretch.latest)
        return (
            stretch.end <= self._segment_end
            and stretch.latest <= self._latest_ms
            and newest - stretch.earliest <= _CLOCK_MS
            and (
                waited is None
                or (waited[1] <= stretch.earliest and stretch.asked_until - waited[1] <= self._wait_ms)
            )
        )

    def take(self, stretch: Stretch) -> None:
        """As `see` for each of its entries, which `fits` was asked about."""
        self._newest_ms = max(self._newest_ms, stretch.latest)

    def doubt(self) -> str | None:
        """Why completeness can't be verified; None if the guard was heard as often as it must be."""
        return self._silent or self._ahead

    def remarks(self) -> list[str]:
        """What a reader should know, and what proves nothing."""
        said = []
        if self._chain.head.size and not self._anchors:
            said.append(
                "the node did not give every anchor, so that the guard's times were held against none"
            )
        if self._back is not None:
            index, seconds = self._back
            said.append(f"at entry {index} the guard's clock went back by {seconds:.0f} s")
        quiet = self._chain.as_of.timestamp - self._newest_ms / 1000
        if self._alive and quiet > self._limits.silence_seconds:
            said.append(
                f"the agent is alive by the log, whose last word is {quiet:.0f} s older than the chain's block: an idle"
                " agent and a guard that is gone look alike"
            )
        return said

    def _goes_back(self, entry: Entry) -> None:
        back = (self._newest_ms - entry.time) / 1000
        if self._back is None or back > self._back[1]:
            self._back = (entry.index, back)

    def _too_young(self, entry: Entry) -> str:
        block = self._anchors[self._at].block
        return (
            f"entry {entry.index} bears a time {entry.time / 1000 - block.timestamp:.0f} s after block {block.number},"
            " which anchored it: the guard's clock was ahead, so that no time of its own can be relied on"
        )

    def _was_silent(self, entry: Entry, oldest: int, since: int) -> str:
        waited = (entry.time - since) / 1000
        return (
            f"the guard was silent: entry {entry.index} lets the agent act while entry {oldest}, {waited:.0f} s"
            f" older, was not anchored yet (limit: {self._limits.silence_seconds:.0f} s)"
        )


def _wait_ms(limits: LimitsInForce) -> float:
    return (limits.silence_seconds + CLOCK_SECONDS) * 1000


def unbroken(chain: ChainFacts) -> Sequence[Extension]:
    """All anchors, if each begins where the one before ended and the last is the head; else none."""
    size = 0
    for extension in chain.extensions:
        if extension.old_size != size:
            return ()
        size = extension.new_size
    return chain.extensions if size == chain.head.size else ()
