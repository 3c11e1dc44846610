"""What an operator wrote of an agent before he guarded it, or after: it makes no audit better, nor proves anything.

An honest handover is VERIFIED, as far as this log goes; the other operators' logs are audited beside it.
"""

from dataclasses import replace
from typing import Any

import pytest

from agent_guard.audit import AuditLimits, Event, LimitsInForce, Result
from agent_guard.audit.tenure import Tenure
from agent_guard.report.sentences import verdict
from agent_guard.types import State
from tests.unit.audit import test_stretch as stretches
from tests.unit.audit.conftest import IDENTITY, happening

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741
ME, THEY = IDENTITY.operator, "0x" + "Ee" * 20


def act(world: Any) -> int:
    """One request and its outcome; the index of the request."""
    intent = world.record("intent", {"tool": "write"})
    world.record("outcome", {"status": "ok"}, refers_to=intent)
    return int(intent)


def die(world: Any) -> int:
    meta = {"dead": world.facts().as_of.timestamp * 1000, "epoch": 1}
    return int(world.record("death", {"reason": "handed over"}, meta=meta))


def said(found: Any) -> str:
    return str(found.completeness.detail)


@pytest.fixture
def second(world: Any) -> Any:
    """The log of an operator who took over in block 104, when it had 8 entries (of another agent) on chain."""
    world.history = [happening(Event.REGISTERED, 90, operator=THEY)]
    for _ in range(8):
        world.record("config", {}, "other")
    world.now = 104
    world.anchor()
    world.hands_over(ME)
    world.now += 1
    return world


@pytest.fixture
def taken_over(honest: Any) -> Any:
    """The honest log of 30 entries, all on chain, in the block in which another operator takes over."""
    honest.hands_over(THEY)
    return honest


# ---------------------------------------------------------------------------------------------------- honest handovers


def test_what_an_operator_did_before_he_was_replaced_is_verified_beside_the_others_log(
    taken_over: Any,
) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.obedience.result) == (V, V)
    assert "31 entries without a gap, 18 of this agent" in said(found)


def test_without_the_others_log_the_agents_history_is_not_complete(taken_over: Any) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    found = taken_over.audit(beside=["0x" + "Dd" * 20])
    assert (found.result, found.completeness.result, found.obedience.result) == (I, I, V)
    assert f"other operators held this agent too, and their logs were not audited here: {THEY}" in said(found)


@pytest.mark.parametrize("end", ["exit", "death"])
def test_what_was_written_just_before_a_handover_and_anchored_after_it_is_the_agents(
    honest: Any, end: str
) -> None:
    for _ in range(3):
        act(honest)
    intent = honest.record("intent", {})  # its answer comes when the new one guards it already
    honest.hands_over(THEY)
    honest.record("outcome", {}, refers_to=intent)
    (die(honest) if end == "death" else honest.record("exit", {}))
    honest.now += 3
    honest.anchor()
    found = honest.audit(beside=[THEY])
    assert found.result is V, said(found)
    assert "39 entries without a gap, 26 of this agent" in said(found)


def test_what_is_not_anchored_yet_is_the_agents_too_soon_after_a_handover(honest: Any) -> None:
    act(honest)
    honest.hands_over(THEY)
    honest.record("exit", {})
    assert honest.audit(beside=[THEY]).result is V


def test_an_operator_who_guards_the_agent_again_has_both_histories(taken_over: Any) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    taken_over.now += 40
    taken_over.work(3)  # of another agent, too
    found = taken_over.audit(beside=[THEY])
    assert found.result is I  # for two of those three are about the agent
    assert "4 entries about this agent, from 33 to 36, do not speak of it" in said(found)


def test_two_terms_of_one_operator_are_verified(taken_over: Any) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    taken_over.now += 40
    taken_over.record("config", {}, "other")
    taken_over.anchor()
    taken_over.hands_over(ME)
    taken_over.now += 1
    taken_over.record("start", {})
    act(taken_over)
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert found.result is V, said(found)
    assert "35 entries without a gap, 21 of this agent" in said(found)


def test_the_second_operator_is_verified_from_his_first_entry_on(second: Any) -> None:
    second.record("start", {})
    act(second)
    second.anchor()
    found = second.audit(beside=[THEY])
    assert found.result is V, said(found)
    assert "11 entries without a gap, 3 of this agent" in said(found)


