"""The agent's lives by its log: from a start, or an act without one, to an exit or a death; and did each end in time?

An end is the guard's word. Against that stand the chain's clocks: an end that was written, or anchored, long after the
halt that it answers (or the grace of a lease that nobody renewed) is not known to have come in time, whatever time it
bears; nor can the agent have ended before its last act, or after the end was written. All of it can have an honest
reason (an anchor that was stuck, a clock that is wrong), so it accuses nobody; but nothing in which it is found is
verified. Memory does not grow with the log.
"""

from dataclasses import dataclass

from agent_guard.audit.facts import ChainFacts, Event, Written
from agent_guard.audit.found import Found, finding
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.silence import CLOCK_SECONDS
from agent_guard.audit.stretch import Stretch
from agent_guard.audit.tenure import handovers
from agent_guard.entry import Entry, Kind
from agent_guard.typed_data.death import is_found_dead

_HALTS = frozenset({Event.HALTED, Event.RETIRED})


@dataclass(frozen=True, slots=True)
class _Kill:
    """What is to end a life: from block `number` on whoever acts has heard of it; `due` in unix seconds."""

    number: int
    due: int
    what: str


def _kills(chain: ChainFacts) -> list[_Kill]:
    """All of them, the earliest due first."""
    halts = [happening.block for happening in chain.history if happening.event in _HALTS]
    found = [_Kill(block.number, block.timestamp, f"the halt in block {block.number}") for block in halts]
    for lapse in chain.lapses:
        if lapse.fatal is not None:
            what = f"the grace of the lease that had run out in block {lapse.block.number}"
            found.append(_Kill(lapse.block.number, lapse.fatal, what))
    for away in handovers(chain):
        found.append(_Kill(away.start, away.since, f"the change of its operator in block {away.start}"))
    return sorted(found, key=lambda kill: kill.due)


