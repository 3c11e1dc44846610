"""What earlier readings leave behind: halts that were seen, votes that froze, and since when what is so. Pure.

A halt that was confirmed is latched: no reorg, no restart and no other node's word undoes it, only a later epoch that a
quorum shows in finalised blocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agent_guard.guard.evidence import (
    BallotCount,
    Clock,
    Limits,
    Reading,
    agreed,
    halts,
    needed,
    open_halt_votes,
    pauses,
    vouched_epoch,
    words,
)
from agent_guard.types import Scope, State

_STOPPED = frozenset({State.NONE, State.HALTED, State.RESUMING, State.RETIRED})
BY_BALLOTS = "halted by ballots that signers handed to the guard"


@dataclass(frozen=True, slots=True)
class Latch:
    """Halts that were seen: each holds until a later epoch. Epochs of the agent and the fleet, -1 where none."""

    agent_epoch: int = -1
    fleet_epoch: int = -1
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.agent_epoch >= 0 or self.fleet_epoch >= 0


@dataclass(frozen=True, slots=True)
class VoteFreeze:
    """Open halt votes seen in these epochs: how many at most, and until when (monotonic seconds) they may freeze."""

    epochs: tuple[int, int]
    votes: int
    until: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier readings left behind. The times are monotonic seconds, None while it is not so:

    `unknown_since` no quorum agreed on a fresh block; `doubted_since` some endpoint said halted and no quorum did;
    `paused_since` some endpoint said paused; `latched_since` a halt seen by this very process holds; `asked_since` the
    operator asked for a stop, for the reason `asked`.
    """

    latch: Latch = Latch()
    vote_freeze: VoteFreeze | None = None
    unknown_since: float | None = None
    doubted_since: float | None = None
    paused_since: float | None = None
    latched_since: float | None = None
    asked_since: float | None = None
    asked: str = ""


def remember(
    memory: Memory, readings: Sequence[Reading], ballots: BallotCount, clock: Clock, limits: Limits
) -> Memory:
    """The memory after these readings and ballots."""

    def since(before: float | None, true: bool) -> float | None:
        if not true:
            return None
        return clock.monotonic if before is None else before

    said = halts(readings, clock, limits)
    latch = memory.latch
    for halt in said:
        latch = _raised(latch, halt.fleet, halt.epoch, halt.reason)
    for fleet, count in ((False, ballots.agent), (True, ballots.fleet)):
        if 0 < ballots.needed <= count:
            latch = _raised(latch, fleet, ballots.epochs[fleet], BY_BALLOTS)
    latch = _released(latch, readings, limits)
    return replace(
        memory,
        latch=latch,
        vote_freeze=_vote_freeze(memory.vote_freeze, readings, ballots, clock, limits),
        unknown_since=since(memory.unknown_since, not agreed(readings, clock, limits)),
        doubted_since=since(memory.doubted_since, any(not halt.confirmed for halt in said)),
        paused_since=since(memory.paused_since, any(True for _ in pauses(words(readings, clock, limits)))),
        # Of one that was loaded from disk this process saw no beginning: it has no grace left.
        latched_since=None
        if not latch.holds
        else clock.monotonic
        if not memory.latch.holds
        else memory.latched_since,
    )


def asked_to_stop(memory: Memory, reason: str, clock: Clock) -> Memory:
    """The memory after the operator asked for a stop; the first time counts."""
    if memory.asked_since is not None:
        return memory
    return replace(memory, asked=reason, asked_since=clock.monotonic)


def _raised(latch: Latch, fleet: bool, epoch: int, reason: str) -> Latch:
    if epoch <= (latch.fleet_epoch if fleet else latch.agent_epoch):
        return latch
    if fleet:
        return replace(latch, fleet_epoch=epoch, reason=reason)
    return replace(latch, agent_epoch=epoch, reason=reason)


def _released(latch: Latch, readings: Iterable[Reading], limits: Limits) -> Latch:
    """What still holds, after what endpoints say of their finalised blocks."""
    final = [reading for reading in readings if reading.scope is Scope.FINALIZED and not reading.refuted]

    def over(epoch: int, said: Iterable[tuple[str, State, int]]) -> bool:
        later = {endpoint for endpoint, state, now in said if now > epoch and state not in _STOPPED}
        return len(later) >= needed(limits)

    if latch.agent_epoch >= 0 and over(
        latch.agent_epoch, ((one.endpoint, one.agent.state, one.agent.epoch) for one in final)
    ):
        latch = replace(latch, agent_epoch=-1)
    if latch.fleet_epoch >= 0 and over(
        latch.fleet_epoch, ((one.endpoint, one.fleet.state, one.fleet.epoch) for one in final)
    ):
        latch = replace(latch, fleet_epoch=-1)
    return latch if latch.holds else Latch()


def _vote_freeze(
    past: VoteFreeze | None, readings: Sequence[Reading], ballots: BallotCount, clock: Clock, limits: Limits
) -> VoteFreeze | None:
    """Each vote more than ever before in an epoch buys `limits.vote_freeze` seconds, and none buys them twice."""
    said = words(readings, clock, limits)
    votes = open_halt_votes(said, ballots)
    epochs = (
        vouched_epoch(((reading.endpoint, reading.agent.epoch) for reading in said), limits),
        vouched_epoch(((reading.endpoint, reading.fleet.epoch) for reading in said), limits),
    )
    if past is None or past.epochs < epochs:
        past = VoteFreeze(epochs, 0, clock.monotonic)
    if votes <= past.votes:
        return past
    start = max(past.until, clock.monotonic)
    return VoteFreeze(past.epochs, votes, start + limits.vote_freeze * (votes - past.votes))