def test_an_operator_who_is_appointed_anew_goes_on(honest: Any) -> None:
    act(honest)
    honest.hands_over(ME)
    act(honest)
    honest.anchor()
    act(honest)
    honest.anchor()
    found = honest.audit()
    assert found.result is V, said(found)


def test_a_quick_change_and_back_leaves_the_tail_of_the_first_term_the_agents(honest: Any) -> None:
    act(honest)
    honest.hands_over(THEY)
    honest.record("exit", {})
    honest.hands_over(ME)  # before the tail of the first term came onto the chain
    honest.now += 1
    honest.record("start", {})
    act(honest)
    honest.anchor()
    found = honest.audit(beside=[THEY])
    assert found.result is V, said(found)


def test_contents_can_be_erased_on_record_long_after_a_handover(taken_over: Any) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    taken_over.now += 3_000
    record = taken_over.record("erasure", {"reason": "on request"}, refers_to=4)
    taken_over.anchor()
    taken_over.forge("DELETE FROM content WHERE leaf_index = 4")
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.erased) == (V, 1), said(found)
    assert f"entry 4 by entry {record}" in found.openness.detail
    assert "18 of this agent" in said(found)


# --------------------------------------------------------------------------------------- written before the first term


@pytest.fixture
def early(world: Any) -> Any:
    """The log of an operator who wrote of the agent (8 entries, one request open) before he took over in block 120."""
    world.history = [happening(Event.REGISTERED, 90, operator=THEY)]
    world.record("start", {})
    for _ in range(3):
        act(world)
    world.record("intent", {})
    world.now = 120
    return world


def take_over(world: Any) -> None:
    world.anchor()
    world.hands_over(ME)
    world.now += 1


def test_entries_from_before_the_appointment_do_not_speak_of_the_agent(early: Any) -> None:
    take_over(early)
    early.record("start", {})
    act(early)
    early.anchor()
    found = early.audit(beside=[THEY])
    assert (found.result, found.integrity.result, found.completeness.result) == (I, V, I)
    assert "8 entries about this agent, from 0 to 7, do not speak of it" in said(found)
    assert "became this agent's guard when 8 entries of his log were on chain (block 120)" in said(found)
    assert (found.obedience.result, found.openness.result) == (V, V)
    assert "the content of all 3 entries" in found.openness.detail


@pytest.mark.parametrize("kept", [0, 1])
def test_anchors_that_the_node_does_not_give_hide_no_entries_from_before_the_appointment(
    second: Any, kept: int
) -> None:
    """By those that are left his log had nothing on chain then; and the acts name a block that was still to come."""
    second.history.pop()
    dated(second, 8, 125)
    second.anchor()
    anchors, second.extensions = second.extensions, []
    second.hands_over(ME)
    second.extensions, second.now = anchors, 126
    second.record("start", {})
    second.anchor()
    given = anchors[len(anchors) - kept :]
    found = second.audit(replace(second.facts(), extensions=given), beside=[THEY])
    assert (found.result, found.integrity.result, found.obedience.result) == (I, V, V)
    assert "the node did not give every anchor, so that it is not known what of this log" in said(found)


def test_one_such_entry_is_named_alone(second: Any) -> None:
    second.history.pop()
    second.now = 104
    second.record("exit", {})
    second.anchor()
    second.hands_over(ME)
    second.now += 1
    second.record("start", {})
    second.anchor()
    found = second.audit(beside=[THEY])
    assert found.result is I
    assert "entry 8 is about this agent and does not speak of it" in said(found)


FORGERIES = {
    "an act while it was halted": lambda world: act(world),
    "an answer to no request": lambda world: world.record("outcome", {}, refers_to=0),
    "a start while it was halted": lambda world: world.record("start", {}),
    "the erasure of another agent's entry": lambda world: world.record("erasure", {}, refers_to=other(world)),
    "a verdict without a death": lambda world: world.record("halt", {}),
    "a death that nobody signed": lambda world: world.record(
        "death", {}, meta={"dead": 1, "signature": "AA=="}
    ),
    "a content that is gone": lambda world: forget(world, act(world)),
}


def other(world: Any) -> int:
    return int(world.record("config", {}, "other"))


