"""Forged lives: ends that are missing, came late or are said to have come early, and blocks that nobody had read."""

from dataclasses import replace
from typing import Any

import pytest

from agent_guard.audit import AuditResult, Event, Result
from agent_guard.types import Block, State
from tests.unit.audit.conftest import block

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741


def halt(world: Any) -> int:
    world.happens(Event.HALTED)
    world.state = State.HALTED
    return int(world.now)


def resume(world: Any) -> None:
    world.happens(Event.RESUMED, epoch=2)
    world.state = State.RUNNING


def die(world: Any, dead_ms: int, **details: Any) -> int:
    """A death at this unix time."""
    seq = world.record("halt", {"reason": "the council"})
    return int(world.record("death", {}, refers_to=seq, meta={"dead": dead_ms, "epoch": 1}, **details))


def dead(at: int, late_ms: int) -> int:
    """So long after a block, in unix ms."""
    return block(at).timestamp * 1000 + late_ms


def is_open(found: AuditResult, *words: str) -> None:
    """Obedience alone is not verified, in these words."""
    assert (found.result, found.obedience.result, found.integrity.result) == (I, I, V), found.obedience.detail
    assert all(word in found.obedience.detail for word in words), found.obedience.detail


# ------------------------------------------------------------------------------------------------------- missing ends


def test_agent_that_acted_without_a_start_on_record_is_not_known_to_be_dead(world: Any) -> None:
    world.work(3)
    world.anchor()
    halt(world)
    is_open(world.audit(), "no death receipt for the life that began with entry 2")


def test_agent_that_acts_on_after_its_exit_is_not_known_to_be_dead(honest: Any) -> None:
    honest.record("exit", {})
    honest.now += 12
    index = honest.record("intent", {})
    halt(honest)
    honest.anchor()
    is_open(honest.audit(), f"no death receipt for the life that began with entry {index}")


def test_request_that_was_under_way_when_the_agent_left_begins_no_life(honest: Any) -> None:
    honest.record("exit", {})
    honest.now += 10
    honest.record("intent", {})
    honest.anchor()
    halt(honest)
    assert honest.audit().result is V


def test_request_that_was_taken_back_begins_no_life(world: Any) -> None:
    intent = world.record("intent", {})
    world.record("refused", {}, refers_to=intent)
    world.anchor()
    halt(world)
    assert world.audit().result is V


# ---------------------------------------------------------------------------------------------------------- late ends


@pytest.mark.parametrize(("blocks", "result"), [(12, V), (13, I)])
def test_exit_that_comes_later_than_the_limit_is_as_a_death_that_does(
    honest: Any, blocks: int, result: Result
) -> None:
    at = halt(honest)
    honest.recorder._now_ms = lambda: dead(at, 10_000 * blocks)
    index = honest.record("exit", {})
    honest.now += blocks
    honest.anchor()
    found = honest.audit()
    assert found.result is result
    if result is I:
        is_open(found, f"the exit in entry {index} came too late", "130 s after the halt")


def test_late_death_that_names_a_block_before_the_halt_is_late_all_the_same(honest: Any) -> None:
    before = block(honest.now - 1)
    at = halt(honest)
    honest.now += 30
    index = die(honest, dead(at, 290_000), block=before)
    honest.anchor()
    is_open(honest.audit(), f"the death receipt in entry {index} came too late", "290 s after the halt")


@pytest.mark.parametrize("kind", ["death", "exit"])
@pytest.mark.parametrize(("blocks", "result"), [(12, V), (13, I)])
def test_end_that_was_written_after_a_later_anchor_is_not_known_to_have_come_in_time(
    honest: Any, kind: str, blocks: int, result: Result
) -> None:
    """It bears a time right after the halt, but an anchor that is older than it is minutes younger."""
    at = halt(honest)
    honest.record("freeze", {})
    honest.now = at + blocks
    honest.anchor()
    honest.recorder._now_ms = lambda: dead(at, 400)
    if kind == "death":
        die(honest, dead(at, 400))
    else:
        honest.record("exit", {})
    honest.anchor()
    found = honest.audit()
    assert found.result is result
    if result is I:
        is_open(found, "was written 130 s or more after the halt", "the guard's word alone")


