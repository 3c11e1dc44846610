"""What the guard has to decide on, and what it is worth: readings of the chain, ballots, clocks, limits. Pure.

One endpoint's word is one endpoint's word. Only distinct endpoints make a quorum, only on one block's hash, and a state
proof counts only under a block that a quorum knows. Trusts nobody.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent_guard.types import FLEET, AgentState, Block, Scope, State

# In the contract these are stops that the signers decided, or an agent nobody vouches for: nothing to wait for.
_KILLS = {
    State.HALTED: "halted by the council",
    State.RETIRED: "retired by the council",
    State.RESUMING: "halted by the council; a resume waits for its delay",
    State.NONE: "never registered with this council",
}
OF_THE_FLEET = "the whole fleet is "
"""How a reason begins that is not the agent's own."""
_LAPSED = "lapsed: nobody renewed the lease within its grace"
_REPLACED = "another operator's to guard, by the council's decision"
# What is latched, and how far the epoch of the halt lies behind the state's own: a resume that waits has raised it.
_LATCHED = {State.HALTED: 0, State.RETIRED: 0, State.RESUMING: 1}
_MOST_SIGNERS = 64  # of any council: more votes are a lie


@dataclass(frozen=True, slots=True)
class Reading:
    """What one endpoint said of one agent and of the fleet, at one block.

    `read_at` is the guard's monotonic clock, in seconds, when the answer was complete. `proven`: a state proof under
    the block's hash shows the same; `refuted`: the endpoint's last proof showed something else.
    """

    endpoint: str
    block: Block
    agent: AgentState
    fleet: AgentState
    read_at: float
    scope: Scope = Scope.LATEST
    proven: bool = False
    refuted: bool = False


@dataclass(frozen=True, slots=True)
class BallotCount:
    """Valid halt ballots that were handed to the guard itself, and the epochs they are for; `needed` of them halt."""

    agent: int = 0
    fleet: int = 0
    needed: int = 0
    epochs: tuple[int, int] = (-1, -1)

    @property
    def most(self) -> int:
        return max(self.agent, self.fleet)

    @property
    def decides(self) -> bool:
        return 0 < self.needed <= self.most


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; see the settings of the same names. `quorum` endpoints must agree that the agent may run.

    `operator`: this guard's (checksummed); an agent that the council gave to another one is not its own to run. "" is
    any.
    """

    max_block_age: float
    unknown_grace: float
    vote_freeze: float
    freeze_on_vote: bool
    lease_grace: float
    quorum: int = 1
    require_proof: bool = False
    grace: float = 0.0
    halt_grace: float = 0.0
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, twice: `monotonic` for what we measured ourselves, `unix` to compare with a block's timestamp (seconds)."""

    monotonic: float
    unix: float


@dataclass(frozen=True, slots=True)
class Halt:
    """What endpoints say newest: that the agent, or the fleet, is to be killed.

    `epoch` is that of the halt as far as it is confirmed, -1 where nothing is to be latched.
    """

    fleet: bool
    reason: str
    endpoints: tuple[str, ...]
    confirmed: bool
    epoch: int


def newest(readings: Iterable[Reading]) -> list[Reading]:
    """Each endpoint's own newest word."""
    return [reading for reading in readings if reading.scope is Scope.LATEST]


def words(readings: Sequence[Reading], clock: Clock, limits: Limits) -> list[Reading]:
    """The newest words that stops are heard from, however old they grow.

    A word that was old when it was said, by an endpoint that lags far behind, is history where a quorum knows better.
    """
    said = newest(readings)
    if not any(_was_stale(reading, clock, limits) for reading in said):
        return said
    group = agreed(readings, clock, limits)
    return [
        reading
        for reading in said
        if not (group and reading.block.number < group[0].block.number and _was_stale(reading, clock, limits))
    ]


def _was_stale(reading: Reading, clock: Clock, limits: Limits) -> bool:
    said_at = clock.unix - (clock.monotonic - reading.read_at)
    return reading.block.timestamp < said_at - limits.max_block_age