def forget(world: Any, index: int) -> None:
    with world.store._connection as connection:
        connection.execute("DELETE FROM content WHERE leaf_index = ?", (index,))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_from_before_the_appointment_accuses_the_agent(early: Any, forgery: str) -> None:
    early.happens(Event.HALTED)
    FORGERIES[forgery](early)
    early.now += 1
    early.happens(Event.RESUMED, epoch=2)
    early.now += 1
    take_over(early)
    early.record("start", {})
    act(early)
    early.anchor()
    found = early.audit(beside=[THEY])
    assert (found.result, found.first_bad) == (I, None), forgery
    assert (found.integrity.result, found.obedience.result, found.openness.result) == (V, V, V), found


def test_a_false_record_of_an_erasure_from_before_is_no_fault_by_itself(second: Any) -> None:
    second.history.pop()
    second.now = 104
    second.record("erasure", {}, refers_to=2)  # another agent's
    second.anchor()
    second.hands_over(ME)
    second.now += 1
    second.record("start", {})
    second.anchor()
    assert second.audit(beside=[THEY]).result is V


def test_the_erasure_of_an_entry_from_before_is_neither_counted_nor_missed(early: Any) -> None:
    take_over(early)
    early.record("start", {})
    early.record("erasure", {}, refers_to=1)
    early.anchor()
    early.forge("DELETE FROM content WHERE leaf_index = 1")
    found = early.audit(beside=[THEY])
    assert (found.openness.result, found.erased, found.first_bad) == (V, 0, None)
    assert found.openness.detail == "the content of all 2 entries of this agent is there"


def test_limits_that_were_recorded_before_the_appointment_bind_nobody(second: Any) -> None:
    second.history.pop()
    second.now = 104
    second.record("config", {}, meta={"max_unanchored_entries": 1})
    second.anchor()
    second.hands_over(ME)
    second.now += 1
    second.record("start", {})
    found = second.audit(beside=[THEY])
    assert found.limits is not None
    assert (found.limits.entry, found.limits.tail_entries) == (None, 10_000)


# ----------------------------------------------------------------------------------------- written after the last term


