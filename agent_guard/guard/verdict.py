"""The decision: may this agent run now? A pure, total function, and the only place where it is decided.

Stop is heard from any one endpoint, and freezes; it kills when a quorum says so, when the one proves it, or when the
doubt outlasts its grace. Run needs a quorum that agrees on one fresh block. What is not known is treated as stop.
Imports no I/O and trusts nobody; `watcher.py` feeds it and halts on any exception it might raise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent_guard.guard.evidence import (
    BallotCount,
    Clock,
    Limits,
    Reading,
    agreed,
    halts,
    lapses,
    needed,
    open_halt_votes,
    pauses,
    whose,
    words,
)
from agent_guard.guard.memory import BY_BALLOTS, Memory
from agent_guard.types import Decision, Verdict

_GRAVITY = {Decision.RUN: 0, Decision.FREEZE: 1, Decision.HALT: 2}
_RUNNING = Verdict(Decision.RUN, "running")


def decide(
    readings: Sequence[Reading], memory: Memory, ballots: BallotCount, clock: Clock, limits: Limits
) -> Verdict:
    """RUN, FREEZE or HALT, and why: the gravest of what memory, ballots, readings and clock demand.

    Args:
        readings: of each endpoint its newest word, however old, and what it said of blocks that others named.
        memory: what earlier readings left behind, these included (`remember`).
        ballots: what signers handed to the guard itself.
        clock: now.
        limits: the bounds in force.
    """
    said = words(readings, clock, limits)
    demands = [
        *_balloted(ballots),
        *_halted(readings, memory, clock, limits),  # before the latch: of two halts the newer reason is told
        *_latched(memory, clock, limits),
        *_asked(memory, clock, limits),
        *_unknown(readings, memory, clock, limits),
        *_paused(said, memory, clock, limits),
        *_lapsed(said, limits),
        *_open_votes(said, memory, ballots, clock, limits),
    ]
    if not demands:
        return _RUNNING
    gravest = max(demands, key=lambda verdict: _GRAVITY[verdict.decision])
    # The agent still runs in a grace: it holds only where nothing demands more.
    return replace(gravest, stopping=all(verdict.stopping for verdict in demands))


def _within(since: float | None, grace: float, clock: Clock) -> bool:
    return since is not None and 0 <= clock.monotonic - since < grace


def _latched(memory: Memory, clock: Clock, limits: Limits) -> Iterator[Verdict]:
    """A halt once seen and confirmed."""
    if memory.latch.holds:
        grace = _within(memory.latched_since, limits.halt_grace, clock)
        yield Verdict(Decision.HALT, memory.latch.reason, stopping=grace)


def _balloted(ballots: BallotCount) -> Iterator[Verdict]:
    """A quorum of ballots, handed over before any block: as urgent as can be."""
    if ballots.decides:
        yield Verdict(Decision.HALT, BY_BALLOTS)


def _halted(readings: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> Iterator[Verdict]:
    """A halt is heard from any one endpoint; only a newer word of the same one lifts it."""
    for halt in halts(readings, clock, limits):
        if halt.confirmed:
            grace = halt.epoch >= 0 and _within(memory.latched_since, limits.halt_grace, clock)
            yield Verdict(Decision.HALT, halt.reason, stopping=grace)
            continue
        said = f"{halt.reason}, says {', '.join(halt.endpoints)} alone"
        if memory.doubted_since is None or _within(memory.doubted_since, limits.unknown_grace, clock):
            yield Verdict(Decision.FREEZE, f"{said}; it takes {needed(limits)} to know")
        else:
            yield Verdict(Decision.HALT, f"{said}, for {limits.unknown_grace:g} s")


def _asked(memory: Memory, clock: Clock, limits: Limits) -> Iterator[Verdict]:
    """The operator's own stop."""
    if memory.asked_since is not None:
        grace = _within(memory.asked_since, limits.grace, clock)
        yield Verdict(Decision.HALT, memory.asked, stopping=grace)


def _unknown(readings: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> Iterator[Verdict]:
    if agreed(readings, clock, limits):
        return
    why = "no fresh word from the chain" if readings else "the chain was never read"
    if readings and limits.quorum > 1:
        why = f"no {limits.quorum} endpoints agree on a fresh block"
    # A memory that does not know yet since when is one of this very moment.
    if memory.unknown_since is None or _within(memory.unknown_since, limits.unknown_grace, clock):
        yield Verdict(Decision.FREEZE, why)
    else:
        yield Verdict(Decision.HALT, f"{why} for {limits.unknown_grace:g} s")


def _paused(said: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> Iterator[Verdict]:
    """A signer's pause, after the grace of a planned stop."""
    grace = _within(memory.paused_since, limits.grace, clock)
    for state in pauses(said):
        reason = f"{whose(state)}paused by a signer until {state.paused_until}"
        yield Verdict(Decision.FREEZE, reason, stopping=grace)


def _lapsed(said: Sequence[Reading], limits: Limits) -> Iterator[Verdict]:
    for state in lapses(said, limits):
        yield Verdict(Decision.FREEZE, f"{whose(state)}lapsed: a signer may still renew the lease")


def _open_votes(
    said: Sequence[Reading], memory: Memory, ballots: BallotCount, clock: Clock, limits: Limits
) -> Iterator[Verdict]:
    """A freeze while halt votes are open, for at most `vote_freeze` seconds for each of them."""
    votes = open_halt_votes(said, ballots)
    over = memory.vote_freeze is not None and clock.monotonic >= memory.vote_freeze.until
    if limits.freeze_on_vote and votes and not over:
        yield Verdict(Decision.FREEZE, f"{votes} open vote{'' if votes == 1 else 's'} to halt")