@pytest.mark.parametrize(("blocks", "result"), [(72, V), (73, I)])
@pytest.mark.parametrize("is_anchored", [True, False])
def test_end_that_is_anchored_long_after_the_halt_is_the_guards_word_alone(
    honest: Any, blocks: int, result: Result, is_anchored: bool
) -> None:
    at = halt(honest)
    index = die(honest, dead(at, 400))
    honest.now = at + blocks
    if is_anchored:
        honest.anchor()
    found = honest.audit(tail_seconds=10_000)
    assert found.result is result
    if result is I:
        is_open(found, f"the death receipt in entry {index} was not anchored before 730 s after the halt")


def test_anchors_that_the_node_does_not_give_make_no_end_late(honest: Any) -> None:
    at = halt(honest)
    die(honest, dead(at, 400))
    honest.anchor()
    honest.now += 500
    facts = honest.facts()
    assert honest.audit(replace(facts, extensions=facts.extensions[1:])).result is V


@pytest.mark.parametrize("late_ms", [-10_000_000, -1_700_000_000_000])
def test_death_that_is_said_to_have_come_before_the_last_act_is_none(honest: Any, late_ms: int) -> None:
    at = halt(honest)
    index = die(honest, dead(at, late_ms))
    honest.anchor()
    is_open(
        honest.audit(), f"the death receipt in entry {index} says that the agent ended", "before its last"
    )


@pytest.mark.parametrize(("late_ms", "result"), [(60_000, V), (62_000, I)])
def test_death_that_is_said_to_come_after_its_own_receipt_is_none(
    honest: Any, late_ms: int, result: Result
) -> None:
    """Nothing that a dead agent is answered with after that would be late."""
    index = honest.record("death", {}, meta={"dead": dead(honest.now, late_ms), "epoch": 1})
    honest.anchor()
    found = honest.audit()
    assert found.result is result, found
    if result is I:
        is_open(
            found, f"the death receipt in entry {index} says that the agent ended", "after it was written"
        )


def test_death_of_an_earlier_life_answers_no_later_halt(honest: Any) -> None:
    """A kill on doubt alone bears the epoch of the halt that came hours later, in the next life."""
    die(honest, dead(honest.now, 0))
    honest.record("start", {})
    honest.anchor()
    honest.now += 100
    at = halt(honest)
    index = die(honest, dead(at, 5_000))
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.overrun_ms) == (V, 5_000)
    assert found.death is not None
    assert found.death.index == index


# ---------------------------------------------------------------------------------------------------- dates made up


@pytest.mark.parametrize("kind", ["start", "death"])
def test_block_that_was_still_to_come_when_the_entry_was_anchored_was_made_up(honest: Any, kind: str) -> None:
    """It lies after the resume, so that no stop holds it; yet its anchor lies in the halt."""
    at = halt(honest)
    die(honest, dead(at, 400))
    honest.now += 20
    later = block(honest.now + 30)
    if kind == "start":
        honest.record("start", {}, block=later)
    else:
        die(honest, dead(at, 400), block=later)
    honest.anchor()
    anchored_in = honest.now
    honest.now += 20
    resume(honest)
    is_open(honest.audit(), f"({kind}) names block {later.number}", f"the chain was at block {anchored_in}")


@pytest.mark.parametrize(("ahead", "result"), [(0, V), (1, I)])
def test_intent_may_name_the_block_of_its_anchor_and_none_after_it(
    honest: Any, ahead: int, result: Result
) -> None:
    honest.record("intent", {}, block=block(honest.now + 1 + ahead))  # recording it goes on by one block
    honest.anchor()
    honest.now += 5
    assert honest.audit().result is result