def is_fresh(reading: Reading, clock: Clock, limits: Limits) -> bool:
    """Whether the block is recent, neither old nor from the future, and was read recently."""
    # Compared, not subtracted: a node may name a time that no float can hold.
    oldest, latest = clock.unix - limits.max_block_age, clock.unix + limits.max_block_age
    answer_age = clock.monotonic - reading.read_at
    return oldest <= reading.block.timestamp <= latest and 0 <= answer_age <= limits.max_block_age


def agreed(readings: Iterable[Reading], clock: Clock, limits: Limits) -> list[Reading]:
    """The readings of the newest fresh block on which enough endpoints say the same of agent and fleet, or none."""
    groups: dict[object, dict[str, Reading]] = {}
    for reading in readings:
        if is_fresh(reading, clock, limits) and _is_sound(reading, limits):
            agent, fleet = reading.agent, reading.fleet
            said = agent.state, agent.epoch, agent.operator, fleet.state, fleet.epoch
            groups.setdefault((reading.block, said), {})[reading.endpoint] = reading
    enough = [list(group.values()) for group in groups.values() if len(group) >= needed(limits)]
    return max(enough, key=lambda group: group[0].block.number, default=[])


def needed(limits: Limits) -> int:
    """Endpoints that make a quorum."""
    return max(limits.quorum, 1)


def pauses(said: Iterable[Reading]) -> Iterator[AgentState]:
    """The states of `words` that say paused."""
    return (
        state for reading in said for state in (reading.agent, reading.fleet) if state.state is State.PAUSED
    )


def halts(readings: Sequence[Reading], clock: Clock, limits: Limits) -> list[Halt]:
    """What is said newest of a halt, a retirement, a lapse past its grace, or an agent that is not this guard's."""
    found = []
    said = words(readings, clock, limits)
    for fleet in (False, True):
        killing = [
            (reading, state)
            for reading in said
            for state in (reading.fleet if fleet else reading.agent,)
            if _kills(state, reading.block, limits)
        ]
        if killing:
            found.append(_halt(killing, readings, fleet, clock, limits))
    return found


def _halt(
    killing: Sequence[tuple[Reading, AgentState]],
    readings: Sequence[Reading],
    fleet: bool,
    clock: Clock,
    limits: Limits,
) -> Halt:
    stops = [(reading, state) for reading, state in killing if _stops(state, reading.block, limits)]
    proofs = [state for reading, state in stops if _is_proof(reading, readings, clock, limits)]
    epochs = [(reading.endpoint, epoch) for reading, state in killing if (epoch := _epoch(state)) >= 0]
    endpoints = tuple(dict.fromkeys(reading.endpoint for reading, _ in killing))
    epoch = max([vouched_epoch(epochs, limits), *map(_epoch, proofs)])
    said = [*proofs, *(state for _, state in stops)]
    why = _KILLS.get(said[0].state, _LAPSED) if said else _REPLACED
    reason = (OF_THE_FLEET if fleet else "") + why
    return Halt(fleet, reason, endpoints, bool(proofs) or len(endpoints) >= needed(limits), epoch)


def _epoch(state: AgentState) -> int:
    """The epoch of the halt that the state tells of, -1 if none is to be latched."""
    return state.epoch - _LATCHED[state.state] if state.state in _LATCHED else -1


def vouched_epoch(named: Iterable[tuple[str, int]], limits: Limits) -> int:
    """The highest epoch that a quorum of endpoints reaches, so that none alone makes it too high; -1 without one."""
    highest: dict[str, int] = {}
    for endpoint, epoch in named:
        highest[endpoint] = max(epoch, highest.get(endpoint, epoch))
    ranked = sorted(highest.values(), reverse=True)
    return ranked[needed(limits) - 1] if len(ranked) >= needed(limits) else -1


def _kills(state: AgentState, block: Block, limits: Limits) -> bool:
    return _stops(state, block, limits) or _is_anothers(state, limits)


def _is_anothers(state: AgentState, limits: Limits) -> bool:
    """No state proof covers the operator: a quorum must say so."""
    return state.agent != FLEET and limits.operator not in ("", state.operator)


def _stops(state: AgentState, block: Block, limits: Limits) -> bool:
    """Whether the state alone, as a proof shows it, asks for a kill."""
    if state.state is State.LAPSED:
        return block.timestamp - state.lease_until >= limits.lease_grace
    return state.state in _KILLS


