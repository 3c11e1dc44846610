# ruff: noqa: S608 - the forger writes his SQL himself
"""What a guard may leave out, say too late, or say of itself, though every hash fits: each kind of gap, forged."""

from dataclasses import replace
from typing import Any

import pytest

from agent_guard.audit import Event, Result
from agent_guard.audit.answers import RECENT, Answers
from agent_guard.entry import Entry
from agent_guard.types import State
from tests.unit.audit.conftest import GENESIS, block

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741


def halt(world: Any) -> int:
    world.happens(Event.HALTED)
    world.state = State.HALTED
    return int(world.now)


def die(world: Any, at: int, late_ms: int = 400) -> int:
    """A death of the halt in block `at`, so many ms after it."""
    seq = world.record("halt", {"reason": "the council"})
    meta = {"dead": block(at).timestamp * 1000 + late_ms, "epoch": 1}
    return int(world.record("death", {}, refers_to=seq, meta=meta))


# ---------------------------------------------------------------------------------------------- requests and answers


@pytest.mark.parametrize("kind", ["outcome", "refused", "decision"])
@pytest.mark.parametrize(
    ("asked", "who"), [(0, "the guard's own"), (1, "a start"), (2, "another agent's"), (4, "answered before")]
)
def test_answer_to_what_was_no_open_request_is_proof_of_a_missing_intent(
    honest: Any, kind: str, asked: int, who: str
) -> None:
    index = honest.record(kind, {"status": "ok"}, refers_to=asked)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.completeness.result, found.integrity.result) == (T, T, V), who
    assert found.first_bad is not None
    assert (found.first_bad.index, found.first_bad.what) == (index, kind)
    assert f"answers entry {asked}, which is no open request" in found.first_bad.why


def test_intent_that_was_taken_back_has_no_outcome(honest: Any) -> None:
    intent = honest.record("intent", {})
    honest.record("refused", {}, refers_to=intent)
    index = honest.record("outcome", {}, refers_to=intent)
    honest.anchor()
    assert honest.audit().first_bad.index == index


def test_request_that_waits_is_decided_and_then_answered(honest: Any) -> None:
    intent = honest.record("intent", {})
    honest.record("decision", {}, refers_to=intent)
    honest.record("outcome", {}, refers_to=intent)
    honest.anchor()
    assert honest.audit().result is V


def test_missing_outcome_is_said_and_is_no_fault(honest: Any) -> None:
    """The agent may have been killed, or never have said what came of it."""
    honest.record("intent", {})
    honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert found.result is V
    assert "2 of its requests have no outcome on record" in found.completeness.detail


def test_answers_are_out_of_order_and_far_apart_without_a_fault(honest: Any) -> None:
    intents = [honest.record("intent", {}) for _ in range(3)]
    for intent in reversed(intents):
        honest.record("outcome", {}, refers_to=intent)
    honest.anchor()
    found = honest.audit()
    assert found.result is V
    assert "no outcome" not in found.completeness.detail


def test_entry_that_cannot_be_read_may_have_been_the_intent_that_is_answered(honest: Any) -> None:
    honest.forge("UPDATE entry SET body = x'7B7D' WHERE leaf_index = 4")  # the outcome is entry 5
    found = honest.audit()
    assert [fault.index for fault in found.faults] == [4]
    assert found.completeness.result is not T


def test_after_missing_entries_nobody_is_accused_of_answering_them(honest: Any) -> None:
    first, second = honest.record("intent", {}), honest.record("intent", {})
    for intent in (first, second):
        honest.record("outcome", {}, refers_to=intent)
    honest.forge(f"DELETE FROM entry WHERE leaf_index = {first}")
    assert {fault.what for fault in honest.audit().faults} == {"entry", "counter"}


def test_open_requests_cost_no_memory_once_they_are_answered() -> None:
    answers, entry = Answers(), _entry(0, "intent")
    for index in range(0, 200_000, 2):
        assert answers.see(replace(entry, index=index)) is None
        assert answers.see(_entry(index + 1, "outcome", index)) is None
    assert (answers.unanswered, len(answers._recent), len(answers._older)) == (0, 0, 0)


def test_requests_that_stay_open_cost_a_bit_each() -> None:
    answers, entry = Answers(), _entry(0, "intent")
    for index in range(100_000):
        answers.see(replace(entry, index=index))
    assert answers.unanswered == 100_000
    assert len(answers._older) <= -(-100_000 // 4096)
    assert len(answers._recent) <= RECENT
    assert answers.see(_entry(100_001, "outcome", 7)) is None
    assert answers.see(_entry(100_002, "outcome", 7)) is not None


def _entry(index: int, kind: str, refers_to: int | None = None) -> Entry:
    from agent_guard.entry import BlockRef, Kind

    where = BlockRef(1, bytes(32))
    return Entry(index, bytes(32), 0, Kind(kind), 0, where, bytes(32), refers_to)


# ----------------------------------------------------------------------------------------------------------- too late


@pytest.mark.parametrize(("late_ms", "result"), [(120_000, V), (120_001, I)])
def test_death_that_comes_later_than_the_limit_is_not_verified(
    honest: Any, late_ms: int, result: Result
) -> None:
    at = halt(honest)
    honest.now += 14
    index = die(honest, at, late_ms)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.obedience.result, found.overrun_ms) == (result, result, late_ms)
    if result is I:
        assert f"death receipt in entry {index} came too late" in found.obedience.detail


