"""On which block a quorum agrees, who says something else, and what each endpoint is told of that."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.guard.evidence import Clock, Limits, Reading, agreed, dissent, is_fresh, vouched_epoch
from agent_guard.types import Block, Scope, State
from tests.unit.guard.words import (
    CLOCK,
    LIMITS,
    NOW,
    TWO,
    agreeable,
    clocks,
    limits,
    make_block,
    make_reading,
    of_all,
    readings,
)

pytestmark = pytest.mark.unit


def block_of(seen: Sequence[Reading], bounds: Limits = TWO) -> Block | None:
    group = agreed(seen, CLOCK, bounds)
    return group[0].block if group else None


# --- agreement -------------------------------------------------------------------------------------------------------


@given(st.lists(agreeable | readings, max_size=8), clocks | st.just(CLOCK), limits)
def test_what_is_agreed_is_said_by_enough_distinct_endpoints_of_one_fresh_block(
    seen: list[Reading], clock: Clock, bounds: Limits
) -> None:
    group = agreed(seen, clock, bounds)
    if not group:
        return
    assert len({reading.endpoint for reading in group}) == len(group) >= max(1, bounds.quorum)
    assert {reading.block for reading in group} == {group[0].block}
    said = {(one.agent.state, one.agent.epoch, one.fleet.state, one.fleet.epoch) for one in group}
    assert len(said) == 1
    assert all(is_fresh(reading, clock, bounds) and not reading.refuted for reading in group)
    assert all(reading in seen for reading in group)
    if bounds.require_proof:
        assert all(reading.proven for reading in group)


def test_the_newest_block_on_which_enough_agree_is_taken() -> None:
    seen = [
        make_reading(endpoint="A", block=make_block(9)),
        *of_all("AB", block=make_block(7), scope=Scope.PINNED),
        *of_all("AC", block=make_block(8), scope=Scope.PINNED),
        make_reading(endpoint="B", block=make_block(6)),
    ]
    assert block_of(seen) == make_block(8)
    assert block_of(seen, LIMITS) == make_block(9)
    assert block_of(seen, replace(LIMITS, quorum=3)) is None


@pytest.mark.parametrize("state", State)
def test_a_quorum_agrees_on_a_stop_as_well_as_on_running(state: State) -> None:
    assert block_of(of_all("AB", state=state)) == make_block()


@pytest.mark.parametrize(
    "other",
    [
        {"state": State.PAUSED},
        {"epoch": 2},
        {"fleet": State.PAUSED},
        {"fleet_changes": {"epoch": 2}},
        {"may_run": False},
        {"fleet_changes": {"may_run": False}},
        {"refuted": True},
    ],
    ids=str,
)
def test_two_that_say_different_things_of_one_block_do_not_agree(other: dict[str, Any]) -> None:
    assert block_of([make_reading(endpoint="A"), make_reading(endpoint="B", **other)]) is None


def test_votes_and_leases_may_be_read_differently_without_ending_the_agreement() -> None:
    """They are no part of the decision to run; and whoever names more votes is heard all the same."""
    assert (
        block_of([make_reading(endpoint="A"), make_reading(endpoint="B", halt_votes=1, lease_until=5)])
        is not None
    )


def test_an_endpoint_that_gives_two_answers_on_one_block_is_counted_once_for_each() -> None:
    both = [make_reading(endpoint="A"), make_reading(State.PAUSED, endpoint="A", scope=Scope.PINNED)]
    assert block_of(both) is None
    assert block_of([*both, make_reading(endpoint="B")]) == make_block()


@pytest.mark.parametrize(
    ("named", "quorum", "epoch"),
    [
        ([], 1, -1),
        ([("A", 5)], 1, 5),
        ([("A", 5)], 2, -1),
        ([("A", 5), ("A", 7)], 2, -1),
        ([("A", 5), ("B", 7)], 2, 5),
        ([("A", 5), ("A", 6), ("B", 10**400)], 2, 6),
        ([("A", 1), ("B", 2), ("C", 3)], 2, 2),
        ([("A", 1), ("B", 2), ("C", 3)], 3, 1),
        ([("A", 5)], 0, 5),
    ],
)
def test_the_vouched_epoch_is_the_highest_that_a_quorum_reaches(
    named: list[tuple[str, int]], quorum: int, epoch: int
) -> None:
    assert vouched_epoch(named, replace(LIMITS, quorum=quorum)) == epoch


# --- dissent ---------------------------------------------------------------------------------------------------------


def dissenters(seen: Sequence[Reading], nodes: str = "ABC", bounds: Limits = TWO) -> dict[str, str]:
    return dissent(seen, agreed(seen, CLOCK, bounds), tuple(nodes), CLOCK, bounds)


def test_endpoints_that_say_the_same_are_no_dissenters_whatever_else_they_have_read() -> None:
    seen = [*of_all("ABC"), make_reading(State.PAUSED, endpoint="C", block=make_block(3), scope=Scope.PINNED)]
    assert dissenters(seen) == {}


def test_an_endpoint_a_block_ahead_that_says_the_same_is_no_dissenter() -> None:
    ahead = make_reading(endpoint="C", block=make_block(8))
    assert dissenters([*of_all("AB"), ahead, make_reading(endpoint="C", scope=Scope.PINNED)]) == {}


def test_an_endpoint_a_block_behind_that_says_the_same_is_no_dissenter() -> None:
    behind = make_reading(endpoint="C", block=make_block(6))
    known = make_reading(endpoint="A", block=make_block(6), scope=Scope.PINNED)
    assert dissenters([*of_all("AB"), known, behind]) == {}


@pytest.mark.parametrize("number", [6, 7, 8])
def test_an_endpoint_whose_block_nobody_has_and_who_has_not_the_agreed_one_is_on_a_fork(number: int) -> None:
    forked = make_reading(endpoint="C", block=make_block(number, fork=1))
    found = dissenters([*of_all("AB"), forked])
    assert found == {"C": f"has another block {number} than the others know"}


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (make_reading(State.HALTED, endpoint="C"), "says HALTED in epoch 1 at block 7, where others say RUNNING"),
        (make_reading(endpoint="C", epoch=4), "says RUNNING in epoch 4 at block 7, where others say"),
        (make_reading(fleet=State.PAUSED, endpoint="C"), "RUNNING in epoch 1, fleet PAUSED at block 7"),
        (make_reading(endpoint="C", block=make_block(5, NOW - 61)), "its newest block is 5, not fresh"),
        (make_reading(endpoint="C", read_at=CLOCK.monotonic - 61), "its newest block is 7, not fresh"),
        (make_reading(endpoint="C", refuted=True), "its state proof shows something else than it says"),
        (make_reading(endpoint="C", scope=Scope.PINNED), "has never answered"),
    ],
)  # fmt: skip
def test_each_dissenter_is_named_with_what_it_says_instead(word: Reading, why: str) -> None:
    found = dissenters([*of_all("AB"), word])
    assert found.keys() == {"C"}
    assert why in found["C"]


def test_an_endpoint_that_never_answered_is_named() -> None:
    assert dissenters(of_all("AB")) == {"C": "has never answered"}


def test_where_nobody_agrees_everybody_is_named() -> None:
    seen = [make_reading(endpoint="A"), make_reading(State.PAUSED, endpoint="B")]
    assert dissenters(seen, "AB") == {
        "A": "says RUNNING in epoch 1 at block 7",
        "B": "says PAUSED in epoch 1 at block 7",
    }


@given(st.lists(agreeable | readings, max_size=6), clocks | st.just(CLOCK), limits)
def test_who_dissents_is_among_the_endpoints_and_never_all_of_an_agreeing_quorum(
    seen: list[Reading], clock: Clock, bounds: Limits
) -> None:
    group = agreed(seen, clock, bounds)
    found = dissent(seen, group, ("A", "B", "C"), clock, bounds)
    assert found.keys() <= {"A", "B", "C"}
    assert all(found.values())
    newest = {reading.endpoint: reading for reading in seen if reading.scope is Scope.LATEST}
    for reading in group:
        if newest.get(reading.endpoint) is reading:
            assert reading.endpoint not in found
