"""Stops: heard from any one endpoint, in force when a quorum, a proof or the grace says so; pauses, lapses, ballots."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent_guard.guard.evidence import BallotCount, Clock, Limits, Reading, agreed, dissent, halts
from agent_guard.guard.memory import BY_BALLOTS, Memory, remember
from agent_guard.guard.verdict import decide
from agent_guard.types import Decision, Scope, State, Verdict
from tests.unit.guard.words import (
    CLOCK,
    GRAVITY,
    KILLING,
    LIMITS,
    NONE,
    NOW,
    OURS,
    THEIRS,
    TWO,
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

OTHERS_RUN = of_all("BC")


def decide_now(seen: list[Reading], bounds: Limits = TWO, ballots: BallotCount = NONE) -> Verdict:
    """The verdict of a guard that has just begun."""
    return decide(seen, remember(Memory(), seen, ballots, CLOCK, bounds), ballots, CLOCK, bounds)


def gravity(*arguments: Any) -> int:
    return GRAVITY[decide(*arguments).decision]


# --- one endpoint, a quorum, the grace -------------------------------------------------------------------------------


@given(
    st.lists(readings, max_size=4),
    readings,
    st.sampled_from(KILLING),
    st.booleans(),
    memories,
    counts,
    clocks,
    limits,
)
def test_any_endpoint_that_says_newest_of_all_that_it_is_halted_stops_the_agent_at_once(
    others: list[Reading], seen: Reading, state: State, fleet: bool, memory: Memory, ballots: BallotCount,
    clock: Clock, bounds: Limits,
) -> None:  # fmt: skip
    who = "fleet" if fleet else "agent"
    stop = replace(seen, scope=Scope.LATEST, **{who: replace(getattr(seen, who), state=state)})
    decision = decide([*others, stop], memory, ballots, clock, bounds).decision
    assert decision is not Decision.RUN
    if bounds.quorum <= 1:
        assert decision is Decision.HALT


@pytest.mark.parametrize("state", KILLING)
@pytest.mark.parametrize("who", ["state", "fleet"])
def test_one_of_several_endpoints_freezes_at_once_and_halts_when_the_doubt_outlasts_its_grace(
    state: State, who: str
) -> None:
    memory, found = Memory(), []
    for seconds in (0.0, 29.9, 30.0, 31.0):
        clock = at(seconds)
        fresh: dict[str, Any] = {"block": make_block(timestamp=int(clock.unix)), "read_at": clock.monotonic}
        seen = [*of_all("BC", **fresh), make_reading(endpoint="A", **{who: state}, **fresh)]
        memory = remember(memory, seen, NONE, clock, TWO)
        verdict = decide(seen, memory, NONE, clock, TWO)
        assert "says A alone" in verdict.reason
        found.append(verdict.decision.value)
    assert found == ["freeze", "freeze", "halt", "halt"]


def test_a_doubt_that_ended_begins_anew_with_the_whole_grace() -> None:
    alone = [*OTHERS_RUN, make_reading(State.HALTED)]
    memory = remember(Memory(), alone, NONE, CLOCK, TWO)
    memory = remember(memory, of_all("ABC"), NONE, at(20), TWO)
    memory = remember(memory, alone, NONE, at(25), TWO)
    assert decide(alone, memory, NONE, at(31), TWO).decision is Decision.FREEZE
    assert decide(alone, memory, NONE, at(55), TWO).decision is Decision.HALT


@pytest.mark.parametrize("states", [(State.HALTED, State.HALTED), (State.HALTED, State.RETIRED)])
def test_a_quorum_that_says_halted_halts_at_once_however_differently_it_says_so(
    states: tuple[State, State],
) -> None:
    seen = [
        make_reading(states[0], endpoint="A", block=make_block(7)),
        make_reading(states[1], endpoint="B", block=make_block(9, fork=1), epoch=3),
        make_reading(endpoint="C"),
    ]
    assert decide_now(seen).decision is Decision.HALT


def test_the_words_of_one_endpoint_of_two_blocks_are_no_quorum() -> None:
    seen = [*OTHERS_RUN, make_reading(State.HALTED), make_reading(State.HALTED, block=make_block(8))]
    assert decide_now(seen).decision is Decision.FREEZE


def test_a_word_however_old_it_grows_stops_until_the_same_endpoint_has_a_newer_one() -> None:
    said_at = CLOCK.monotonic - 900
    seen = [*OTHERS_RUN, make_reading(State.HALTED, block=make_block(1, NOW - 900), read_at=said_at)]
    assert decide_now(seen).decision is Decision.FREEZE
    assert decide_now([*OTHERS_RUN, make_reading()]).decision is Decision.RUN


# --- another operator's agent ----------------------------------------------------------------------------------------

MINE = replace(TWO, operator=OURS)


def test_agent_that_a_quorum_calls_another_operators_is_killed_and_no_halt_is_kept() -> None:
    seen = [make_reading(endpoint="A"), *of_all("BC", operator=THEIRS)]
    verdict = decide_now(seen, MINE)
    assert (verdict.decision, verdict.stopping) == (Decision.HALT, False)
    assert verdict.reason == "another operator's to guard, by the council's decision"
    assert not remember(Memory(), seen, NONE, CLOCK, MINE).latch.holds
    # Given back, it may run again.
    assert decide_now(of_all("ABC"), MINE).decision is Decision.RUN


def test_one_endpoint_that_names_another_operator_freezes_and_is_named_and_kills_when_its_grace_is_over() -> (
    None
):
    seen = [*OTHERS_RUN, make_reading(operator=THEIRS)]
    verdict = decide_now(seen, MINE)
    assert (verdict.decision, "says A alone" in verdict.reason) == (Decision.FREEZE, True)
    said = dissent(seen, agreed(seen, CLOCK, MINE), "ABC", CLOCK, MINE)
    assert set(said) == {"A"}
    assert f"guarded by {THEIRS}" in said["A"]
    memory = remember(Memory(), seen, NONE, CLOCK, MINE)
    fresh = [replace(one, block=make_block(timestamp=NOW + 30), read_at=CLOCK.monotonic + 30) for one in seen]
    assert decide(fresh, memory, NONE, at(30), MINE).decision is Decision.HALT


def test_a_proof_of_the_state_proves_nothing_of_the_operator() -> None:
    seen = [*OTHERS_RUN, make_reading(operator=THEIRS, proven=True)]
    assert decide_now(seen, MINE).decision is Decision.FREEZE


def test_endpoints_that_name_different_operators_agree_on_nothing() -> None:
    assert (
        agreed([make_reading(endpoint="A"), make_reading(endpoint="B", operator=THEIRS)], CLOCK, MINE) == []
    )


def test_a_stop_that_the_council_decided_is_told_before_the_change_of_operators() -> None:
    seen = [
        make_reading(endpoint="A", operator=THEIRS), make_reading(State.HALTED, endpoint="B", operator=THEIRS)
    ]  # fmt: skip
    assert decide_now(seen, MINE).reason == "halted by the council"
    lapsing = of_all("AB", state=State.LAPSED, operator=THEIRS, lease_until=NOW - 1)
    assert "another operator's" in decide_now(lapsing, MINE).reason


def test_the_fleet_is_nobodys_to_guard() -> None:
    assert decide_now(of_all("ABC", fleet_changes={"operator": THEIRS}), MINE).decision is Decision.RUN


STALE = make_block(5, NOW - 61)


@pytest.mark.parametrize(
    "word", [{"state": State.HALTED}, {"fleet": State.PAUSED}, {"halt_votes": 1}], ids=str
)
def test_a_word_that_was_old_when_it_was_said_is_history_where_a_quorum_knows_a_later_block(
    word: dict[str, Any],
) -> None:
    """An endpoint that lags far behind tells of halts that were undone since."""
    lagging = make_reading(block=STALE, **word)
    assert decide_now([*OTHERS_RUN, lagging]).decision is Decision.RUN
    assert decide_now([*OTHERS_RUN[:1], lagging]).decision is not Decision.RUN


@pytest.mark.parametrize(
    "stop",
    [
        make_reading(State.HALTED, block=make_block(5, NOW - 60)),
        make_reading(State.HALTED, block=make_block(7, NOW - 61, fork=1)),
        make_reading(State.HALTED, block=make_block(9, NOW - 61)),
    ],
    ids=["just fresh enough", "as high as the quorum's block", "higher"],
)
def test_a_word_that_is_not_surely_history_stops(stop: Reading) -> None:
    assert decide_now([*OTHERS_RUN, stop]).decision is Decision.FREEZE


def test_where_no_quorum_knows_better_an_old_word_stops_and_a_quorum_of_them_halts() -> None:
    seen = of_all("AB", state=State.HALTED, block=STALE)
    assert decide_now(seen).decision is Decision.HALT
    assert decide_now([*seen, make_reading(endpoint="C")]).decision is Decision.HALT


@pytest.mark.parametrize("scope", [Scope.PINNED, Scope.FINALIZED])
def test_what_an_endpoint_says_of_a_former_block_is_not_its_newest_word(scope: Scope) -> None:
    """A halt that was left lies in former blocks for ever."""
    seen = [*of_all("AB"), make_reading(State.HALTED, endpoint="A", block=make_block(3), scope=scope)]
    assert decide_now(seen).decision is Decision.RUN


@pytest.mark.parametrize("who", ["agent", "fleet"])
@pytest.mark.parametrize("state", KILLING)
@pytest.mark.parametrize("nodes", ["AB", "A"])
def test_the_reason_of_a_stop_names_the_fleet_where_it_is_the_fleet(
    who: str, state: State, nodes: str
) -> None:
    seen = [*OTHERS_RUN, *of_all(nodes, **{"state" if who == "agent" else "fleet": state})]
    assert decide_now(seen).reason.startswith("the whole fleet is") is (who == "fleet")


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", KILLING)
def test_one_endpoint_that_proves_a_halt_under_a_block_that_a_quorum_knows_halts_at_once(
    state: State,
) -> None:
    seen = [*OTHERS_RUN, make_reading(state, proven=True)]
    verdict = decide_now(seen)
    assert verdict.decision is Decision.HALT
    assert "alone" not in verdict.reason


@pytest.mark.parametrize(
    "proof",
    [
        make_reading(State.HALTED, proven=True, block=make_block(fork=1)),
        make_reading(State.HALTED, proven=True, refuted=True),
        make_reading(State.HALTED),
    ],
    ids=["under a block that nobody else knows", "refuted since", "not proven"],
)
def test_what_proves_nothing_is_one_word_among_others(proof: Reading) -> None:
    assert decide_now([*OTHERS_RUN, proof]).decision is Decision.FREEZE


def test_a_block_that_the_prover_alone_has_read_several_times_is_known_to_one() -> None:
    mine = make_block(fork=1)
    seen = [
        *OTHERS_RUN,
        make_reading(State.HALTED, proven=True, block=mine),
        make_reading(block=mine, scope=Scope.PINNED),
    ]
    assert decide_now(seen).decision is Decision.FREEZE


def test_a_proof_under_a_former_block_proves_nothing_of_now() -> None:
    """The block is known to both, but a quorum has gone on since, and the halt may have been undone."""
    other = make_reading(endpoint="B", block=make_block(7), scope=Scope.PINNED)
    proof = make_reading(State.HALTED, proven=True)
    seen = [*of_all("BC", block=make_block(8)), other, proof]
    assert decide_now(seen).decision is Decision.FREEZE
    # While they have not agreed on that later block, the proof stands.
    assert (
        decide_now([make_reading(endpoint="B", block=make_block(8)), other, proof]).decision is Decision.HALT
    )


@pytest.mark.parametrize(
    "old", [{"block": make_block(7, NOW - 61)}, {"read_at": CLOCK.monotonic - 61}], ids=str
)
def test_a_proof_that_has_grown_old_proves_nothing_of_now(old: dict[str, Any]) -> None:
    seen = [make_reading(endpoint="B", **old), make_reading(State.HALTED, proven=True, **old)]
    assert "it takes 2 to know" in decide_now(seen).reason


# --- one more that says stop -----------------------------------------------------------------------------------------


@given(
    st.lists(readings, min_size=1, max_size=4),
    readings,
    st.sampled_from([state for state in State if state is not State.RUNNING]),
    memories,
    counts,
    clocks,
    limits,
)
def test_one_more_endpoint_that_says_stop_never_makes_the_verdict_less_grave(
    seen: list[Reading],
    more: Reading,
    state: State,
    memory: Memory,
    ballots: BallotCount,
    clock: Clock,
    bounds: Limits,
) -> None:
    stop = replace(
        more, endpoint="D", scope=Scope.LATEST, agent=replace(more.agent, state=state, may_run=False)
    )
    before, after = (gravity(words, memory, ballots, clock, bounds) for words in (seen, [*seen, stop]))
    assert after >= GRAVITY[Decision.FREEZE]
    # The one exception is what it is for: a word that completes a quorum ends the doubt, and makes history of words.
    agreed_blocks = [{one.block for one in agreed(words, clock, bounds)} for words in (seen, [*seen, stop])]
    if agreed_blocks[0] == agreed_blocks[1]:
        assert after >= before


# --- pauses and lapses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["state", "fleet"])
@pytest.mark.parametrize("nodes", ["A", "AB", "ABC"])
def test_a_pause_freezes_whoever_says_so_and_never_halts_by_itself(who: str, nodes: str) -> None:
    seen = [
        *(one for one in of_all("ABC") if one.endpoint not in nodes),
        *of_all(nodes, **{who: State.PAUSED}),
    ]
    memory = remember(Memory(), seen, NONE, CLOCK, TWO)
    for seconds in (0.0, 59.0):
        verdict = decide(seen, memory, NONE, at(seconds), TWO)
        assert verdict.decision is Decision.FREEZE
    assert verdict.reason.startswith("the whole fleet is") is (who == "fleet")


@pytest.mark.parametrize(
    ("after", "decision"),
    [(0, Decision.FREEZE), (99, Decision.FREEZE), (100, Decision.HALT), (101, Decision.HALT)],
)
@pytest.mark.parametrize("who", ["state", "fleet"])
def test_a_lapse_freezes_within_its_grace_and_halts_from_its_last_second_on(
    who: str, after: int, decision: Decision
) -> None:
    lease = {"lease_until": NOW - after}
    seen = of_all("AB", **{who: State.LAPSED}, **lease, fleet_changes=lease)
    assert decide_now(seen).decision is decision
    assert decide_now(seen, LIMITS).decision is decision


def test_the_grace_of_a_lapse_is_counted_in_the_chains_time_and_not_in_the_guards() -> None:
    seen = of_all("AB", state=State.LAPSED, lease_until=NOW - 99)
    assert (
        decide(seen, Memory(), NONE, Clock(CLOCK.monotonic + 59, NOW + 59.0), TWO).decision is Decision.FREEZE
    )


# --- ballots handed to the guard itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["agent", "fleet"])
@pytest.mark.parametrize(
    ("count", "decision"), [(0, Decision.RUN), (1, Decision.FREEZE), (2, Decision.HALT), (3, Decision.HALT)]
)
def test_as_many_ballots_as_the_council_needs_halt_and_fewer_are_an_open_vote(
    who: str, count: int, decision: Decision
) -> None:
    ballots = BallotCount(**{who: count}, needed=2, epochs=(1, 1))
    verdict = decide_now(of_all("AB"), ballots=ballots)
    assert verdict.decision is decision
    assert (verdict.reason == BY_BALLOTS) is (decision is Decision.HALT)


def test_ballots_on_the_agent_and_on_the_fleet_are_not_added_up() -> None:
    assert decide_now(of_all("AB"), ballots=BallotCount(1, 1, 2, (1, 1))).decision is Decision.FREEZE


@pytest.mark.parametrize("needed", [0, -1])
def test_no_ballots_of_a_council_that_needs_none_halt(needed: int) -> None:
    assert decide_now(of_all("AB"), ballots=BallotCount(0, 0, needed, (1, 1))).decision is Decision.RUN


@given(st.lists(readings, max_size=4), memories, counts, clocks, limits)
def test_a_quorum_of_ballots_halts_at_once_whatever_the_chain_says_and_grants_no_grace(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    assume(ballots.needed > 0)
    enough = replace(ballots, agent=max(ballots.agent, ballots.needed))
    for known in (memory, Memory(), remember(memory, seen, enough, clock, bounds)):
        verdict = decide(seen, known, enough, clock, bounds)
        assert (verdict.decision, verdict.stopping) == (Decision.HALT, False)


@given(st.lists(readings, max_size=4), memories, st.integers(1, 5), clocks, limits)
def test_one_ballot_too_few_never_halts_what_would_not_be_halted_anyway(
    seen: list[Reading], memory: Memory, needed: int, clock: Clock, bounds: Limits
) -> None:
    few = BallotCount(needed - 1, needed - 1, needed, (1, 1))
    assert GRAVITY[decide(seen, memory, few, clock, bounds).decision] <= max(
        GRAVITY[Decision.FREEZE], gravity(seen, memory, NONE, clock, bounds)
    )


# --- the halts themselves --------------------------------------------------------------------------------------------


def test_a_halt_names_who_says_so_whether_it_is_confirmed_and_its_epoch() -> None:
    seen = [
        make_reading(State.HALTED, endpoint="A", epoch=4),
        make_reading(State.RESUMING, endpoint="B", epoch=5),
        make_reading(fleet=State.RETIRED, endpoint="C", fleet_changes={"epoch": 9}),
    ]
    agent, fleet = halts(seen, CLOCK, TWO)
    assert (agent.fleet, agent.endpoints, agent.confirmed, agent.epoch) == (False, ("A", "B"), True, 4)
    assert (fleet.fleet, fleet.endpoints, fleet.confirmed, fleet.epoch) == (True, ("C",), False, -1)


@pytest.mark.parametrize("state", [State.NONE, State.LAPSED])
def test_a_stop_that_no_signer_decided_has_no_epoch_to_be_latched(state: State) -> None:
    (halt,) = halts(of_all("AB", state=state, lease_until=NOW - 1_000), CLOCK, TWO)
    assert (halt.confirmed, halt.epoch) == (True, -1)


@pytest.mark.parametrize(
    ("epochs", "epoch"),
    [((2**40 - 1, 3), 3), ((3, 2**40 - 1), 3), ((3, 2**40 - 1, 2**40 - 1), 2**40 - 1), ((1, 2), 1)],
)
def test_one_endpoint_that_names_a_huge_epoch_moves_nobody_beyond_what_a_quorum_names(
    epochs: tuple[int, ...], epoch: int
) -> None:
    seen = [
        make_reading(State.HALTED, endpoint=node, epoch=one) for node, one in zip("ABC", epochs, strict=False)
    ]
    (halt,) = halts(seen, CLOCK, TWO)
    assert halt.epoch == epoch


def test_a_proven_halt_does_not_lower_the_epoch_that_a_quorum_names() -> None:
    """The proof may be of an older block than what the quorum has seen since."""
    proof = make_reading(State.HALTED, endpoint="A", proven=True, epoch=1)
    known = make_reading(endpoint="B", scope=Scope.PINNED)
    later = of_all("BC", state=State.HALTED, epoch=3, block=make_block(9))
    (halt,) = halts([proof, known, *later], CLOCK, TWO)
    assert halt.epoch == 3
    (halt,) = halts([proof, known, later[0]], CLOCK, TWO)
    assert halt.epoch == 1
