"""Was the guard silent, or its clock wrong? From when its log was anchored, and the times that its entries bear.

A guard that can't anchor must stop allowing actions once the oldest waiting entry is `silence_seconds` old. So between
two anchors no action may be younger than the first entry there by more than that. (A start may: a guard that comes back
records it before it anchors what its predecessor left.) And an entry was written before the block that anchored it: one
that bears a later time comes from a clock that is ahead.

Guarantees: judges only where the node gave every anchor, each beginning where the one before ended. A clock that goes
back is no proof of anything; it is said. Memory does not grow with the log.
"""

from collections.abc import Sequence

from agent_guard.audit.facts import ChainFacts, Extension
from agent_guard.audit.limits import AuditLimits
from agent_guard.entry import Entry, Kind

CLOCK_SECONDS = 60.0
"""How far the guard's clock and the chain's may differ, as long as nobody wonders."""


class Silence:
    """Sees every entry of the log in order."""

    def __init__(self, chain: ChainFacts, limits: AuditLimits) -> None:
        self._chain, self._limits = chain, limits
        self._anchors = _unbroken(chain)
        self._at = 0
        self._oldest: Entry | None = None
        self._newest_time = 0
        self._back: tuple[int, float] | None = None
        self._alive = False
        self._silent: str | None = None
        self._ahead: str | None = None
        self.anchored_after = 0
        """Unix seconds of the last anchor that does not cover the entry seen last: it was written after about then."""

    @property
    def known(self) -> bool:
        """Whether it is known when each entry was anchored."""
        return bool(self._anchors)

    def see(self, entry: Entry, of_agent: bool) -> None:
        """Takes the log's next entry; `of_agent`: it is the audited agent's."""
        self._pass_anchors(entry)
        self._follow_clock(entry)
        if of_agent and entry.kind is Kind.INTENT:
            self._judge(entry)
        if of_agent and entry.kind in (Kind.START, Kind.EXIT, Kind.DEATH):
            self._alive = entry.kind is Kind.START

    def doubt(self) -> str | None:
        """Why completeness can't be verified; None if the guard was heard as often as it must be."""
        return self._silent or self._ahead

    def remarks(self) -> list[str]:
        """What a reader should know, and what proves nothing."""
        said = []
        if self._back is not None:
            index, seconds = self._back
            said.append(f"at entry {index} the guard's clock went back by {seconds:.0f} s")
        quiet = self._chain.as_of.timestamp - self._newest_time / 1000
        if self._alive and quiet > self._limits.silence_seconds:
            said.append(
                f"the agent is alive by the log, whose last word is {quiet:.0f} s older than the chain's block: an idle"
                " agent and a guard that is gone look alike"
            )
        return said

    def _pass_anchors(self, entry: Entry) -> None:
        while self._at < len(self._anchors) and entry.index >= self._anchors[self._at].new_size:
            self.anchored_after = self._anchors[self._at].block.timestamp
            self._at += 1
            self._oldest = None
        if self._oldest is None:
            self._oldest = entry

    def _follow_clock(self, entry: Entry) -> None:
        back = (self._newest_time - entry.time) / 1000
        if back > CLOCK_SECONDS and (self._back is None or back > self._back[1]):
            self._back = (entry.index, back)
        self._newest_time = max(self._newest_time, entry.time)
        if self._ahead is None and self._at < len(self._anchors):
            block = self._anchors[self._at].block
            ahead = entry.time / 1000 - block.timestamp
            if ahead > CLOCK_SECONDS:
                self._ahead = (
                    f"entry {entry.index} bears a time {ahead:.0f} s after block {block.number}, which anchored it: the"
                    " guard's clock was ahead, so that no time of its own can be relied on"
                )

    def _judge(self, entry: Entry) -> None:
        oldest = self._oldest
        if self._silent is not None or not self.known or oldest is None:
            return
        waited = (entry.time - oldest.time) / 1000
        if waited > self._limits.silence_seconds + CLOCK_SECONDS:
            self._silent = (
                f"the guard was silent: entry {entry.index} lets the agent act while entry {oldest.index},"
                f" {waited:.0f} s older, was not anchored yet (limit: {self._limits.silence_seconds:.0f} s)"
            )


def _unbroken(chain: ChainFacts) -> Sequence[Extension]:
    """All anchors, if each begins where the one before ended and the last is the head; else none."""
    size = 0
    for extension in chain.extensions:
        if extension.old_size != size:
            return ()
        size = extension.new_size
    return chain.extensions if size == chain.head.size else ()
