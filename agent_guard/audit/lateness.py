"""Did an act come too late? Acts against the clocks and the anchors, and what a dead agent still did.

What is found here can have an honest reason (a clock that is wrong, an anchor that was stuck, a request that was on its
way when the kill came), so it accuses nobody; but nothing in which it is found is verified. Bounded: keeps the first of
each kind, and of acts that may still be taken back `MOST_SUSPECTS`.
"""

from collections.abc import Sequence

from agent_guard.audit.facts import ChainFacts, Written
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.lives import Lives
from agent_guard.audit.stops import NEVER, Pause, Stop
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind

MOST_SUSPECTS = 10_000
LAG_BLOCKS = 1_000
"""How far the node that was asked may be behind the guard's, for entries that are not anchored."""
_INTENT, _START, _DECISION = Kind.INTENT, Kind.START, Kind.DECISION
_DATED = frozenset({_INTENT, _START, _DECISION, Kind.DEATH})
"""Kinds that are judged by the block they name."""


class Lateness:
    """Sees the audited agent's entries in order; `follow` only what begins and ends its lives."""

    def __init__(
        self, chain: ChainFacts, limits: LimitsInForce, stops: Sequence[Stop], pauses: Sequence[Pause] = ()
    ) -> None:
        self._limits, self._stops = limits, stops
        # Who had read no newer block than this one for so long was not to act, whatever became of the stop since.
        self._begun = [(stop.start, stop.since, stop.why) for stop in stops]
        self._begun += [(pause.block.number, pause.block.timestamp, pause.why) for pause in pauses]
        self._stopped_from = min((since for _, since, _ in self._begun), default=NEVER)
        self._newest = chain.as_of.number + LAG_BLOCKS
        self._lives = Lives(chain, limits)
        self._decision: str | None = None
        self._ahead: str | None = None
        self._spoke: str | None = None
        self._suspects: dict[int, str] = {}

    @property
    def lives(self) -> Lives:
        """The agent's lives, as far as its entries were seen."""
        return self._lives

    def doubt(self) -> str | None:
        """Why obedience can't be verified; None if all stops came in time."""
        return (
            self._decision
            or next(iter(self._suspects.values()), None)
            or self._lives.doubt()
            or self._spoke
            or self._ahead
        )

    def take_back(self, intent: int) -> None:
        """The guard took this intent back: it was never allowed."""
        self._suspects.pop(intent, None)
        self._lives.take_back(intent)

    def see(self, entry: Entry, written: Written) -> None:
        """Takes the agent's next entry."""
        kind, dead = entry.kind, self._lives.dead
        if kind is _INTENT or kind is _START:
            self._lives.act(entry, written)
            if why := self._by_the_clocks(entry, written, "acts"):
                self._suspect(entry, why)
        elif kind is _DECISION and self._decision is None:
            self._decision = self._decided_late(entry, written)
        if kind in _DATED and self._ahead is None and entry.block:
            self._ahead = self._from_the_future(entry, entry.block.number, written)
        if dead is not None:
            self._see_after_death(entry, dead)

    def take(self, stretch: Stretch, written: Written) -> None:
        """As `see` for each of its entries, which `fits` was asked about."""
        self._lives.take(stretch, written)

    def fits(self, stretch: Stretch, written: Written) -> bool:
        """Whether `see` would find nothing in any of its entries, and keep nothing of them."""
        return (
            self._lives.alive is not None
            and self._lives.dead is None
            and not self._is_late(min(stretch.blocks, default=NEVER), stretch.asked_until, written)
            and max(stretch.blocks, default=0) <= self._last_block(written)
        )

    def follow(self, entry: Entry, written: Written) -> None:
        """Takes a start, an exit, a verdict to kill, or a death that the operator signed."""
        self._lives.follow(entry, written)

    def _is_late(self, number: int, time: int, written: Written) -> bool:
        """Whether an act on this block came, by either clock, long after a stop that began later."""
        late = max(time / 1000, written.after) - self._limits.overrun_seconds
        return late > self._stopped_from and any(
            number < start and since < late for start, since, _ in self._begun
        )

    def _suspect(self, entry: Entry, why: str) -> None:
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.setdefault(entry.index, why)
        else:  # whatever is taken back later, these are too many
            self._spoke = (
                self._spoke or f"more than {MOST_SUSPECTS} acts came too late; the last of them: {why}"
            )

    def _by_the_clocks(self, entry: Entry, written: Written, does: str) -> str | None:
        """Why an act on a block before a halt was long after it, by the guard's clock or the chain's."""
        number, clocks = entry.block.number if entry.block else 0, (entry.time / 1000, written.after)
        if not self._is_late(number, entry.time, written):
            return None
        for time, clock in zip(clocks, ("its own time", "the time of the anchor before it"), strict=True):
            for start, since, why in self._begun:
                if number < start and since + self._limits.overrun_seconds < time:
                    return (
                        f"entry {entry.index} {does} on block {number}, but by {clock} {time - since:.0f} s after"
                        f" {why}: the guard named an old block, or its clock is wrong"
                    )
        return None

    def _last_block(self, written: Written) -> int:
        """The highest block that an entry can have read: it was there when that of its anchor was made."""
        is_anchored = written.by is not None and written.by.number < self._newest - LAG_BLOCKS
        return written.by.number if written.by and is_anchored else self._newest

    def _from_the_future(self, entry: Entry, number: int, written: Written) -> str | None:
        last = self._last_block(written)
        if number <= last:
            return None
        return (
            f"entry {entry.index} ({entry.kind.value}) names block {number}, which was still to come when the chain was"
            f" at block {last} and held it already: the guard made it up, or the chain was reorganised"
        )

    def _decided_late(self, entry: Entry, written: Written) -> str | None:
        number = entry.block.number if entry.block else 0
        stop = next((stop for stop in self._stops if stop.start <= number < stop.end), None)
        if stop is None:
            return self._by_the_clocks(entry, written, "decides on a request")
        return (
            f"entry {entry.index} decides on a request in block {number} after {stop.why}; whether it said yes"
            " is not public"
        )

    def _see_after_death(self, entry: Entry, dead: Entry) -> None:
        late = (entry.time - self._lives.dead_at) / 1000
        if entry.kind is Kind.INTENT:
            self._suspect(entry, _outlived(entry, dead, late))
        elif entry.kind in (Kind.OUTCOME, Kind.DECISION) and (
            self._lives.was_found or late > self._limits.overrun_seconds
        ):
            self._spoke = self._spoke or _outlived(entry, dead, late)


def _outlived(entry: Entry, dead: Entry, late: float) -> str:
    return (
        f"entry {entry.index} ({entry.kind.value}) comes {late:.1f} s after the agent's death in entry {dead.index},"
        " and no start lies between them"
    )
