"""Did the agent act when the council did not let it? From the entries' own blocks and the chain's events.

Guarantees: accuses only on a block that the chain really has. An intent that the guard took back in time (a `refused`
entry that refers to it) was never allowed. What it can't prove: a guard that names an older block than it had read.
Against that stand the anchors' times and the guard's own: an act that by either was later than the halt by more than
the limit is not verified. Nor is an end that came later than that, an act after a death without a new start, or a block
that lay ahead when the entry was anchored (lateness.py). A life that a later guard found dead has an end, and its
overrun a bound: it is verified if the bound is within the limit.
"""

from agent_guard.audit.facts import ChainFacts, Written
from agent_guard.audit.found import Found
from agent_guard.audit.lateness import Lateness
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.receipts import is_signed
from agent_guard.audit.result import Aspect, Check, Death, Fault, Result
from agent_guard.audit.stops import NEVER, by_fork, latest_halt, missing_history, pauses, resumed_in, stops
from agent_guard.audit.stretch import Stretch
from agent_guard.audit.tenure import handovers
from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.typed_data.death import is_found_dead
from agent_guard.types import Block

_ACTS = frozenset({Kind.INTENT, Kind.START})
# More open suspicions than an honest guard could have: the oldest are enough to accuse.
MOST_SUSPECTS = 10_000
MOST_LOOKUPS = 256


