"""Did a stop come too late? Deaths against their halts, acts against the clocks, and what a dead agent still did.

What is found here can have an honest reason (a clock that is wrong, an anchor that was stuck, a request that was on its
way when the kill came), so it accuses nobody; but nothing in which it is found is verified. Bounded: keeps the first of
each kind, and of acts that may still be taken back `MOST_SUSPECTS`.
"""

from collections.abc import Sequence

from agent_guard.audit.facts import ChainFacts, Event
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.lives import Found
from agent_guard.audit.stops import NEVER, Stop
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind

MOST_SUSPECTS = 10_000
_INTENT, _START, _DECISION = Kind.INTENT, Kind.START, Kind.DECISION
_HALTS = frozenset({Event.HALTED, Event.RETIRED})


class Lateness:
    """Sees the audited agent's entries in order; `follow` only what begins and ends its lives."""

    def __init__(self, chain: ChainFacts, limits: LimitsInForce, stops: Sequence[Stop]) -> None:
        self._limits, self._stops = limits, stops
        self._stopped_from = min((stop.since for stop in stops), default=NEVER)
        self._halts = [happening.block for happening in chain.history if happening.event in _HALTS]
        self._alive: Entry | None = None
        self._dead: Entry | None = None
        self._dead_at = 0
        self._found = False
        self._death: str | None = None
        self._decision: str | None = None
        self._spoke: str | None = None
        self._suspects: dict[int, str] = {}

    @property
    def _limit(self) -> float:
        return self._limits.overrun_seconds

    @property
    def _late_from(self) -> float:
        """Unix seconds from which on an act may be late."""
        return self._stopped_from + self._limit

    def doubt(self) -> str | None:
        """Why obedience can't be verified; None if all stops came in time."""
        return self._death or self._decision or next(iter(self._suspects.values()), None) or self._spoke

    def take_back(self, intent: int) -> None:
        """The guard took this intent back: it was never allowed."""
        self._suspects.pop(intent, None)

    def see(self, entry: Entry, anchored_after: int) -> None:
        """Takes the agent's next entry, which was written after about this unix second."""
        kind = entry.kind
        if kind is _INTENT or kind is _START:
            if self._alive is None:  # it acts, whether or not a start is on record
                self._alive = entry
            if max(entry.time / 1000, anchored_after) > self._late_from and (
                why := self._by_the_clocks(entry, anchored_after)
            ):
                self._suspect(entry, why)
        elif kind is _DECISION and self._decision is None:
            self._see_decision(entry)
        if self._dead is not None:
            self._see_after_death(entry, self._dead)

    def fits(self, stretch: Stretch, anchored_after: int) -> bool:
        """Whether `see` would find nothing in any of its entries, and keep nothing of them."""
        return (
            self._alive is not None
            and self._dead is None
            and stretch.asked_until / 1000 <= self._late_from
            and anchored_after <= self._late_from
        )

    def follow(self, entry: Entry, found: Found | None = None) -> None:
        """Takes a start, an exit, or a death that the operator signed; `found`: that of a life which was found dead."""
        if entry.kind is Kind.START:
            self._alive, self._dead = entry, None
        elif entry.kind is Kind.EXIT:
            self._alive = None
        elif entry.kind is Kind.DEATH:
            self._dead, self._found = entry, found is not None
            self._dead_at = _dead_at(entry) if found is None else found.by
            if self._death is None and self._alive is not None:
                began = self._alive
                self._death = self._perhaps_too_late(found, began) if found else self._too_late(entry, began)
            self._alive = None

    def _too_late(self, death: Entry, started: Entry) -> str | None:
        """A halt that came in this life is answered by this death."""
        first, last = (entry.block.number if entry.block else 0 for entry in (started, death))
        halt = next((block for block in self._halts if first < block.number <= last), None)
        if halt is None:
            return None
        overrun = self._dead_at / 1000 - halt.timestamp
        if overrun <= self._limit:
            return None
        return (
            f"the death receipt in entry {death.index} came too late: nothing of the agent was left only"
            f" {overrun:.0f} s after the halt in block {halt.number} (limit: {self._limit:.0f} s)"
        )

    def _perhaps_too_late(self, found: Found, started: Entry) -> str | None:
        """As above, of a death whose moment nobody knows: by the chain's clock, for it may name an old block."""
        first = started.block.number if started.block else 0
        halt = next(
            (halt for halt in self._halts if first < halt.number and halt.timestamp * 1000 <= found.by), None
        )
        if halt is None:
            return None
        bound = found.by / 1000 - halt.timestamp
        if bound <= self._limit:
            return None
        return (
            f"{found.in_words()}; a halt came in block {halt.number}, and nothing shows that it was dead sooner than"
            f" {bound:.0f} s after it (limit: {self._limit:.0f} s)"
        )

    def _suspect(self, entry: Entry, why: str) -> None:
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.setdefault(entry.index, why)
        else:  # whatever is taken back later, these are too many
            self._spoke = (
                self._spoke or f"more than {MOST_SUSPECTS} acts came too late; the last of them: {why}"
            )

    def _by_the_clocks(self, entry: Entry, anchored_after: int) -> str | None:
        """Why an act on a block before a halt was long after it, by the guard's clock or the chain's."""
        number, clocks = entry.block.number if entry.block else 0, (entry.time / 1000, anchored_after)
        for time, clock in zip(clocks, ("its own time", "the time of the anchor before it"), strict=True):
            for stop in self._stops:
                if number < stop.start and stop.since + self._limit < time:
                    return (
                        f"entry {entry.index} acts on block {number}, but by {clock} {time - stop.since:.0f} s after"
                        f" {stop.why}: the guard named an old block, or its clock is wrong"
                    )
        return None

    def _see_decision(self, entry: Entry) -> None:
        number = entry.block.number if entry.block else 0
        stop = next((stop for stop in self._stops if stop.start <= number < stop.end), None)
        if stop is not None:
            self._decision = (
                f"entry {entry.index} decides on a request in block {number} after {stop.why}; whether it said yes"
                " is not public"
            )

    def _see_after_death(self, entry: Entry, dead: Entry) -> None:
        late = (entry.time - self._dead_at) / 1000
        if entry.kind is Kind.INTENT:
            self._suspect(entry, _outlived(entry, dead, late))
        elif entry.kind in (Kind.OUTCOME, Kind.DECISION) and (self._found or late > self._limit):
            self._spoke = self._spoke or _outlived(entry, dead, late)


def _outlived(entry: Entry, dead: Entry, late: float) -> str:
    return (
        f"entry {entry.index} ({entry.kind.value}) comes {late:.1f} s after the agent's death in entry {dead.index},"
        " and no start lies between them"
    )


def _dead_at(death: Entry) -> int:
    dead = death.meta.get("dead")
    return dead if type(dead) is int else death.time