def test_limit_of_a_death_is_the_auditors(honest: Any) -> None:
    die(honest, halt(honest), 1_500)
    honest.anchor()
    assert honest.audit(overrun_seconds=1.5).result is V
    assert honest.audit(overrun_seconds=1.4).result is I


def test_late_death_of_an_earlier_halt_is_found_after_a_resume(honest: Any) -> None:
    at = halt(honest)
    honest.now += 30
    die(honest, at, 290_000)
    honest.happens(Event.RESUMED, epoch=2)
    honest.state = State.RUNNING
    honest.record("start", {})
    honest.anchor()
    found = honest.audit()
    assert found.obedience.result is I
    assert "came too late" in found.obedience.detail


def test_halt_that_found_nobody_alive_needs_no_death_in_time(honest: Any) -> None:
    honest.record("exit", {})
    honest.anchor()
    halt(honest)
    honest.now += 100
    honest.happens(Event.RESUMED, epoch=2)
    honest.state = State.RUNNING
    honest.record("start", {})
    die(honest, honest.now, 0)
    honest.anchor()
    assert honest.audit().obedience.result is V


def test_act_on_an_old_block_is_held_against_the_guards_own_clock(honest: Any) -> None:
    """The guard names the last block before the halt, minutes after it."""
    at = halt(honest)
    honest.now = at + 13
    index = honest.record("intent", {}, block=block(at - 1))
    die(honest, at)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.obedience.result) == (I, I)
    assert f"entry {index} acts on block {at - 1}, but by its own time 130 s after" in found.obedience.detail


def test_act_on_an_old_block_within_the_limit_is_the_guards_to_have_read(honest: Any) -> None:
    at = halt(honest)
    honest.now = at + 11
    honest.record("intent", {}, block=block(at - 1))
    die(honest, at)
    honest.anchor()
    assert honest.audit().result is V


def test_act_on_an_old_block_and_with_an_old_time_is_held_against_the_anchor_before_it(honest: Any) -> None:
    at = halt(honest)
    honest.now = at + 13
    honest.record("thaw", {})
    honest.anchor()
    honest.recorder._now_ms = lambda: block(at - 1).timestamp * 1000
    index = honest.record("intent", {}, block=block(at - 1))
    die(honest, at)
    honest.anchor()
    found = honest.audit()
    assert found.obedience.result is I
    assert (
        f"entry {index} acts on block {at - 1}, but by the time of the anchor before it"
        in found.obedience.detail
    )


def test_act_on_an_old_block_that_was_taken_back_is_none(honest: Any) -> None:
    at = halt(honest)
    honest.now = at + 13
    intent = honest.record("intent", {}, block=block(at - 1))
    honest.record("refused", {}, refers_to=intent)
    die(honest, at)
    honest.anchor()
    assert honest.audit().result is V


def test_of_several_late_acts_one_that_was_not_taken_back_is_enough(honest: Any) -> None:
    at = halt(honest)
    honest.now = at + 13
    first, second = (honest.record("intent", {}, block=block(at - 1)) for _ in range(2))
    honest.record("refused", {}, refers_to=first)
    die(honest, at)
    honest.anchor()
    assert f"entry {second} acts" in honest.audit().obedience.detail


def test_decision_after_the_halt_may_have_been_a_yes(honest: Any) -> None:
    intent = honest.record("intent", {})
    at = halt(honest)
    index = honest.record("decision", {}, refers_to=intent)
    die(honest, at)
    honest.anchor()
    found = honest.audit()
    assert found.obedience.result is I
    assert f"entry {index} decides on a request" in found.obedience.detail


@pytest.mark.parametrize(
    ("kind", "seconds", "result"),
    [("intent", 0, I), ("outcome", 0, V), ("outcome", 130, I), ("freeze", 130, V)],
)
def test_agent_that_speaks_after_its_death_was_not_dead(
    honest: Any, kind: str, seconds: int, result: Result
) -> None:
    open_one = honest.record("intent", {})
    before = block(honest.now)
    at = halt(honest)
    index = die(honest, at)
    honest.recorder._now_ms = lambda: (block(at).timestamp + seconds) * 1000 + 400
    details = {"refers_to": open_one} if kind == "outcome" else {"block": before}
    spoke = honest.record(kind, {}, **({"block": block(at - 1)} if kind == "intent" else details))
    honest.anchor()
    found = honest.audit()
    assert found.obedience.result is result
    if result is I:
        assert f"entry {spoke} ({kind}) comes {seconds}.0 s after the agent's death in entry {index}" in (
            found.obedience.detail
        )