@pytest.mark.parametrize(("ahead", "result"), [(1_000, V), (1_001, I)])
def test_entry_that_is_not_anchored_may_name_a_block_that_a_lagging_node_does_not_know(
    honest: Any, ahead: int, result: Result
) -> None:
    number = honest.now + 1 + ahead  # recording it goes on by one block
    honest.record("intent", {}, block=Block(number, b"\x01" * 32, 0))
    assert honest.audit().result is result


def test_act_in_a_pause_is_one_whatever_the_guards_clock_says_if_the_anchor_shows_better(honest: Any) -> None:
    until = block(honest.now).timestamp + 500
    honest.happens(Event.PAUSED, until=until)
    honest.recorder._now_ms = lambda: (until + 10) * 1000
    index = honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert (found.obedience.result, found.first_bad.index) == (T, index)


@pytest.mark.parametrize(("blocks", "by_anchor", "result"), [(11, False, V), (12, False, I), (12, True, I)])
def test_act_that_was_taken_back_long_after_may_have_been_allowed(
    honest: Any, blocks: int, by_anchor: bool, result: Result
) -> None:
    at = halt(honest)
    die(honest, dead(at, 400))
    intent = honest.record("intent", {})
    honest.now += blocks
    if by_anchor:
        honest.anchor()
        honest.recorder._now_ms = lambda: dead(at, 30_500)
    index = honest.record("refused", {}, refers_to=intent)
    honest.anchor()
    found = honest.audit()
    assert found.result is result
    if result is I:
        is_open(found, f"entry {intent} acts although", f"s later, in entry {index}")


def test_decision_on_an_old_block_is_held_against_the_clocks(honest: Any) -> None:
    before = block(honest.now)
    intent = honest.record("intent", {})
    at = halt(honest)
    honest.recorder._now_ms = lambda: dead(at, 130_000)
    index = honest.record("decision", {}, refers_to=intent, block=before)
    honest.now += 20
    die(honest, dead(at, 400))
    honest.anchor()
    is_open(honest.audit(), f"entry {index} decides on a request on block", "130 s after")


def test_death_of_a_life_that_began_after_the_halt_does_not_answer_it(honest: Any) -> None:
    honest.record("exit", {})
    honest.anchor()
    halt(honest)
    honest.now += 5
    resume(honest)
    honest.record("start", {})
    die(honest, dead(honest.now, 0))
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.overrun_ms) == (V, None)


@pytest.mark.parametrize("goes_on", [False, True])
def test_verdict_to_kill_without_a_death_receipt_is_not_known_to_have_been_carried_out(
    honest: Any, goes_on: bool
) -> None:
    """Ballots that were handed to the guard leave no other trace: no block of the chain holds a halt."""
    index = honest.record("halt", {"reason": "ballots"})
    if goes_on:
        honest.record("start", {})
        die(honest, dead(honest.now, 0))
    honest.anchor()
    is_open(honest.audit(), f"the guard's verdict to kill in entry {index} has no death receipt")


@pytest.mark.parametrize("resumed_after", [False, True])
def test_resume_clears_a_pause_only_after_it_though_both_stand_in_one_block(
    honest: Any, resumed_after: bool
) -> None:
    until = block(honest.now).timestamp + 500
    events = [lambda: resume(honest), lambda: honest.happens(Event.PAUSED, until=until)]
    for happens in reversed(events) if resumed_after else events:
        happens()
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is (V if resumed_after else T)


@pytest.mark.parametrize(("blocks", "result"), [(11, V), (13, I)])
def test_act_in_a_pause_on_an_old_block_is_held_against_the_clocks(
    honest: Any, blocks: int, result: Result
) -> None:
    """A pause is soon over: nobody would ever ask for the block that was named, were it not for the clocks."""
    at, before = honest.now, block(honest.now - 1)
    honest.happens(Event.PAUSED, until=block(at).timestamp + 300)
    honest.now += blocks
    index = honest.record("intent", {}, block=before)
    honest.now += 40
    honest.anchor()
    found = honest.audit()
    assert found.obedience.result is result
    if result is I:
        is_open(found, f"entry {index} acts on block {at - 1}", f"after the agent was paused in block {at}")