def _is_proof(reading: Reading, readings: Sequence[Reading], clock: Clock, limits: Limits) -> bool:
    """Whether the reading is proven under a block that a quorum knows, and that is not the past.

    A proof says "so it was at that block": an endpoint that lags could prove a halt that was undone since.
    """
    known = {other.endpoint for other in readings if other.block.hash == reading.block.hash}
    proven = reading.proven and not reading.refuted and len(known) >= needed(limits)
    group = agreed(readings, clock, limits) if proven else []
    return (
        proven
        and is_fresh(reading, clock, limits)
        and (not group or reading.block.number >= group[0].block.number)
    )


def _is_sound(reading: Reading, limits: Limits) -> bool:
    """Whether the reading contradicts neither itself nor a proof."""
    agent, fleet = reading.agent, reading.fleet
    both_run = agent.state is State.RUNNING and fleet.state is State.RUNNING
    itself = agent.may_run is both_run and fleet.may_run is (fleet.state is State.RUNNING)
    return itself and not reading.refuted and (reading.proven or not limits.require_proof)


def lapses(said: Iterable[Reading], limits: Limits) -> Iterator[AgentState]:
    """The states of `words` that say lapsed, and that a signer may still renew."""
    return (
        state
        for reading in said
        for state in (reading.agent, reading.fleet)
        if state.state is State.LAPSED and not _stops(state, reading.block, limits)
    )


def open_halt_votes(said: Iterable[Reading], ballots: BallotCount) -> int:
    """Most halt votes that any of `words` reports, or that were handed to the guard, for the agent or the fleet.

    Votes that have halted are reported on, but open no more: they would undo the grace that a halt may have.
    """
    reported = [
        state.halt_votes
        for reading in said
        for state in (reading.agent, reading.fleet)
        if state.state not in _KILLS
    ]
    return min(max([ballots.most, *reported]), _MOST_SIGNERS)


def dissent(
    readings: Sequence[Reading],
    group: Sequence[Reading],
    endpoints: Iterable[str],
    clock: Clock,
    limits: Limits,
) -> dict[str, str]:
    """Each endpoint that does not say what the agreed group says, and what it says instead.

    One that is merely a block ahead or behind, and says the same, is no dissenter.
    """
    said = {reading.endpoint: reading for reading in newest(readings)}
    return {
        endpoint: why
        for endpoint in endpoints
        if (
            why := _differs(said.get(endpoint), group, clock, limits)
            or _is_elsewhere(said[endpoint], readings, group)
        )
    }


def _is_elsewhere(word: Reading, readings: Iterable[Reading], group: Sequence[Reading]) -> str:
    """Whether the endpoint is on a fork: it has not the agreed block, nor does anybody have its own."""
    if not group or any(
        reading.block == group[0].block and reading.endpoint == word.endpoint for reading in readings
    ):
        return ""
    behind = word.block.number < group[0].block.number
    if behind and any(
        reading.block.hash == word.block.hash and reading.endpoint != word.endpoint for reading in readings
    ):
        return ""
    return f"has another block {word.block.number} than the others know"


def _differs(word: Reading | None, group: Sequence[Reading], clock: Clock, limits: Limits) -> str:
    agreed = group[0] if group else None
    if word is None:
        return "has never answered"
    if word.refuted:
        return "its state proof shows something else than it says"
    if not is_fresh(word, clock, limits):
        return f"its newest block is {word.block.number}, not fresh"
    if agreed is None:
        return f"says {_said(word, limits)} at block {word.block.number}"
    if (said := _said(word, limits)) != (theirs := _said(agreed, limits)):
        return f"says {said} at block {word.block.number}, where others say {theirs}"
    return ""


def _said(reading: Reading, limits: Limits) -> str:
    agent = reading.agent
    fleet = "" if reading.fleet.state is State.RUNNING else f", fleet {reading.fleet.state.name}"
    operator = f", guarded by {agent.operator}" if _is_anothers(agent, limits) else ""
    return f"{agent.state.name} in epoch {agent.epoch}{operator}{fleet}"


def whose(state: AgentState) -> str:
    """How a reason begins."""
    return OF_THE_FLEET if state.agent == FLEET else ""