# ---------------------------------------------------------------------------------------------------- a silent guard


def test_guard_that_lets_the_agent_act_while_it_anchors_nothing_was_silent(honest: Any) -> None:
    oldest = honest.record("freeze", {})
    honest.now += 70  # 700 seconds
    index = honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.completeness.result) == (I, I)
    assert f"entry {index} lets the agent act while entry {oldest}, 710 s older" in found.completeness.detail


def test_guard_that_could_not_anchor_and_let_nothing_happen_was_not(honest: Any) -> None:
    honest.record("freeze", {})
    honest.now += 200
    honest.record("refused", {})
    honest.anchor()
    assert honest.audit().result is V


def test_guard_that_comes_back_may_start_the_agent_before_it_anchors_what_was_left(honest: Any) -> None:
    honest.record("freeze", {})
    honest.now += 200
    honest.record("start", {})
    honest.anchor()
    assert honest.audit().result is V


def test_silence_of_the_past_is_found_too(honest: Any) -> None:
    honest.record("freeze", {})
    honest.now += 70
    honest.record("intent", {})
    honest.anchor()
    honest.work(3)
    honest.anchor()
    assert "the guard was silent" in honest.audit().completeness.detail


@pytest.mark.parametrize("given", [slice(0, 0), slice(1, None), slice(0, -2), slice(0, -1)])
def test_anchors_that_the_node_does_not_give_accuse_nobody_of_silence(honest: Any, given: slice) -> None:
    honest.record("freeze", {})
    honest.anchor()
    honest.now += 70
    honest.record("intent", {})
    honest.anchor()
    facts = honest.facts()
    assert honest.audit(facts).result is V
    assert "the node did not give" not in honest.audit(facts).completeness.detail
    found = honest.audit(replace(facts, extensions=facts.extensions[given]))
    assert found.result is V
    assert "the node did not give every anchor" in found.completeness.detail


def test_hole_between_the_anchors_that_a_node_gives_accuses_nobody_either(honest: Any) -> None:
    honest.record("freeze", {})
    honest.anchor()
    honest.now += 70
    honest.record("intent", {})
    honest.anchor()
    facts = honest.facts()
    assert honest.audit(replace(facts, extensions=[*facts.extensions[:-2], facts.extensions[-1]])).result is V


def test_idle_agent_and_a_guard_that_is_gone_look_alike_and_it_is_said(honest: Any) -> None:
    honest.now += 100
    found = honest.audit()
    assert found.result is V
    assert "alive by the log, whose last word is 1010 s older" in found.completeness.detail


def test_agent_that_ended_needs_say_nothing_more(honest: Any) -> None:
    honest.record("exit", {})
    honest.anchor()
    honest.now += 100
    assert "alive" not in honest.audit().completeness.detail


@pytest.mark.parametrize(("ahead", "result"), [(60, V), (61, I)])
def test_entry_younger_than_the_block_that_anchored_it_shows_a_wrong_clock(
    honest: Any, ahead: int, result: Result
) -> None:
    index = 30
    honest.recorder._now_ms = lambda: (block(honest.now + 1).timestamp + ahead) * 1000
    assert honest.record("freeze", {}) == index
    honest.anchor()
    found = honest.audit()
    assert found.completeness.result is result
    if result is I:
        assert f"entry {index} bears a time {ahead} s after block {honest.now}" in found.completeness.detail


def test_clock_that_goes_back_is_said_and_proves_nothing(honest: Any) -> None:
    honest.recorder._now_ms = lambda: (GENESIS + 10 * honest.now - 100) * 1000
    index = honest.record("freeze", {})
    honest.anchor()
    found = honest.audit()
    assert found.result is V
    assert f"at entry {index} the guard's clock went back by" in found.completeness.detail


def test_other_agents_may_act_while_this_ones_silence_is_judged(honest: Any) -> None:
    honest.record("freeze", {})
    honest.now += 70
    honest.record("intent", {}, "other")
    honest.anchor()
    assert honest.audit().result is V


def test_requests_without_an_outcome_are_not_counted_where_a_request_cannot_be_read(honest: Any) -> None:
    """The outcome of the one that can't be read must not be taken for another's."""
    assert "no outcome" not in honest.audit().completeness.detail
    honest.forge("UPDATE entry SET body = CAST('{}' AS BLOB) WHERE kind = 'intent' AND leaf_index = 8")
    found = honest.audit()
    assert found.integrity.result is Result.TAMPERED
    assert "no outcome" not in found.completeness.detail


def test_silence_is_found_however_young_the_first_entry_after_an_anchor_says_it_is(honest: Any) -> None:
    start = honest.now
    honest.recorder._now_ms = lambda: block(start + 70).timestamp * 1000
    honest.record("freeze", {})
    honest.recorder._now_ms = lambda: block(honest.now).timestamp * 1000
    oldest = honest.record("intent", {})
    honest.now = start + 70
    index = honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.completeness.result) == (I, I)
    assert f"entry {index} lets the agent act while entry {oldest}, 690 s older" in found.completeness.detail