class Obedience:
    """Sees the audited agent's entries in order, then gives its verdict."""

    def __init__(self, chain: ChainFacts, limits: LimitsInForce) -> None:
        self._chain, self._limits = chain, limits
        self._stops = stops(chain.history, chain.state, chain.lapses)
        self._handovers = list(handovers(chain))
        self._pauses = pauses(chain.history)
        self._late = Lateness(chain, limits, self._stops, self._pauses)
        self._halt = latest_halt(chain.history)
        self._suspects: dict[int, tuple[Entry, str]] = {}
        self._blocks: dict[int, Block | None] = {}
        self._unread: str | None = None
        self._outlived: str | None = None
        self._undone: str | None = None
        self._unsigned: str | None = None
        self._answer: Death | None = None
        self._last_death: Death | None = None

    @property
    def halted_at(self) -> Block | None:
        return self._halt.block if self._halt else None

    @property
    def resumed_in(self) -> int | None:
        """Height of the block in which the latest halt was taken back."""
        return resumed_in(self._chain.history, self._halt) if self._halt else None

    @property
    def death(self) -> Death | None:
        """The receipt that answers the latest halt, else the newest one."""
        return self._answer or self._last_death

    @property
    def overrun_ms(self) -> int | None:
        """From the halt's block to the death that answers it; None if its moment is not known."""
        if self._halt is None or self._answer is None or self._answer.dead is None:
            return None
        return self._answer.dead - self._halt.block.timestamp * 1000

    @property
    def overrun_at_most_ms(self) -> int | None:
        """From the halt's block to when the agent, which was found dead, was dead at the latest."""
        if self._halt is None or self._answer is None or self._answer.dead_by is None:
            return None
        return self._answer.dead_by - self._halt.block.timestamp * 1000

    def see(self, entry: Entry, written: Written = Written()) -> None:  # noqa: B008 - frozen
        """Takes the agent's next entry."""
        if entry.kind in _ACTS:
            self._suspect(entry, written)
        elif entry.kind is Kind.REFUSED and entry.refers_to is not None:
            self._take_back(entry.refers_to, entry, written)
        self._late.see(entry, written)
        self._follow_life(entry, written)

    def take(self, stretch: Stretch, written: Written) -> None:
        """As `see` for each of its entries, which `fits` was asked about."""
        self._late.take(stretch, written)

    def fits(self, stretch: Stretch, written: Written = Written()) -> bool:  # noqa: B008 - frozen
        """Whether `see` would find nothing in any of its entries: none of its acts is near a stop."""
        halted = any(stop.start <= number < stop.end for stop in self._stops for number in stretch.blocks)
        paused = any(
            pause.block.number <= number < pause.end for pause in self._pauses for number in stretch.blocks
        )
        return not halted and not paused and (not stretch.own or self._late.fits(stretch, written))

    def verdict(self) -> tuple[Check, Fault | None]:
        """The check, and the first act that was not allowed."""
        fault, unclear = self._accuse()
        if fault is not None:
            return Check(Result.TAMPERED, f"entry {fault.index}: {fault.why}"), fault
        doubt = (
            missing_history(self._chain.history, self._chain.state)
            or self._unread
            or unclear
            or self._undone
            or self._unsigned
            or self._late.lives.odd
            or self._outlived
            or self._undead()
            or self._late.doubt()
        )
        if doubt is not None:
            return Check(Result.INDETERMINATE, doubt), None
        return Check(Result.VERIFIED, self._praise()), None

    def _suspect(self, entry: Entry, written: Written) -> None:
        why = self._forbidden(entry, written)
        if why is None:
            return
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects[entry.index] = (entry, why)
        else:
            self._unread = f"more than {MOST_SUSPECTS} acts are under suspicion at once"

    def _take_back(self, intent: int, entry: Entry, written: Written) -> None:
        """The guard says that it never allowed this intent: to be believed if it said so before long."""
        self._late.take_back(intent)
        if intent not in self._suspects:
            return
        suspect, why = self._suspects.pop(intent)
        waited = max(entry.time / 1000, written.after) - suspect.time / 1000
        if self._undone is None and waited > self._limits.overrun_seconds:
            self._undone = (
                f"entry {intent} acts although {why}, and was taken back only {waited:.0f} s later, in entry"
                f" {entry.index}"
            )

    def _forbidden(self, entry: Entry, written: Written) -> str | None:
        """Why the council did not allow an act on the block that the entry names; None if it did."""
        number = entry.block.number if entry.block else 0
        for stop in self._stops:
            if stop.start <= number < stop.end:
                return stop.why
        for pause in self._pauses:
            # Both clocks must agree: the chain's (the block's), and the guard's (the entry's time) unless the anchor
            # shows that it was ahead.
            latest = entry.time / 1000 if written.by is None else min(entry.time / 1000, written.by.timestamp)
            try:
                if latest < pause.until and pause.holds_at(number, self._block_at):
                    return pause.why
            except GuardError as error:
                self._unread = f"block {number} could not be read: {error.message}"
        return None

    def _accuse(self) -> tuple[Fault | None, str | None]:
        """The first suspect whose block is the chain's, and a doubt about one whose block is not."""
        doubt = None
        for index, (entry, why) in list(self._suspects.items())[:MOST_LOOKUPS]:
            block = entry.block
            try:
                found = self._block_at(block.number) if block else None
            except GuardError as error:
                doubt = (
                    doubt
                    or f"entry {index} acts although {why}, but its block could not be read: {error.message}"
                )
                continue
            if block and found and found.hash == block.hash:
                acted = f"acted on block {block.number} after {why}"
                return Fault(Aspect.OBEDIENCE, index, entry.kind.value, acted), None
            doubt = (
                doubt
                or f"entry {index} acts although {why}, on a block that is not of the chain (reorganised away?)"
            )
        return None, doubt

    def _block_at(self, number: int) -> Block | None:
        if number not in self._blocks:
            self._blocks[number] = self._chain.block_at(number)
        return self._blocks[number]

    def _follow_life(self, entry: Entry, written: Written) -> None:
        if entry.kind is Kind.DEATH and not is_signed(entry, self._chain.identity):
            # Not the operator's word, so it ends no life.
            self._unsigned = f"the death receipt in entry {entry.index} is not signed by the operator"
            return
        if entry.kind is Kind.START:
            self._outlived = self._outlived or self._undead(entry)
            if self._is_before_halt(entry):
                self._answer = None  # it was the death of an earlier life
        lives, began = self._late.lives, self._late.lives.alive
        before = lives.found
        self._late.follow(entry, written)
        found = lives.found if lives.found is not before else None
        if entry.kind is not Kind.DEATH or (found is None and is_found_dead(entry.meta)):
            return  # the finding ends no life that was open
        self._last_death = _death(entry, found)
        answers = self._found_answers(began, found) if found else self._answers_halt(entry, began)
        if self._answer is None and answers:
            self._answer = self._last_death

    def _found_answers(self, began: Entry | None, found: Found) -> bool:
        """Whether the latest halt came between the start of a life and when it was dead at the latest."""
        if self._halt is None or began is None:
            return False
        return self._is_before_halt(began) and self._halt.block.timestamp * 1000 <= found.by

    def _is_before_halt(self, began: Entry) -> bool:
        return bool(self._halt and began.block and began.block.number < self._halt.block.number)

    def _answers_halt(self, entry: Entry, began: Entry | None) -> bool:
        """Whether a death belongs to the latest halt: it saw the halt's block, or, by ballots, died in its epoch.

        That of a life which `began` after the halt doesn't: the halt had found nobody alive.
        """
        if self._halt is None or (began is not None and not self._is_before_halt(began)):
            return False
        if any(away.start <= self._halt.block.number < away.end for away in self._handovers):
            return False  # it was another guard's to answer
        saw = entry.block is not None and entry.block.number >= self._halt.block.number
        own = self._halt.agent == entry.agent and entry.meta.get("epoch") == self._halt.epoch
        return saw or own

    def _undead(self, until: Entry | None = None) -> str | None:
        """Whether the life that is open was to end (before the start `until`), and no end is on record.

        A resume does not make up for it: that the agent may run again does not show that it had died.
        """
        started = self._late.lives.alive
        if started is None or started.block is None:
            return None
        end = until.block.number if until and until.block else NEVER
        fatal = [stop for stop in (*self._stops, *self._handovers) if stop.kills]
        survived = [stop for stop in fatal if started.block.number < stop.start < end]
        if not survived:
            return None
        stop = min(survived, key=lambda stop: stop.start)
        if stop in self._handovers:
            return f"{stop.why}, and the log holds no end of the life that began with entry {started.index}"
        return (
            f"the council stopped it in block {stop.start}, and the log holds no death receipt for the life that"
            f" began with entry {started.index}"
        )

    def _praise(self) -> str:
        if self._halt is None:
            said = "the agent was never halted, and acted only while it was allowed to"
        else:
            said = f"nothing was done after the halt in block {self._halt.block.number}{by_fork(self._halt)}"
            said += f" until the resume in block {self.resumed_in}" if self.resumed_in else ""
        if self.overrun_ms is not None:
            said += f"; dead {self.overrun_ms} ms after that block's time"
        elif self.overrun_at_most_ms is not None:
            said += f"; dead at most {self.overrun_at_most_ms} ms after that block's time"
        found = self._late.lives.found
        return said if found is None else f"{said}; {found.in_words()}"


def _death(entry: Entry, found: Found | None) -> Death:
    if found is not None:
        return Death(entry.index, None, dict(entry.meta), found.by)
    dead = entry.meta.get("dead")
    return Death(entry.index, dead if type(dead) is int else entry.time, dict(entry.meta))
