"""The decision by its properties: what may never happen, whatever nodes say, memory holds and clocks show."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_guard.guard.verdict import (
    Clock,
    Latch,
    Limits,
    Memory,
    Reading,
    VoteFreeze,
    decide,
    is_known,
    remember,
)
from agent_guard.types import FLEET, AgentState, Block, Decision, Head, State

pytestmark = pytest.mark.unit

AGENT = b"a" * 32
NOW = 1_700_000_000
LIMITS = Limits(
    max_block_age=60.0, unknown_grace=30.0, vote_freeze=120.0, freeze_on_vote=True, lease_grace=100.0
)
CLOCK = Clock(monotonic=1_000.0, unix=float(NOW))
KILLING = (State.NONE, State.HALTED, State.RESUMING, State.RETIRED)
GRAVITY = {Decision.RUN: 0, Decision.FREEZE: 1, Decision.HALT: 2}
Make = Callable[..., Reading]

seconds = st.floats(min_value=0, max_value=1e9)
uint40 = st.integers(0, 2**40 - 1)
epochs = st.integers(0, 3) | st.integers(0, 2**64 - 1)


def states(agent: bytes) -> st.SearchStrategy[AgentState]:
    """Whatever a node can answer in the types of the ABI, lies among it."""
    return st.builds(
        AgentState, agent=st.just(agent), state=st.sampled_from(State), may_run=st.booleans(), epoch=epochs,
        arms=st.integers(0, 2**16 - 1), vetoes=st.integers(0, 255), halt_votes=st.integers(0, 255),
        resume_votes=st.integers(0, 255), paused_until=uint40, lease_until=uint40, resume_ready_at=uint40,
        operator=st.just("0x" + "Aa" * 20), head=st.just(Head(0, bytes(32))), halted_size=st.just(0),
    )  # fmt: skip


timestamps = st.integers(NOW - 200, NOW + 200) | st.integers(-(10**400), 10**400)
blocks = st.builds(Block, number=st.integers(0, 2**64), hash=st.just(bytes(32)), timestamp=timestamps)
readings = st.builds(
    Reading, endpoint=st.sampled_from("ABC"), block=blocks, agent=states(AGENT), fleet=states(FLEET),
    read_at=st.floats(0, 2_000) | st.floats(),
)  # fmt: skip
latches = st.builds(
    Latch,
    agent_epoch=st.integers(-1, 3),
    fleet_epoch=st.integers(-1, 3),
    reason=st.sampled_from(["", "halted"]),
)
vote_freezes = st.none() | st.builds(
    VoteFreeze,
    epochs=st.tuples(epochs, epochs),
    votes=st.integers(0, 255),
    until=st.floats(0, 5_000) | st.floats(),
)
memories = st.builds(
    Memory,
    latch=latches,
    vote_freeze=vote_freezes,
    unknown_since=st.none() | st.floats(0, 2_000) | st.floats(),
)
clocks = st.builds(
    Clock, monotonic=st.floats(0, 2_000) | st.floats(), unix=st.floats(NOW - 100, NOW + 100) | st.floats()
)
limits = st.builds(
    Limits, max_block_age=seconds, unknown_grace=seconds, vote_freeze=seconds, freeze_on_vote=st.booleans(),
    lease_grace=seconds, quorum=st.integers(-1, 4),
)  # fmt: skip
#: A node that says nothing against the agent: so that properties about RUN are not about stops in disguise.
agreeable = st.builds(
    Reading,
    endpoint=st.sampled_from("ABC"),
    block=st.builds(
        Block, number=st.just(7), hash=st.just(bytes(32)), timestamp=st.integers(NOW - 90, NOW + 90)
    ),
    agent=st.builds(
        lambda state, lie, epoch: replace(
            state, state=State.RUNNING, may_run=not lie, epoch=epoch, halt_votes=0
        ),
        states(AGENT), st.sampled_from([False, False, False, True]), st.integers(1, 2),
    ),
    fleet=st.builds(
        lambda state: replace(state, state=State.RUNNING, may_run=True, epoch=1, halt_votes=0), states(FLEET)
    ),
    read_at=st.floats(900, 1_000),
)  # fmt: skip


def gravity(*arguments: Any) -> int:
    return GRAVITY[decide(*arguments).decision]


# --- totality --------------------------------------------------------------------------------------------------------


@given(st.lists(readings, max_size=4), memories, clocks, limits)
@example([], Memory(), Clock(float("nan"), float("nan")), LIMITS)
@example([], Memory(unknown_since=float("inf")), Clock(float("inf"), float("inf")), LIMITS)
def test_no_input_makes_the_decision_raise(
    seen: list[Reading], memory: Memory, clock: Clock, bounds: Limits
) -> None:
    after = remember(memory, seen, clock, bounds)
    verdict = decide(seen, after, clock, bounds)
    assert verdict.decision in Decision
    assert verdict.decision is Decision.RUN or isinstance(verdict.reason, str)


# --- RUN needs a quorum ----------------------------------------------------------------------------------------------


def _vouches(reading: Reading, clock: Clock, bounds: Limits) -> bool:
    """A second reading of the rule, on purpose written otherwise than in the code."""
    age = clock.unix - reading.block.timestamp if abs(reading.block.timestamp) < 2**63 else float("inf")
    fresh = -bounds.max_block_age <= age <= bounds.max_block_age
    recent = clock.monotonic - bounds.max_block_age <= reading.read_at <= clock.monotonic
    says = (reading.agent.state, reading.fleet.state) == (State.RUNNING, State.RUNNING)
    return fresh and recent and says and reading.agent.may_run and reading.fleet.may_run


@given(
    st.lists(agreeable, max_size=5),
    st.just(Memory()) | memories,
    st.builds(replace, st.just(LIMITS), quorum=st.integers(0, 3)),
)
def test_no_input_makes_it_run_without_a_fresh_and_consistent_quorum(
    seen: list[Reading], memory: Memory, bounds: Limits
) -> None:
    if decide(seen, memory, CLOCK, bounds).decision is not Decision.RUN:
        return
    by_epochs: dict[tuple[int, int], set[str]] = {}
    for reading in seen:
        if _vouches(reading, CLOCK, bounds):
            by_epochs.setdefault((reading.agent.epoch, reading.fleet.epoch), set()).add(reading.endpoint)
    assert max(map(len, by_epochs.values()), default=0) >= max(1, bounds.quorum)


@given(agreeable)
def test_a_lone_truthful_node_lets_it_run_so_the_properties_are_not_empty(seen: Reading) -> None:
    seen = replace(
        seen, block=Block(7, bytes(32), NOW), read_at=999.0, agent=replace(seen.agent, may_run=True)
    )
    assert decide([seen], Memory(), CLOCK, LIMITS).decision is Decision.RUN


@pytest.mark.parametrize(
    ("nodes", "decision"), [("A", Decision.FREEZE), ("AA", Decision.FREEZE), ("AB", Decision.RUN)]
)
def test_a_quorum_of_two_needs_two_nodes_and_not_one_twice(
    reading: Make, nodes: str, decision: Decision
) -> None:
    seen = [reading(endpoint=node, read_at=1_000.0) for node in nodes]
    assert decide(seen, Memory(), CLOCK, replace(LIMITS, quorum=2)).decision is decision


def test_two_nodes_that_differ_in_the_epoch_are_no_quorum(reading: Make) -> None:
    seen = [reading(endpoint="A", read_at=1_000.0), reading(endpoint="B", read_at=1_000.0, epoch=2)]
    assert decide(seen, Memory(), CLOCK, replace(LIMITS, quorum=2)).decision is Decision.FREEZE


@pytest.mark.parametrize(("agent", "fleet"), [(False, True), (True, False), (False, False)])
def test_a_node_that_contradicts_itself_is_no_word_to_run_on(reading: Make, agent: bool, fleet: bool) -> None:
    seen = reading(read_at=1_000.0, may_run=agent, fleet_changes={"may_run": fleet})
    assert decide([seen], Memory(), CLOCK, LIMITS).decision is Decision.FREEZE


# --- stops -----------------------------------------------------------------------------------------------------------


@given(
    st.lists(readings, max_size=3),
    readings,
    st.sampled_from(KILLING),
    st.booleans(),
    memories,
    clocks,
    limits,
)
def test_any_node_that_says_halted_retired_resuming_or_unregistered_halts(
    others: list[Reading],
    seen: Reading,
    state: State,
    fleet: bool,
    memory: Memory,
    clock: Clock,
    bounds: Limits,
) -> None:
    stop = (
        replace(seen, fleet=replace(seen.fleet, state=state))
        if fleet
        else replace(seen, agent=replace(seen.agent, state=state))
    )
    assert decide([*others, stop], memory, clock, bounds).decision is Decision.HALT


@pytest.mark.parametrize("who", ["agent", "fleet"])
@pytest.mark.parametrize("state", KILLING)
def test_the_reason_of_a_halt_names_the_fleet_where_it_is_the_fleet(
    reading: Make, who: str, state: State
) -> None:
    seen = reading(**{"state" if who == "agent" else "fleet": state})
    reason = decide([seen], Memory(), CLOCK, LIMITS).reason
    assert reason.startswith("the whole fleet is") is (who == "fleet")


@pytest.mark.parametrize("who", ["state", "fleet"])
def test_a_pause_freezes_for_as_long_as_the_node_has_no_newer_word(reading: Make, who: str) -> None:
    seen = reading(read_at=1_000.0, **{who: State.PAUSED})
    for unix in (NOW, NOW + 60):
        assert decide([seen], Memory(), replace(CLOCK, unix=unix), LIMITS).decision is Decision.FREEZE


@pytest.mark.parametrize(
    ("after", "decision"),
    [(0, Decision.FREEZE), (99, Decision.FREEZE), (100, Decision.HALT), (101, Decision.HALT)],
)
@pytest.mark.parametrize("who", ["agent", "fleet"])
def test_a_lapse_freezes_within_its_grace_and_halts_from_its_last_second_on(
    reading: Make, who: str, after: int, decision: Decision
) -> None:
    lease = {"lease_until": NOW - after}
    seen = (
        reading(State.LAPSED, read_at=1_000.0, **lease)
        if who == "agent"
        else reading(fleet=State.LAPSED, read_at=1_000.0, fleet_changes=lease)
    )
    assert decide([seen], Memory(), CLOCK, LIMITS).decision is decision


@given(
    st.lists(readings, min_size=1, max_size=3),
    readings,
    st.sampled_from([state for state in State if state is not State.RUNNING]),
    memories,
    clocks,
    limits,
)
def test_one_more_node_that_says_stop_never_makes_the_verdict_less_grave(
    seen: list[Reading], more: Reading, state: State, memory: Memory, clock: Clock, bounds: Limits
) -> None:
    stop = replace(more, agent=replace(more.agent, state=state, may_run=False))
    before, after = gravity(seen, memory, clock, bounds), gravity([*seen, stop], memory, clock, bounds)
    assert after >= GRAVITY[Decision.FREEZE]
    # The one exception is what it is for: a word that completes a quorum ends the doubt.
    if is_known(seen, clock, bounds) or not is_known([*seen, stop], clock, bounds):
        assert after >= before


# --- doubt -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [-61, 61, -(10**400), 10**400])
def test_an_old_or_a_future_block_freezes_and_halts_after_the_grace(reading: Make, age: int) -> None:
    seen = [reading(timestamp=NOW - age, read_at=1_000.0)]
    memory = remember(Memory(), seen, CLOCK, LIMITS)
    assert memory.unknown_since == 1_000.0
    for passed, decision in ((0, Decision.FREEZE), (29.9, Decision.FREEZE), (30, Decision.HALT)):
        later = Clock(1_000.0 + passed, float(NOW))
        memory = remember(memory, seen, later, LIMITS)
        assert decide(seen, memory, later, LIMITS).decision is decision, passed


@pytest.mark.parametrize("age", [-60, 0, 60])
def test_a_block_as_old_or_as_early_as_the_limit_is_fresh(reading: Make, age: int) -> None:
    seen = [reading(timestamp=NOW - age, read_at=1_000.0)]
    assert decide(seen, remember(Memory(), seen, CLOCK, LIMITS), CLOCK, LIMITS).decision is Decision.RUN


@pytest.mark.parametrize("read_at", [939.9, 1_000.1])
def test_an_answer_that_is_old_itself_or_of_the_future_is_no_word_even_with_a_fresh_block(
    reading: Make, read_at: float
) -> None:
    assert decide([reading(read_at=read_at)], Memory(), CLOCK, LIMITS).decision is Decision.FREEZE


def test_a_chain_never_read_freezes_and_halts_after_the_grace() -> None:
    memory = remember(Memory(), [], CLOCK, LIMITS)
    assert decide([], memory, CLOCK, LIMITS).decision is Decision.FREEZE
    assert decide([], memory, replace(CLOCK, monotonic=1_030.0), LIMITS).decision is Decision.HALT


def test_a_fresh_word_ends_the_doubt_and_the_next_doubt_has_the_whole_grace(reading: Make) -> None:
    old, fresh = [reading(timestamp=NOW - 100, read_at=1_000.0)], [reading(read_at=1_029.0)]
    memory = remember(
        remember(Memory(), old, CLOCK, LIMITS), fresh, replace(CLOCK, monotonic=1_029.0), LIMITS
    )
    assert memory.unknown_since is None
    later = replace(CLOCK, monotonic=1_050.0)
    memory = remember(memory, old, later, LIMITS)
    assert decide(old, memory, later, LIMITS).decision is Decision.FREEZE


# --- the latch -------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([State.HALTED, State.RETIRED]),
    st.booleans(),
    st.integers(0, 9),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
)
def test_a_halt_once_seen_holds_until_a_later_epoch_whatever_is_said_next(
    state: State, fleet: bool, epoch: int, said: list[int]
) -> None:
    def word(state: State, epoch: int) -> Reading:
        base = states_of(State.RUNNING, State.RUNNING)
        who = "fleet" if fleet else "agent"
        stopped = replace(getattr(base, who), state=state, epoch=epoch)
        other = {"agent": base.agent, "fleet": base.fleet} | {who: stopped}
        may = all(part.state is State.RUNNING for part in other.values())
        changed = {name: replace(part, may_run=part.state is State.RUNNING) for name, part in other.items()}
        changed["agent"] = replace(changed["agent"], may_run=may)
        return replace(base, **changed)

    memory = remember(Memory(), [word(state, epoch)], CLOCK, LIMITS)
    for later in said:  # a reorg, a restart, another node: each time the newest word only
        seen = [word(State.RUNNING, later)]
        memory = remember(memory, seen, CLOCK, LIMITS)
        decision = decide(seen, memory, CLOCK, LIMITS).decision
        assert decision is (Decision.RUN if later > epoch else Decision.HALT)


def states_of(agent: State, fleet: State) -> Reading:
    def one(who: bytes, state: State) -> AgentState:
        head = Head(0, bytes(32))
        return AgentState(
            who, state, state is State.RUNNING, 20, 0, 0, 0, 0, 0, 0, 0, "0x" + "Aa" * 20, head, 0
        )

    return Reading("node", Block(7, bytes(32), NOW), one(AGENT, agent), one(FLEET, fleet), 1_000.0)


def test_a_latched_halt_outlasts_a_chain_that_falls_silent() -> None:
    memory = remember(Memory(), [states_of(State.HALTED, State.RUNNING)], CLOCK, LIMITS)
    verdict = decide([], remember(memory, [], CLOCK, LIMITS), CLOCK, LIMITS)
    assert verdict.decision is Decision.HALT
    assert verdict.reason == "halted by the council"


@given(st.lists(st.lists(readings, max_size=3), max_size=4), clocks, limits)
def test_the_latch_only_ever_rises(told: list[list[Reading]], clock: Clock, bounds: Limits) -> None:
    memory = Memory()
    for seen in told:
        after = remember(memory, seen, clock, bounds)
        assert after.latch.agent_epoch >= memory.latch.agent_epoch
        assert after.latch.fleet_epoch >= memory.latch.fleet_epoch
        memory = after


# --- open votes ------------------------------------------------------------------------------------------------------


def _walk(votes: list[int], step: float, make: Make, epoch: int = 1) -> list[Decision]:
    """The verdicts while the open votes of an agent change every `step` seconds."""
    memory, found = Memory(), []
    for number, count in enumerate(votes):
        clock = Clock(number * step, float(NOW))
        seen = [make(halt_votes=count, read_at=clock.monotonic, epoch=epoch)]
        memory = remember(memory, seen, clock, LIMITS)
        found.append(decide(seen, memory, clock, LIMITS).decision)
    return found


def test_a_first_vote_freezes_for_vote_freeze_seconds_and_then_thaws_though_it_stays_open(
    reading: Make,
) -> None:
    found = _walk([0, 1, 1, 1, 1, 1, 1], 40.0, reading)
    assert [decision.value for decision in found] == [
        "run",
        "freeze",
        "freeze",
        "freeze",
        "run",
        "run",
        "run",
    ]


def test_a_vote_withdrawn_and_cast_again_freezes_no_second_time(reading: Make) -> None:
    found = _walk([1, 1, 1, 1, 0, 1, 1], 60.0, reading)
    assert [decision.value for decision in found] == ["freeze", "freeze", "run", "run", "run", "run", "run"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_all_open_votes_of_an_epoch_together_freeze_at_most_vote_freeze_each(votes: list[int]) -> None:
    step = 40.0  # a third of vote_freeze
    frozen = _walk(votes, step, lambda **more: replace_votes(**more)).count(Decision.FREEZE)
    assert frozen * step <= max(votes) * LIMITS.vote_freeze


def replace_votes(halt_votes: int, read_at: float, epoch: int) -> Reading:
    seen = states_of(State.RUNNING, State.RUNNING)
    return replace(seen, agent=replace(seen.agent, halt_votes=halt_votes, epoch=epoch), read_at=read_at)


def test_a_vote_in_a_later_epoch_freezes_anew(reading: Make) -> None:
    clock = Clock(0.0, float(NOW))
    memory = remember(Memory(), [reading(halt_votes=1)], clock, LIMITS)
    later = Clock(500.0, float(NOW))
    seen = [reading(halt_votes=1, epoch=2, read_at=500.0)]
    assert decide(seen, remember(memory, seen, later, LIMITS), later, LIMITS).decision is Decision.FREEZE


def test_a_vote_against_the_fleet_freezes_every_agent(reading: Make) -> None:
    seen = [reading(read_at=1_000.0, fleet_changes={"halt_votes": 1})]
    verdict = decide(seen, remember(Memory(), seen, CLOCK, LIMITS), CLOCK, LIMITS)
    assert verdict.decision is Decision.FREEZE
    assert "1 open vote" in verdict.reason


def test_with_the_setting_off_an_open_vote_freezes_nobody(reading: Make) -> None:
    bounds = replace(LIMITS, freeze_on_vote=False)
    seen = [reading(read_at=1_000.0, halt_votes=1)]
    assert decide(seen, remember(Memory(), seen, CLOCK, bounds), CLOCK, bounds).decision is Decision.RUN
