"""What the guard's tests are built with: readings of a made-up chain, clocks that stand where the test puts them, and
whatever a node, a disk or a clock could say, as Hypothesis strategies."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from agent_guard.guard.evidence import BallotCount, Clock, Limits, Reading
from agent_guard.guard.memory import Latch, Memory, VoteFreeze
from agent_guard.types import FLEET, AgentState, Block, Decision, Head, Scope, State

AGENT = b"a" * 32
OURS, THEIRS = "0x" + "Aa" * 20, "0x" + "Bb" * 20
NOW = 1_700_000_000
LIMITS = Limits(
    max_block_age=60.0, unknown_grace=30.0, vote_freeze=120.0, freeze_on_vote=True, lease_grace=100.0
)
TWO = replace(LIMITS, quorum=2)
CLOCK = Clock(monotonic=1_000.0, unix=float(NOW))
NONE = BallotCount()
KILLING = (State.NONE, State.HALTED, State.RESUMING, State.RETIRED)
GRAVITY = {Decision.RUN: 0, Decision.FREEZE: 1, Decision.HALT: 2}


def at(seconds: float) -> Clock:
    """So many seconds after `CLOCK`, on both clocks."""
    return Clock(CLOCK.monotonic + seconds, CLOCK.unix + seconds)


def make_block(number: int = 7, timestamp: int = NOW, fork: int = 0) -> Block:
    return Block(number, bytes([fork, *number.to_bytes(31, "big")]), timestamp)


def make_state(agent: bytes = AGENT, state: State = State.RUNNING, **changes: Any) -> AgentState:
    """An agent that runs in epoch 1; `may_run` follows `state` unless it is given."""
    plain = AgentState(
        agent=agent, state=State.RUNNING, may_run=state is State.RUNNING, epoch=1, arms=0, vetoes=0, halt_votes=0,
        resume_votes=0, paused_until=0, lease_until=0, resume_ready_at=0, operator=OURS,
        head=Head(0, bytes(32)), halted_size=0,
    )  # fmt: skip
    return replace(plain, state=state, **changes)


def make_reading(
    state: State = State.RUNNING,
    fleet: State = State.RUNNING,
    endpoint: str = "A",
    *,
    block: Block | None = None,
    read_at: float = CLOCK.monotonic,
    scope: Scope = Scope.LATEST,
    proven: bool = False,
    refuted: bool = False,
    fleet_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> Reading:
    """What a truthful node says of block 7: the agent may run if it and the fleet are RUNNING."""
    both = state is State.RUNNING and fleet is State.RUNNING
    return Reading(
        endpoint=endpoint,
        block=block or make_block(),
        agent=make_state(AGENT, state, **{"may_run": both, **changes}),
        fleet=make_state(FLEET, fleet, **(fleet_changes or {})),
        read_at=read_at,
        scope=scope,
        proven=proven,
        refuted=refuted,
    )


def of_all(nodes: str, **words: Any) -> list[Reading]:
    """The same word of each of these nodes, one letter a node."""
    return [make_reading(endpoint=node, **words) for node in nodes]


@dataclass
class HandClock:
    """A clock that the test moves."""

    seconds: float = 0.0

    def __call__(self) -> Clock:
        return Clock(self.seconds, NOW + self.seconds)


# --- whatever can be said --------------------------------------------------------------------------------------------

seconds = st.floats(min_value=0, max_value=1e9)
moments = st.floats(0, 2_000) | st.floats()
uint40 = st.integers(0, 2**40 - 1)
epochs = st.integers(0, 3) | st.integers(0, 2**40 - 1)


def states(agent: bytes) -> st.SearchStrategy[AgentState]:
    """Whatever a node can answer in the types of the ABI, lies among it."""
    return st.builds(
        AgentState, agent=st.just(agent), state=st.sampled_from(State), may_run=st.booleans(), epoch=epochs,
        arms=st.integers(0, 2**16 - 1), vetoes=st.integers(0, 255), halt_votes=st.integers(0, 255),
        resume_votes=st.integers(0, 255), paused_until=uint40, lease_until=uint40, resume_ready_at=uint40,
        operator=st.sampled_from((OURS, THEIRS)), head=st.just(Head(0, bytes(32))), halted_size=st.just(0),
    )  # fmt: skip


timestamps = st.integers(NOW - 200, NOW + 200) | st.integers(-(10**400), 10**400)
numbers = st.integers(6, 8) | st.integers(0, 2**64)
blocks = st.builds(
    Block, number=numbers, hash=st.sampled_from((bytes(32), b"\x01" * 32)), timestamp=timestamps
)
readings = st.builds(
    Reading, endpoint=st.sampled_from("ABC"), block=blocks, agent=states(AGENT), fleet=states(FLEET),
    read_at=moments, scope=st.sampled_from(Scope), proven=st.booleans(), refuted=st.booleans(),
)  # fmt: skip
latches = st.just(Latch()) | st.builds(
    Latch, agent_epoch=st.integers(-1, 3), fleet_epoch=st.integers(-1, 3), reason=st.sampled_from(["", "halted"])
)  # fmt: skip
vote_freezes = st.none() | st.builds(
    VoteFreeze, epochs=st.tuples(epochs, epochs), votes=st.integers(0, 255), until=st.floats(0, 5_000) | st.floats()
)  # fmt: skip
since = st.none() | moments
memories = st.builds(
    Memory, latch=latches, vote_freeze=vote_freezes, unknown_since=since, doubted_since=since, paused_since=since,
    latched_since=since, asked_since=since, asked=st.just("the guard was stopped"),
)  # fmt: skip
counts = st.builds(
    BallotCount, agent=st.integers(0, 5), fleet=st.integers(0, 5), needed=st.integers(0, 4),
    epochs=st.tuples(st.integers(-1, 3), st.integers(-1, 3)),
)  # fmt: skip
clocks = st.builds(Clock, monotonic=moments, unix=st.floats(NOW - 100, NOW + 100) | st.floats())
limits = st.builds(
    Limits, max_block_age=seconds, unknown_grace=seconds, vote_freeze=seconds, freeze_on_vote=st.booleans(),
    lease_grace=seconds, quorum=st.integers(-1, 4), require_proof=st.booleans(), grace=seconds, halt_grace=seconds,
    operator=st.sampled_from(("", OURS)),
)  # fmt: skip
#: Few values, so that readings meet: a node that says nothing against the agent, or lies a little. For properties about
#: RUN, which would otherwise be about stops in disguise.
agreeable = st.builds(
    lambda endpoint, block, lie, epoch, read_at, scope, proven, refuted: make_reading(
        endpoint=endpoint, block=block, may_run=not lie, epoch=epoch, read_at=read_at, scope=scope, proven=proven,
        refuted=refuted,
    ),
    st.sampled_from("ABC"),
    st.builds(make_block, st.integers(6, 7), st.sampled_from((NOW, NOW, NOW - 61, NOW + 61)), st.integers(0, 1)),
    st.sampled_from((False, False, False, True)),
    st.integers(1, 2),
    st.sampled_from((CLOCK.monotonic, CLOCK.monotonic, CLOCK.monotonic - 61)),
    st.sampled_from((Scope.LATEST, Scope.LATEST, Scope.PINNED, Scope.FINALIZED)),
    st.booleans(),
    st.sampled_from((False, False, False, True)),
)  # fmt: skip