class Lives:
    """Sees the audited agent's acts in order; `follow` what begins and ends its lives."""

    def __init__(self, chain: ChainFacts, limits: LimitsInForce) -> None:
        self._limits = limits
        self._kills = _kills(chain)
        self._left: Entry | None = None
        self._acted_ms = 0
        self._last: tuple[int, int] | None = None
        self._doubt: str | None = None
        self._condemned: Entry | None = None
        self.alive: Entry | None = None
        """What began the life that is open."""
        self.dead: Entry | None = None
        """The death after which nothing began."""
        self.dead_at = 0
        """When that was, unix ms, by the receipt; or, of a life that was found dead, by when."""
        self.found: Found | None = None
        """The newest life that was found dead."""
        self.odd: str | None = None
        """What is wrong with the first record of a finding that ends no life."""

    def doubt(self) -> str | None:
        """Why it is not known that every life ended in time; None if it is."""
        return self._doubt or self._spared()

    @property
    def was_found(self) -> bool:
        """Whether the death after which nothing began is one that was found."""
        return self.found is not None and self.dead is not None and self.found.index == self.dead.index

    def act(self, entry: Entry, written: Written) -> None:
        """Takes an intent or a start: who acts is alive, whether or not a start is on record."""
        if self.alive is None and self.dead is None and not self._was_under_way(entry, written):
            self.alive = entry
        self._acted_ms = max(self._acted_ms, entry.time, written.after * 1000)
        if entry.kind is Kind.INTENT:
            self._remember(entry.index, entry.time)

    def take(self, stretch: Stretch, written: Written) -> None:
        """As `act` for each of its intents, while a life is open."""
        if stretch.intents:
            self._acted_ms = max(self._acted_ms, stretch.asked_until, written.after * 1000)
            self._remember(max(stretch.intents), stretch.asked_until)

    def take_back(self, intent: int) -> None:
        """The guard took this intent back: no life began with it."""
        if self.alive is not None and self.alive.index == intent:
            self.alive = None

    def follow(self, entry: Entry, written: Written) -> None:
        """Takes a start, an exit, a verdict to kill, or a death that the operator signed."""
        if entry.kind is Kind.HALT:
            self._condemned = self._condemned or entry
        elif entry.kind is Kind.START:
            self._doubt, self._condemned = self._doubt or self._spared(), None
            self.alive, self.dead, self._left, self._last = entry, None, None, None
            self._acted_ms = max(entry.time, written.after * 1000)
        elif entry.kind is Kind.EXIT:
            self._end(entry, entry.time, written)
            self._left = entry
        elif entry.kind is Kind.DEATH and is_found_dead(entry.meta):
            self._find(entry, written)
        elif entry.kind is Kind.DEATH:
            self.dead, self.dead_at = entry, _dead_at(entry)
            self._condemned = None
            self._end(entry, self.dead_at, written)

    def _find(self, entry: Entry, written: Written) -> None:
        found = finding(entry, self.alive, self._last, written)
        if isinstance(found, str):
            self.odd = self.odd or found
            return
        self._doubt = self._doubt or self._spared_until(found)
        self.found, self.dead, self.dead_at, self._condemned = found, entry, found.by, None
        self._end(entry, found.by, written)

    def _remember(self, index: int, time: int) -> None:
        self._last = index, max(time, self._last[1] if self._last else 0)

    def _was_under_way(self, entry: Entry, written: Written) -> bool:
        """Whether a request may have been on its way when the agent left."""
        if self._left is None or entry.kind is Kind.START:
            return False
        return max(entry.time / 1000, written.after) - self._left.time / 1000 <= self._limits.overrun_seconds

    def _spared(self) -> str | None:
        """A verdict of the guard's own that no death followed; ballots handed to it leave no other trace."""
        if self._condemned is None:
            return None
        return f"the guard's verdict to kill in entry {self._condemned.index} has no death receipt"

    def _spared_until(self, found: Found) -> str | None:
        """A verdict of the guard's own, and nothing that shows a death in time."""
        if self._condemned is None:
            return None
        limit, waited = self._limits.overrun_seconds, (found.by - self._condemned.time) / 1000
        if waited <= limit:
            return None
        return (
            f"{found.in_words()}; the guard's verdict to kill stands in entry {self._condemned.index}, and nothing"
            f" shows that it was dead sooner than {waited:.0f} s after it (limit: {limit:.0f} s)"
        )

    def _end(self, end: Entry, at: int, written: Written) -> None:
        self._doubt = self._doubt or _written_before(end, at, written)
        if self._doubt is None and self.alive is not None:
            self._doubt = self._too_early(end, at) or self._too_late(end, at, written, self.alive)
        self.alive = None

    def _too_early(self, end: Entry, at: int) -> str | None:
        early = (self._acted_ms - at) / 1000
        # Its last request may have been on its way for a while.
        if early <= self._limits.overrun_seconds + CLOCK_SECONDS:
            return None
        return f"{_named(end)} says that the agent ended {early:.0f} s before its last act"

    def _too_late(self, end: Entry, at: int, written: Written, began: Entry) -> str | None:
        """A halt that came in this life is answered by this end, whatever block that names."""
        first = began.block.number if began.block else 0
        kill = next((kill for kill in self._kills if first < kill.number), None)
        if kill is None:
            return None
        limit = self._limits.overrun_seconds
        if (overrun := at / 1000 - kill.due) <= limit:
            return self._too_late_by_the_chain(end, written, kill)
        if self.found is not None and self.found.index == end.index:
            return (
                f"{self.found.in_words()}; nothing shows that it was dead sooner than {overrun:.0f} s after {kill.what}"
                f" (limit: {limit:.0f} s)"
            )
        return (
            f"{_named(end)} came too late: nothing of the agent was left only {overrun:.0f} s after {kill.what}"
            f" (limit: {limit:.0f} s)"
        )

    def _too_late_by_the_chain(self, end: Entry, written: Written, kill: _Kill) -> str | None:
        limit = self._limits.overrun_seconds
        if (wrote := written.after - kill.due) > limit:
            return (
                f"{_named(end)} was written {wrote} s or more after {kill.what}, by the time of the anchor before it"
                f" (limit: {limit:.0f} s); that the agent had ended by then is the guard's word alone"
            )
        limit += self._limits.silence_seconds
        if written.by is not None and (anchored := written.by.timestamp - kill.due) > limit:
            return (
                f"{_named(end)} was not anchored before {anchored} s after {kill.what} (limit: {limit:.0f} s); when the"
                " agent ended is the guard's word alone"
            )
        return None


def _named(end: Entry) -> str:
    return f"the {'death receipt' if end.kind is Kind.DEATH else 'exit'} in entry {end.index}"


def _written_before(end: Entry, at: int, written: Written) -> str | None:
    """Why an end can't be one that had come (`at`, unix ms) when it was written."""
    early = at / 1000 - max(end.time / 1000, written.after)
    if early <= CLOCK_SECONDS:
        return None
    return f"{_named(end)} says that the agent ended {early:.0f} s after it was written"


def _dead_at(death: Entry) -> int:
    dead = death.meta.get("dead")
    return dead if type(dead) is int else death.time
