"""RUN by its properties: whatever nodes say, memory holds and clocks show, nothing runs without a fresh quorum."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_guard.guard.evidence import BallotCount, Clock, Limits, Reading
from agent_guard.guard.memory import Memory, VoteFreeze, remember
from agent_guard.guard.verdict import decide
from agent_guard.types import Decision, Scope, State
from tests.unit.guard.words import (
    CLOCK,
    LIMITS,
    NONE,
    NOW,
    TWO,
    agreeable,
    at,
    clocks,
    counts,
    limits,
    make_block,
    make_reading,
    memories,
    of_all,
    readings,
)

pytestmark = pytest.mark.unit

NAN, INF, HUGE = float("nan"), float("inf"), 10**400


# --- totality --------------------------------------------------------------------------------------------------------


@given(st.lists(readings, max_size=5), memories, counts, clocks, limits)
@example([], Memory(), NONE, Clock(NAN, NAN), LIMITS)
@example([], Memory(unknown_since=INF, doubted_since=-INF, paused_since=NAN), NONE, Clock(INF, INF), LIMITS)
@example([make_reading(halt_votes=1)], Memory(vote_freeze=VoteFreeze((1, 1), 0, NAN)), NONE, CLOCK, LIMITS)
def test_no_input_makes_the_decision_raise(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    after = remember(memory, seen, ballots, clock, bounds)
    for known in (memory, after):
        verdict = decide(seen, known, ballots, clock, bounds)
        assert verdict.decision in Decision
        assert verdict.reason or verdict.decision is Decision.HALT  # a latch from disk may hold no reason


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": HUGE},
        {"epoch": -HUGE},
        {"halt_votes": HUGE},
        {"paused_until": HUGE, "state": State.PAUSED},
        {"lease_until": HUGE, "state": State.LAPSED},
        {"lease_until": -HUGE, "state": State.LAPSED},
        {"epoch": HUGE, "state": State.HALTED},
    ],
    ids=lambda changes: " ".join(f"{name} {str(value)[:5]}" for name, value in changes.items()),
)
def test_numbers_beyond_any_float_make_no_decision_raise(changes: dict[str, Any]) -> None:
    seen = of_all("AB", **changes)
    memory = remember(Memory(), seen, NONE, CLOCK, TWO)
    assert decide(seen, memory, NONE, CLOCK, TWO).decision in Decision


# --- RUN needs a quorum ----------------------------------------------------------------------------------------------


def vouching(seen: Iterable[Reading], clock: Clock, bounds: Limits) -> int:
    """How many endpoints vouch for running on one block: a second reading of the rule, written otherwise on purpose."""
    groups: dict[tuple[object, ...], set[str]] = {}
    for reading in seen:
        block, agent, fleet = reading.block, reading.agent, reading.fleet
        age = clock.unix - block.timestamp if abs(block.timestamp) < 2**63 else INF
        says_run = agent.state is fleet.state is State.RUNNING and agent.may_run and fleet.may_run
        recent = clock.monotonic - bounds.max_block_age <= reading.read_at <= clock.monotonic
        if not (says_run and recent and -bounds.max_block_age <= age <= bounds.max_block_age):
            continue
        if reading.refuted or (bounds.require_proof and not reading.proven):
            continue
        key = (block.number, block.hash, block.timestamp, agent.epoch, fleet.epoch)
        groups.setdefault(key, set()).add(reading.endpoint)
    return max(map(len, groups.values()), default=0)


bounds_of_run = st.builds(
    replace, st.just(LIMITS), quorum=st.integers(0, 3), require_proof=st.sampled_from((False, False, True))
)


@given(st.lists(agreeable, max_size=6), st.just(Memory()) | memories, st.just(NONE) | counts, bounds_of_run)
@settings(max_examples=500)
def test_no_input_makes_it_run_without_a_fresh_quorum_of_endpoints_on_one_block(
    seen: list[Reading], memory: Memory, ballots: BallotCount, bounds: Limits
) -> None:
    if decide(seen, memory, ballots, CLOCK, bounds).decision is Decision.RUN:
        assert vouching(seen, CLOCK, bounds) >= max(1, bounds.quorum)


@given(st.lists(readings, max_size=6), memories, counts, clocks, limits)
def test_no_nonsense_makes_it_run_without_a_fresh_quorum_either(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    if decide(seen, memory, ballots, clock, bounds).decision is Decision.RUN:
        assert vouching(seen, clock, bounds) >= max(1, bounds.quorum)


@given(
    st.lists(st.tuples(st.lists(agreeable, max_size=5), st.just(NONE) | counts), min_size=1, max_size=6),
    bounds_of_run,
)
def test_no_sequence_of_readings_and_ballots_runs_at_a_moment_without_a_fresh_quorum(
    told: list[tuple[list[Reading], BallotCount]], bounds: Limits
) -> None:
    memory = Memory()
    for seen, ballots in told:
        memory = remember(memory, seen, ballots, CLOCK, bounds)
        if decide(seen, memory, ballots, CLOCK, bounds).decision is Decision.RUN:
            assert vouching(seen, CLOCK, bounds) >= max(1, bounds.quorum)


@given(st.lists(st.builds(replace, agreeable | readings, endpoint=st.just("A")), max_size=8), memories)
def test_one_endpoint_alone_never_makes_it_run_where_two_must_agree(
    seen: list[Reading], memory: Memory
) -> None:
    for known in (memory, Memory(), remember(Memory(), seen, NONE, CLOCK, TWO)):
        assert decide(seen, known, NONE, CLOCK, TWO).decision is not Decision.RUN


@given(st.lists(st.builds(replace, agreeable, refuted=st.just(True)), max_size=8))
def test_endpoints_whose_proof_showed_something_else_never_make_it_run(seen: list[Reading]) -> None:
    assert decide(seen, Memory(), NONE, CLOCK, LIMITS).decision is not Decision.RUN


def test_one_truthful_node_lets_it_run_where_one_is_enough_so_the_properties_are_not_empty() -> None:
    assert decide([make_reading()], Memory(), NONE, CLOCK, LIMITS).decision is Decision.RUN


@pytest.mark.parametrize(
    ("nodes", "quorum", "decision"),
    [
        ("A", 2, Decision.FREEZE),
        ("AA", 2, Decision.FREEZE),
        ("AB", 2, Decision.RUN),
        ("AB", 3, Decision.FREEZE),
        ("AABB", 3, Decision.FREEZE),
        ("ABC", 3, Decision.RUN),
        ("A", 0, Decision.RUN),
        ("A", -1, Decision.RUN),
        ("", 0, Decision.FREEZE),
    ],
)
def test_a_quorum_needs_as_many_endpoints_and_not_one_twice(
    nodes: str, quorum: int, decision: Decision
) -> None:
    bounds = replace(LIMITS, quorum=quorum)
    assert decide(of_all(nodes), Memory(), NONE, CLOCK, bounds).decision is decision


@pytest.mark.parametrize(
    "other",
    [
        {"block": make_block(number=8)},
        {"block": make_block(fork=1)},
        {"block": make_block(timestamp=NOW - 1)},
        {"epoch": 2},
        {"fleet_changes": {"epoch": 2}},
        {"refuted": True},
        {"block": make_block(timestamp=NOW - 61)},
        {"read_at": CLOCK.monotonic - 60.1},
        {"read_at": CLOCK.monotonic + 0.1},
    ],
    ids=[
        "another height", "another hash", "another time for the same hash", "another epoch", "another fleet epoch",
        "a refuted word", "an old block", "an old answer", "an answer of the future",
    ],
)  # fmt: skip
def test_a_second_endpoint_that_says_something_else_makes_no_quorum(other: dict[str, Any]) -> None:
    seen = [make_reading(endpoint="A"), make_reading(endpoint="B", **other)]
    assert decide(seen, Memory(), NONE, CLOCK, TWO).decision is Decision.FREEZE
    seen.append(make_reading(endpoint="C"))
    assert decide(seen, Memory(), NONE, CLOCK, TWO).decision is Decision.RUN


@pytest.mark.parametrize("scope", [Scope.PINNED, Scope.FINALIZED])
def test_endpoints_at_different_heights_agree_on_the_block_that_both_have_read(scope: Scope) -> None:
    seen = [
        make_reading(endpoint="A", block=make_block(8)),
        make_reading(endpoint="A", block=make_block(7), scope=scope),
        make_reading(endpoint="B", block=make_block(7)),
    ]
    assert decide(seen, Memory(), NONE, CLOCK, TWO).decision is Decision.RUN


@pytest.mark.parametrize(("agent", "fleet"), [(False, True), (True, False), (False, False)])
def test_a_node_that_contradicts_itself_is_no_word_to_run_on(agent: bool, fleet: bool) -> None:
    seen = make_reading(may_run=agent, fleet_changes={"may_run": fleet})
    assert decide([seen], Memory(), NONE, CLOCK, LIMITS).decision is Decision.FREEZE


def test_where_proofs_are_required_only_proven_words_make_the_quorum() -> None:
    bounds = replace(TWO, require_proof=True)
    proven, plain = of_all("AB", proven=True), of_all("AB")
    assert decide(plain, Memory(), NONE, CLOCK, bounds).decision is Decision.FREEZE
    assert decide([proven[0], plain[1]], Memory(), NONE, CLOCK, bounds).decision is Decision.FREEZE
    assert decide(proven, Memory(), NONE, CLOCK, bounds).decision is Decision.RUN


def test_a_word_that_is_proven_and_refuted_at_once_counts_as_refuted() -> None:
    seen = of_all("AB", proven=True, refuted=True)
    assert decide(seen, Memory(), NONE, CLOCK, TWO).decision is Decision.FREEZE


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
@pytest.mark.parametrize("who", ["state", "fleet"])
def test_no_other_state_than_running_lets_it_run_however_many_say_so(state: State, who: str) -> None:
    seen = of_all("ABC", **{who: state}, lease_until=NOW + 1000, fleet_changes={"lease_until": NOW + 1000})
    memory = remember(Memory(), seen, NONE, CLOCK, TWO)
    assert decide(seen, memory, NONE, CLOCK, TWO).decision is not Decision.RUN


# --- freshness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [-61, 61, -HUGE, HUGE], ids=["-61", "61", "-huge", "huge"])
def test_an_old_or_a_future_block_freezes_and_halts_after_the_grace(age: int) -> None:
    seen = of_all("AB", block=make_block(timestamp=NOW - age))
    memory = remember(Memory(), seen, NONE, CLOCK, TWO)
    assert memory.unknown_since == CLOCK.monotonic
    for passed, decision in ((0, Decision.FREEZE), (29.9, Decision.FREEZE), (30, Decision.HALT)):
        later = replace(CLOCK, monotonic=CLOCK.monotonic + passed)
        memory = remember(memory, seen, NONE, later, TWO)
        assert decide(seen, memory, NONE, later, TWO).decision is decision, passed


@pytest.mark.parametrize("age", [-60, 0, 60])
def test_a_block_as_old_or_as_early_as_the_limit_is_fresh(age: int) -> None:
    seen = of_all("AB", block=make_block(timestamp=NOW - age))
    assert decide(seen, Memory(), NONE, CLOCK, TWO).decision is Decision.RUN


@pytest.mark.parametrize("read_at", [939.9, 1_000.1, NAN, INF, -INF])
def test_an_answer_that_is_old_itself_or_of_the_future_is_no_word_even_with_a_fresh_block(
    read_at: float,
) -> None:
    assert decide([make_reading(read_at=read_at)], Memory(), NONE, CLOCK, LIMITS).decision is Decision.FREEZE


@pytest.mark.parametrize("clock", [replace(CLOCK, unix=NAN), replace(CLOCK, monotonic=NAN), Clock(INF, INF)])
def test_a_clock_that_shows_no_time_is_no_reason_to_run(clock: Clock) -> None:
    assert decide([make_reading()], Memory(), NONE, clock, LIMITS).decision is not Decision.RUN


def test_a_chain_never_read_freezes_and_halts_after_the_grace() -> None:
    memory = remember(Memory(), [], NONE, CLOCK, LIMITS)
    assert decide([], memory, NONE, CLOCK, LIMITS).decision is Decision.FREEZE
    assert decide([], memory, NONE, at(30), LIMITS).decision is Decision.HALT


def test_a_fresh_word_ends_the_doubt_and_the_next_doubt_has_the_whole_grace() -> None:
    old = [make_reading(block=make_block(timestamp=NOW - 100))]
    memory = remember(Memory(), old, NONE, CLOCK, LIMITS)
    memory = remember(memory, [make_reading(read_at=1_029.0)], NONE, at(29), LIMITS)
    assert memory.unknown_since is None
    memory = remember(memory, old, NONE, at(50), LIMITS)
    assert decide(old, memory, NONE, at(50), LIMITS).decision is Decision.FREEZE
    assert decide(old, memory, NONE, at(79.9), LIMITS).decision is Decision.FREEZE
    assert decide(old, memory, NONE, at(80), LIMITS).decision is Decision.HALT