def test_acts_on_the_block_of_a_handover_or_a_later_one_are_not_the_agents(taken_over: Any) -> None:
    intent = act(taken_over)  # on the very block of the change
    taken_over.record("exit", {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.obedience.result) == (I, V)
    assert f"entry {intent} is about this agent and does not speak of it" in said(found)
    assert "was replaced as this agent's guard when 30 entries of his log were on chain (block 130)" in said(
        found
    )


@pytest.mark.parametrize("kind", ["start", "intent"])
def test_a_guard_that_goes_on_after_it_was_replaced_is_not_verified(taken_over: Any, kind: str) -> None:
    taken_over.record("exit", {})
    taken_over.now += 1
    index = taken_over.record(kind, {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert found.result is I
    assert f"entry {index} is about this agent" in said(found)


def dated(world: Any, index: int, number: int) -> None:
    """Has an entry, and what follows it, say that it was written at that height."""
    at = happening(Event.HALTED, number).block
    clock, block = world.recorder._now_ms, world.recorder._block
    world.recorder._now_ms, world.recorder._block = (lambda: at.timestamp * 1000), (lambda: at)
    try:
        act(world)
    finally:
        world.recorder._now_ms, world.recorder._block = clock, block
    assert index == world.recorder.head().size - 2


@pytest.mark.parametrize(("later", "result"), [(11, V), (12, V), (14, I)])
def test_acts_dated_back_into_the_term_count_only_if_they_may_have_been_written_then(
    honest: Any, later: int, result: Result
) -> None:
    """The anchor before them came so many blocks of ten seconds after the change; a stop may take 120 s."""
    honest.now += 1
    honest.hands_over(THEY)
    honest.record("exit", {})
    honest.now = honest.history[-1].block.number + later
    honest.anchor()
    dated(honest, 31, honest.history[-1].block.number - 1)
    honest.anchor()
    found = honest.audit(beside=[THEY])
    stray = "2 entries about this agent, from 31 to 32, do not speak of it" in said(found)
    assert stray is (result is I)
    assert found.first_bad is None


@pytest.mark.parametrize(("later", "result"), [(72, V), (73, I)])
def test_what_came_onto_the_chain_long_after_a_handover_is_the_word_of_nobodys_guard(
    honest: Any, later: int, result: Result
) -> None:
    """A stop may take 120 s, and an anchor 600."""
    act(honest)
    honest.hands_over(THEY)
    number = honest.now
    honest.record("exit", {})
    honest.now = number + later
    honest.anchor()
    found = honest.audit(beside=[THEY], tail_seconds=5_000)
    assert found.result is result, said(found)
    if result is I:
        assert "3 entries about this agent, from 30 to 32, do not speak of it" in said(found)
        assert "took over as its guard in block" in found.obedience.detail


def test_an_end_long_after_a_handover_is_none_that_was_seen_in_time(taken_over: Any) -> None:
    taken_over.now += 20
    taken_over.record("exit", {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.obedience.result) == (I, I)
    assert f"{THEY} took over as its guard in block 130" in found.obedience.detail
    assert "the log holds no end of the life that began with entry 1" in found.obedience.detail


def test_an_end_that_claims_to_be_later_than_a_stop_may_take_is_not_verified(taken_over: Any) -> None:
    """By its own words 150 s after the change: within the clock's leeway an entry of the agent, and too late."""
    taken_over.now += 15
    taken_over.record("exit", {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert "came too late" in found.obedience.detail
    assert "150 s after the change of its operator in block 130" in found.obedience.detail


def test_a_life_that_no_end_is_known_of_when_the_operator_changed_is_not_verified(taken_over: Any) -> None:
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.completeness.result, found.obedience.result) == (I, V, I)
    assert "the log holds no end of the life that began with entry 1" in found.obedience.detail


def test_a_life_that_began_anew_does_not_hide_that_the_one_before_the_handover_never_ended(
    taken_over: Any,
) -> None:
    taken_over.now += 40
    taken_over.hands_over(ME)
    taken_over.now += 1
    taken_over.record("start", {})
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert found.obedience.result is I
    assert "the log holds no end of the life that began with entry 1" in found.obedience.detail


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_from_after_the_last_term_accuses_the_agent(taken_over: Any, forgery: str) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    taken_over.now += 100
    taken_over.happens(Event.HALTED)
    taken_over.state = State.HALTED
    taken_over.now += 1
    FORGERIES[forgery](taken_over)
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert found.first_bad is None, forgery
    assert found.result is (V if forgery.startswith("the erasure") else I), said(found)
    assert (found.integrity.result, found.obedience.result, found.openness.result) == (V, V, V), found


def test_a_death_of_the_handover_is_no_answer_to_a_halt_under_the_next_guard(taken_over: Any) -> None:
    """Both bear the same epoch."""
    die(taken_over)
    taken_over.anchor()
    taken_over.now += 50
    taken_over.happens(Event.HALTED)
    taken_over.state = State.HALTED
    found = taken_over.audit(beside=[THEY])
    assert found.halted_at is not None
    assert found.overrun_ms is None


def test_the_sentence_of_a_log_says_no_more_of_a_later_guards_time_than_that_log_shows(
    taken_over: Any,
) -> None:
    """Under him the agent may have been alive when the halt came."""
    die(taken_over)
    taken_over.anchor()
    taken_over.now += 50
    taken_over.happens(Event.HALTED)
    found = taken_over.audit(beside=[THEY])
    assert found.result is V
    assert verdict("walker", found).endswith("By this log it did nothing after that, and had ended before.")


def test_an_entry_of_the_term_that_names_a_block_from_before_it_is_not_vouched_for(second: Any) -> None:
    second.record("start", {})
    dated(second, 9, 103)
    second.anchor()
    found = second.audit(beside=[THEY])
    assert found.result is I
    assert (
        f"2 entries about this agent, from 9 to 10, do not speak of it: entry 9 names block 103, in which {ME}"
        in said(found)
    )


def test_what_came_onto_the_chain_in_the_term_is_the_guards_word_whichever_block_it_names(
    second: Any,
) -> None:
    """The agent was halted under the guard before: an act on a block of then accuses."""
    second.history[1:1] = [happening(Event.HALTED, 95), happening(Event.RESUMED, 98, epoch=2)]
    second.record("start", {})
    dated(second, 9, 96)
    second.anchor()
    found = second.audit(beside=[THEY])
    assert (found.result, found.obedience.result) == (T, T)
    assert found.first_bad is not None
    assert found.first_bad.index == 9


def test_a_halt_in_a_second_term_is_answered_by_a_death_of_that_term(taken_over: Any) -> None:
    taken_over.record("exit", {})
    taken_over.anchor()
    taken_over.now += 40
    taken_over.hands_over(ME)
    taken_over.now += 1
    taken_over.record("start", {})
    taken_over.happens(Event.HALTED)
    taken_over.state = State.HALTED
    index = die(taken_over)
    taken_over.anchor()
    found = taken_over.audit(beside=[THEY])
    assert (found.result, found.overrun_ms) == (V, 0), found.obedience
    assert found.death is not None
    assert found.death.index == index


# ------------------------------------------------------------------------------------------------------- the fast path

Changes = list[tuple[int, str, int, str, int]]
"""Block, operator from then on, size of this log; the former one and the size of his."""
GUARDED: dict[str, tuple[Changes, bool]] = {  # entries 20 to 51, which name no block before number 4
    "all of it": ([(2, ME, 10, "", 0)], True),
    "from its first entry on": ([(2, ME, 20, "", 0)], True),
    "from its second entry on": ([(2, ME, 21, "", 0)], False),
    "to its last entry": ([(2, ME, 0, "", 0), (8, THEY, 0, ME, 52)], True),
    "to the one before its last": ([(2, ME, 0, "", 0), (8, THEY, 0, ME, 51)], False),
    "but for a gap in it": ([(2, ME, 0, "", 0), (8, THEY, 0, ME, 30), (9, ME, 40, THEY, 5)], False),
    "since the block that it names": ([(2, THEY, 0, "", 0), (4, ME, 20, THEY, 5)], True),
    "since a later block than it names": ([(2, THEY, 0, "", 0), (5, ME, 20, THEY, 5)], False),
    "for all that is known": ([], True),
}


@pytest.mark.parametrize("guarded", GUARDED)
def test_entries_are_taken_together_only_if_all_of_them_speak_of_the_agent(guarded: str) -> None:
    changes, fits = GUARDED[guarded]
    history = [
        replace(
            stretches.happening(Event.OPERATOR_CHANGED if former else Event.REGISTERED, number),
            operator=operator,
            size=size,
            former=former,
            former_size=former_size,
        )
        for number, operator, size, former, former_size in changes
    ]
    facts = replace(stretches.facts_of(), history=history)
    tenure, stretch = Tenure(facts, LimitsInForce(AuditLimits())), stretches.plain(lowest=4)
    assert tenure.fits(stretch) is fits
    assert tenure.fits(replace(stretch, own=()))  # another agent's


# ----------------------------------------------------------------------------------------------------------- strangers


STRANGE = {
    "an honest one": lambda world: None,
    "a body": lambda world: world.forge("UPDATE entry SET body = X'00' WHERE leaf_index = 4"),
    "a counter": lambda world: world.rewrite(28, lambda entry: replace(entry, counter=28)),
    "a gap": lambda world: world.forge("DELETE FROM entry WHERE leaf_index = 4"),
    "a false answer": lambda world: world.record("outcome", {}, refers_to=0),
    "a false erasure": lambda world: world.record("erasure", {}, refers_to=0),
}


@pytest.mark.parametrize("forgery", STRANGE)
def test_the_log_of_an_operator_who_never_guarded_the_agent_proves_nothing(honest: Any, forgery: str) -> None:
    honest.history = [happening(Event.REGISTERED, 90, operator=THEY)]
    STRANGE[forgery](honest)
    theirs = honest.facts(identity=replace(IDENTITY, operator=THEY))
    found = honest.audit(theirs)
    assert found.result is I
    checks = (found.integrity, found.completeness, found.obedience)
    assert {check.result for check in checks} == {I}
    assert f"{ME} never guarded this agent" in found.integrity.detail
    assert (found.first_bad, found.faults, found.fault_count) == (None, (), 0)
    assert ("nor is it whole" in found.obedience.detail) is (forgery != "an honest one")


@pytest.mark.parametrize("hidden", [0, 1])
def test_a_node_that_hides_a_change_of_operators_is_noticed(taken_over: Any, hidden: int) -> None:
    """The agent's own state says who guards it now."""
    taken_over.record("exit", {})
    taken_over.anchor()
    facts = taken_over.facts()
    history = [one for place, one in enumerate(facts.history) if place != hidden]
    found = taken_over.audit(replace(facts, history=history), beside=[THEY])
    assert found.result is I


def test_a_node_that_hides_the_newest_change_is_contradicted_by_the_state(taken_over: Any) -> None:
    facts = taken_over.facts()
    found = taken_over.audit(replace(facts, history=facts.history[:1]))
    assert (found.completeness.result, found.integrity.result) == (I, V)
    assert f"by them it is {ME}, and it is {THEY}" in said(found)
