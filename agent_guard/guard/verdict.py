"""The decision: may this agent run now? A pure, total function, and the only place where it is decided.

What is not known is treated as stop: no reading, an old block, a node that disagrees, an agent never registered. It
imports no I/O and trusts nobody; `watcher.py` feeds it and halts on any exception it might raise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_guard.types import FLEET, AgentState, Block, Decision, State, Verdict

# In the contract these are stops that the signers decided, or an agent nobody vouches for: nothing to wait for.
_KILLS = {
    State.HALTED: "halted by the council",
    State.RETIRED: "retired by the council",
    State.RESUMING: "halted by the council; a resume waits for its delay",
    State.NONE: "never registered with this council",
}

_GRAVITY = {Decision.RUN: 0, Decision.FREEZE: 1, Decision.HALT: 2}
_RUNNING = Verdict(Decision.RUN, "running")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one endpoint said of one agent and of the fleet, at one block.

    `read_at` is the guard's monotonic clock, in seconds, when the answer was complete.
    """

    endpoint: str
    block: Block
    agent: AgentState
    fleet: AgentState
    read_at: float


@dataclass(frozen=True, slots=True)
class Latch:
    """Halts that were seen: each holds until a later epoch. Epochs of the agent and the fleet, -1 where none."""

    agent_epoch: int = -1
    fleet_epoch: int = -1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VoteFreeze:
    """Open halt votes seen in these epochs: how many at most, and until when (monotonic seconds) they may freeze."""

    epochs: tuple[int, int]
    votes: int
    until: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier readings leave behind.

    `unknown_since`: monotonic seconds since when nothing was known (`is_known`), None while something is.
    """

    latch: Latch = Latch()
    vote_freeze: VoteFreeze | None = None
    unknown_since: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; see the settings of the same names. `quorum` endpoints must agree that the agent may run."""

    max_block_age: float
    unknown_grace: float
    vote_freeze: float
    freeze_on_vote: bool
    lease_grace: float
    quorum: int = 1


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, twice: `monotonic` for what we measured ourselves, `unix` to compare with a block's timestamp (seconds)."""

    monotonic: float
    unix: float


def decide(readings: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> Verdict:
    """RUN, FREEZE or HALT, and why: the gravest of what the memory, the readings and the clock demand.

    Args:
        readings: the latest of each endpoint, however old.
        memory: what earlier readings left behind, these included (`remember`).
        clock: now.
        limits: the bounds in force.
    """
    demands = [*_latched(readings, memory.latch), *_stops(readings, limits)]
    if not is_known(readings, clock, limits):
        demands.append(_unknown(readings, memory, clock, limits))
    demands += _open_votes(readings, memory, clock, limits)
    return max(demands, key=lambda verdict: _GRAVITY[verdict.decision], default=_RUNNING)


def is_known(readings: Sequence[Reading], clock: Clock, limits: Limits) -> bool:
    """Whether enough endpoints give the same fresh and consistent answer."""
    agreeing: dict[object, set[str]] = {}
    for reading in readings:
        if is_fresh(reading, clock, limits) and _is_consistent(reading):
            answer = (reading.agent.state, reading.agent.epoch, reading.fleet.state, reading.fleet.epoch)
            agreeing.setdefault(answer, set()).add(reading.endpoint)
    return any(len(endpoints) >= max(limits.quorum, 1) for endpoints in agreeing.values())


def is_fresh(reading: Reading, clock: Clock, limits: Limits) -> bool:
    """Whether the block is recent, neither old nor from the future, and was read recently."""
    # Compared, not subtracted: a node may name a time that no float can hold.
    oldest, newest = clock.unix - limits.max_block_age, clock.unix + limits.max_block_age
    answer_age = clock.monotonic - reading.read_at
    return oldest <= reading.block.timestamp <= newest and 0 <= answer_age <= limits.max_block_age


def remember(memory: Memory, readings: Sequence[Reading], clock: Clock, limits: Limits) -> Memory:
    """The memory after these readings."""
    unknown_since = clock.monotonic if memory.unknown_since is None else memory.unknown_since
    return Memory(
        latch=_latch(memory.latch, readings),
        vote_freeze=_vote_freeze(memory.vote_freeze, readings, clock, limits),
        unknown_since=None if is_known(readings, clock, limits) else unknown_since,
    )


def _latch(latch: Latch, readings: Sequence[Reading]) -> Latch:
    """Any endpoint's word that the agent or the fleet is halted is kept."""
    for reading in readings:
        if reading.agent.state in (State.HALTED, State.RETIRED):
            reason = _KILLS[reading.agent.state]
            latch = Latch(max(latch.agent_epoch, reading.agent.epoch), latch.fleet_epoch, reason)
        if reading.fleet.state in (State.HALTED, State.RETIRED):
            reason = "the whole fleet is " + _KILLS[reading.fleet.state]
            latch = Latch(latch.agent_epoch, max(latch.fleet_epoch, reading.fleet.epoch), reason)
    return latch


def _vote_freeze(
    past: VoteFreeze | None, readings: Sequence[Reading], clock: Clock, limits: Limits
) -> VoteFreeze | None:
    """Each vote more than ever before in an epoch buys `limits.vote_freeze` seconds, and none buys them twice."""
    votes = open_halt_votes(readings)
    epochs = (
        max((reading.agent.epoch for reading in readings), default=0),
        max((reading.fleet.epoch for reading in readings), default=0),
    )
    if past is None or past.epochs < epochs:
        past = VoteFreeze(epochs, 0, clock.monotonic)
    if votes <= past.votes:
        return past
    start = max(past.until, clock.monotonic)
    return VoteFreeze(past.epochs, votes, start + limits.vote_freeze * (votes - past.votes))


def _latched(readings: Sequence[Reading], latch: Latch) -> list[Verdict]:
    """A halt once seen holds until every reading is of a later epoch."""
    held = [
        reading
        for reading in readings
        if reading.agent.epoch <= latch.agent_epoch or reading.fleet.epoch <= latch.fleet_epoch
    ]
    latched = latch.agent_epoch >= 0 or latch.fleet_epoch >= 0
    return [Verdict(Decision.HALT, latch.reason)] if held or (latched and not readings) else []


def _stops(readings: Sequence[Reading], limits: Limits) -> list[Verdict]:
    """A stop is heard from any one endpoint, and however old its word: only a newer word of the same one lifts it."""
    said = (
        _said(state, reading.block, limits)
        for reading in readings
        for state in (reading.agent, reading.fleet)
    )
    return [verdict for verdict in said if verdict is not None]


def _said(state: AgentState, block: Block, limits: Limits) -> Verdict | None:
    """What one state alone demands, None if nothing."""
    who = "the whole fleet is " if state.agent == FLEET else ""
    if state.state in _KILLS:
        return Verdict(Decision.HALT, who + _KILLS[state.state])
    if state.state is State.PAUSED:
        return Verdict(Decision.FREEZE, f"{who}paused by a signer until {state.paused_until}")
    if state.state is State.LAPSED and block.timestamp - state.lease_until >= limits.lease_grace:
        return Verdict(Decision.HALT, who + "lapsed: nobody renewed the lease within its grace")
    if state.state is State.LAPSED:
        return Verdict(Decision.FREEZE, who + "lapsed: a signer may still renew the lease")
    return None


def _is_consistent(reading: Reading) -> bool:
    both_run = reading.agent.state is State.RUNNING and reading.fleet.state is State.RUNNING
    return reading.agent.may_run is both_run and reading.fleet.may_run is (
        reading.fleet.state is State.RUNNING
    )


def _unknown(readings: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> Verdict:
    why = "no fresh word from the chain" if readings else "the chain was never read"
    since = clock.monotonic if memory.unknown_since is None else memory.unknown_since
    if clock.monotonic - since >= limits.unknown_grace:
        return Verdict(Decision.HALT, f"{why} for {limits.unknown_grace:g} s")
    return Verdict(Decision.FREEZE, why)


def _open_votes(readings: Sequence[Reading], memory: Memory, clock: Clock, limits: Limits) -> list[Verdict]:
    """A freeze while halt votes are open, for at most `vote_freeze` seconds for each of them."""
    votes = open_halt_votes(readings)
    over = memory.vote_freeze is not None and clock.monotonic >= memory.vote_freeze.until
    if not limits.freeze_on_vote or votes == 0 or over:
        return []
    return [Verdict(Decision.FREEZE, f"{votes} open vote(s) to halt")]


def open_halt_votes(readings: Sequence[Reading]) -> int:
    """Most halt votes that any endpoint reports for the agent or the fleet."""
    return max((max(reading.agent.halt_votes, reading.fleet.halt_votes) for reading in readings), default=0)
