# ruff: noqa: S608 - the forger writes his SQL himself
"""Every way of changing a log that a forger with the file has, and the entry that the audit names for it."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_guard.audit import AuditLimits, AuditResult, Event, Log, Result, Unreachable, audit
from agent_guard.entry import BlockRef, Entry
from agent_guard.errors import GuardError
from agent_guard.merkle import leaf_hash
from agent_guard.report.sentences import verdict
from agent_guard.store import Reader, Row, SqliteReader, pages_of
from agent_guard.typed_data import agent_id
from agent_guard.types import State

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741
TIME_CHANGED = (
    """UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), '"time":17', '"time":18') AS BLOB)"""
)
ME = agent_id("walker")
OFFLINE = Unreachable("no answer from the node")


def results(found: AuditResult) -> tuple[Result, ...]:
    """Of integrity, completeness, obedience and openness."""
    return tuple(
        check.result for check in (found.integrity, found.completeness, found.obedience, found.openness)
    )


def bad(found: AuditResult) -> tuple[int, str]:
    assert found.first_bad is not None
    return found.first_bad.index, found.first_bad.what


# ------------------------------------------------------------------------------------------------------- honest logs


def test_honest_log_is_verified_in_every_aspect(honest: Any) -> None:
    found = honest.audit()
    assert (found.result, results(found)) == (V, (V, V, V, V))
    assert (found.entries, found.anchored, found.first_bad) == (30, 30, None)
    assert found.head == honest.facts().head


def test_unanchored_tail_within_the_limits_is_verified_and_mentioned(honest: Any) -> None:
    honest.work(2)
    found = honest.audit()
    assert found.result is V
    assert (found.entries, found.anchored) == (34, 30)
    assert "newest 4 are not anchored" in found.completeness.detail


@pytest.mark.parametrize(
    ("limits", "result"),
    [
        ({"tail_entries": 4}, V),
        ({"tail_entries": 3}, I),
        ({"tail_seconds": 39.5}, V),
        ({"tail_seconds": 39.4}, I),
    ],
)
def test_unanchored_tail_past_a_limit_is_the_guards_word_alone(
    honest: Any, limits: dict[str, Any], result: Result
) -> None:
    honest.work(2)  # the oldest was written 39.5 s before the chain's newest block
    found = honest.audit(**limits)
    assert (found.result, found.completeness.result) == (result, result)


@pytest.mark.parametrize(("there", "result"), [(None, I), (2, V), (30, V), (33, V), (34, I), (99, I)])
def test_what_was_written_while_the_chain_was_asked_makes_no_tail_too_long(
    honest: Any, there: int | None, result: Result
) -> None:
    """A busy guard writes thousands of entries in the seconds that it takes to read the chain."""
    honest.work(2)
    found = honest.audit(there=there, tail_entries=3)
    assert found.result is result
    assert "the newest 4 are not anchored yet" in found.completeness.detail or result is I


def test_log_without_any_anchor_is_not_verified(world: Any) -> None:
    world.work(2)
    assert world.audit().result is I


def test_empty_log_is_not_verified(world: Any) -> None:
    found = world.audit()
    assert (found.result, found.entries) == (I, 0)
    assert "nothing of this log is anchored" in found.integrity.detail


def test_audit_needs_only_the_head_where_a_node_gives_no_old_events(honest: Any) -> None:
    found = honest.audit(honest.facts(extensions=()))
    assert (found.result, found.anchored) == (V, 30)


def test_progress_is_told_to_the_end(honest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr("agent_guard.audit.examination.PROGRESS_EVERY", 10)
    with SqliteReader(honest.path) as reader:
        audit(b"x" * 32, Log(reader.identity(), reader.pages()), OFFLINE, AuditLimits(), heard.append)
    assert heard[-1] == 30
    assert heard == sorted(heard)
    assert len(heard) > 1


# ------------------------------------------------------------------------------------------------------ changed bytes


@pytest.mark.parametrize("index", [0, 5, 6, 13, 14, 29])
def test_changed_byte_of_an_entry_is_found_at_its_index(honest: Any, index: int) -> None:
    honest.forge(f"{TIME_CHANGED} WHERE leaf_index = {index}")
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (index, "entry"))
    assert found.integrity.result is T
    # The stored leaf still fits the anchored root: it is proven that it was the bytes.
    assert found.anchored == 30


@pytest.mark.parametrize(
    ("index", "segment"), [(0, (0, 6)), (5, (0, 6)), (6, (6, 14)), (14, (14, 30)), (29, (14, 30))]
)
def test_entry_changed_together_with_its_leaf_is_found_in_its_anchored_segment(
    honest: Any, index: int, segment: tuple[int, int]
) -> None:
    honest.rewrite(index, lambda entry: replace(entry, time=entry.time + 1))
    found = honest.audit()
    start, end = segment
    assert (found.result, bad(found)) == (T, (start, f"entries [{start}, {end})"))
    assert found.anchored == start
    assert found.obedience.result is I


@pytest.mark.parametrize(
    "column", ["leaf = zeroblob(32)", "agent = zeroblob(32)", "counter = 99", "kind = 'thaw'"]
)
def test_changed_column_is_found_at_its_index(honest: Any, column: str) -> None:
    honest.forge(f"UPDATE entry SET {column} WHERE leaf_index = 9")
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (9, "entry"))
    assert found.completeness.result is not T


@pytest.mark.parametrize(
    "change", ["body = x'7B7D'", "body = x'FF'", "body = x''", "body = zeroblob(100000)"]
)
def test_bytes_that_are_no_entry_are_found_at_their_index(honest: Any, change: str) -> None:
    honest.forge(f"UPDATE entry SET {change} WHERE leaf_index = 9")
    assert bad(honest.audit()) == (9, "entry")


def test_bytes_that_are_no_entry_but_have_their_leaf_are_found_too(honest: Any) -> None:
    honest.forge("UPDATE entry SET body = x'7B7D', leaf = ? WHERE leaf_index = 9", values=(leaf_hash(b"{}"),))
    found = honest.audit()
    assert bad(found) == (9, "entry")
    assert "no entry" in found.integrity.detail


@pytest.mark.parametrize(
    "change",
    [
        'body = CAST(\'{"status":"ok","result":6}\' AS BLOB)',
        "salt = zeroblob(32)",
        "salt = x'00'",
        "body = x''",
    ],
)
def test_changed_content_is_found_under_an_intact_root(honest: Any, change: str) -> None:
    honest.forge(f"UPDATE content SET {change} WHERE leaf_index = 9")
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (9, "content"))
    assert found.anchored == 30
    assert (found.completeness.result, found.obedience.result) == (V, V)


def test_other_agents_changed_content_is_found_as_well(honest: Any) -> None:
    honest.forge("UPDATE content SET body = x'78' WHERE leaf_index = 2")
    assert bad(honest.audit()) == (2, "content")


def test_missing_content_of_the_agent_is_not_open_and_not_tampering(honest: Any) -> None:
    honest.forge("DELETE FROM content WHERE leaf_index = 4")
    found = honest.audit()
    assert (found.result, results(found)) == (I, (V, V, V, I))
    assert "from entry 4 on" in found.openness.detail


def test_missing_content_of_another_agent_does_not_matter(honest: Any) -> None:
    honest.forge("DELETE FROM content WHERE leaf_index = 2")
    assert honest.audit().result is V


# ----------------------------------------------------------------------------------------- deleted, moved, replaced


@pytest.mark.parametrize("index", [0, 1, 7, 13, 14, 28])
def test_entry_deleted_in_the_middle_is_the_first_bad_one(honest: Any, index: int) -> None:
    honest.forge(f"DELETE FROM entry WHERE leaf_index = {index}")
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (index, "entry"))
    assert (found.completeness.result, found.obedience.result) == (T, I)
    assert found.entries == 29


def test_entry_deleted_and_the_rest_moved_up_is_found_where_it_was(honest: Any) -> None:
    honest.forge(
        "DELETE FROM entry WHERE leaf_index = 9",
        "UPDATE entry SET leaf_index = -leaf_index WHERE leaf_index > 9",
        "UPDATE entry SET leaf_index = -leaf_index - 1 WHERE leaf_index < 0",
    )
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (9, "entry"))


@pytest.mark.parametrize("kept", [29, 20, 14, 6, 1, 0])
def test_tail_cut_off_is_found_where_the_log_ends(honest: Any, kept: int) -> None:
    honest.forge(f"DELETE FROM entry WHERE leaf_index >= {kept}")
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (kept, f"entries [{kept}, 30)"))
    assert found.completeness.result is T
    assert "cut off" in found.completeness.detail
    assert found.anchored == max(size for size in (0, 6, 14, 30) if size <= kept)


@pytest.mark.parametrize(("one", "other"), [(3, 5), (7, 8), (12, 25)])
def test_two_swapped_entries_are_found_at_the_first_of_them(honest: Any, one: int, other: int) -> None:
    honest.forge(
        f"UPDATE entry SET leaf_index = -1 WHERE leaf_index = {one}",
        f"UPDATE entry SET leaf_index = {one} WHERE leaf_index = {other}",
        f"UPDATE entry SET leaf_index = {other} WHERE leaf_index = -1",
    )
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (one, "entry"))


def test_two_entries_swapped_and_renumbered_consistently_are_found_in_their_segment(honest: Any) -> None:
    with sqlite3.connect(honest.path) as connection:
        bodies = dict(connection.execute("SELECT leaf_index, body FROM entry WHERE leaf_index IN (8, 12)"))
    early, late = Entry.decode(bodies[8]), Entry.decode(bodies[12])
    honest.rewrite(8, lambda entry: replace(entry, commitment=late.commitment, time=late.time))
    honest.rewrite(12, lambda entry: replace(entry, commitment=early.commitment, time=early.time))
    honest.forge("DELETE FROM content WHERE leaf_index IN (8, 12)")
    assert bad(honest.audit()) == (6, "entries [6, 14)")


def test_other_consistent_log_is_found_at_the_first_anchor(honest: Any, tmp_path: Path) -> None:
    other = type(honest)(tmp_path / "other.db")
    other.record("config", {"poll": 2}, None)
    other.record("start", {"command": ["true"]})
    other.work(14)
    other.close()
    honest.close()
    shutil.copy(other.path, honest.path)
    found = honest.audit()
    assert (found.result, bad(found), found.anchored) == (T, (0, "entries [0, 6)"), 0)


def test_log_that_forks_after_an_anchor_is_found_after_it(honest: Any) -> None:
    honest.close()
    facts = honest.facts()
    fork = type(honest)(honest.path.with_name("fork.db"))
    fork.record("config", {"poll": 1}, None)
    fork.record("start", {"command": ["python", "walk.py"]})
    fork.work(2)
    fork.work(4)
    fork.record("intent", {"tool": "other"})
    fork.work(8)
    found = fork.audit(facts)
    fork.close()
    assert (found.result, bad(found), found.anchored) == (T, (14, "entries [14, 30)"), 14)


def test_entry_left_out_by_a_lying_guard_shows_in_the_counters(honest: Any) -> None:
    """The guard anchored what it wrote: every root fits, but its agent's count has a hole."""
    honest.record("intent", {"tool": "secret"})
    honest.recorder._counters[ME] += 1
    index = honest.record("intent", {"tool": "write"})
    honest.anchor()
    found = honest.audit()
    assert (found.result, bad(found)) == (T, (index, "counter"))
    assert found.integrity.result is V


# ----------------------------------------------------------------------------------------- the chain, and the file


def test_unreachable_chain_leaves_an_intact_log_indeterminate(honest: Any) -> None:
    found = honest.audit(OFFLINE)
    assert (found.result, results(found)) == (I, (I, I, I, V))
    assert (found.entries, found.anchored, found.head, found.as_of) == (30, 0, None, None)
    assert "no answer from the node" in found.integrity.detail


@pytest.mark.parametrize(
    ("forgery", "first"),
    [
        ("UPDATE content SET body = x'78' WHERE leaf_index = 9", (9, "content")),
        ("UPDATE entry SET body = x'00' WHERE leaf_index = 9", (9, "entry")),
        ("DELETE FROM entry WHERE leaf_index = 9", (9, "entry")),
    ],
)
def test_unreachable_chain_does_not_hide_what_the_log_itself_shows(
    honest: Any, forgery: str, first: tuple[int, str]
) -> None:
    honest.forge(forgery)
    found = honest.audit(OFFLINE)
    assert (found.result, bad(found)) == (T, first)


@pytest.mark.parametrize(
    "other", [{"council": "0x" + "Cc" * 20}, {"chain_id": 1}, {"operator": "0x" + "Dd" * 20}]
)
def test_wrong_contract_chain_or_operator_proves_nothing_either_way(
    honest: Any, other: dict[str, Any]
) -> None:
    found = honest.audit(honest.facts(identity=replace(honest.identity, **other)))
    assert found.result is I
    assert next(iter(other.values())) is not None
    assert "the log is of operator" in found.integrity.detail
    assert found.first_bad is None


def test_agent_that_another_operator_held_too_is_not_complete_here(honest: Any) -> None:
    honest.happens(Event.OPERATOR_CHANGED, operator="0x" + "Ee" * 20)
    found = honest.audit()
    assert (found.result, found.completeness.result) == (I, I)
    assert "0x" + "Ee" * 20 in found.completeness.detail


def test_damaged_page_is_the_first_bad_entry(world: Any) -> None:
    world.work(600)
    world.anchor()
    world.close()
    with sqlite3.connect(world.path) as connection:
        [(body,)] = connection.execute("SELECT body FROM entry WHERE leaf_index = 700")
    connection.close()
    data = world.path.read_bytes()
    page = data.index(body) // 4096 * 4096
    world.path.write_bytes(data[:page] + b"\xee" * 4096 + data[page + 4096 :])
    readable = [index for index in range(690, 701) if b'"index":%d,' % index in world.path.read_bytes()]
    found = world.audit()
    assert found.result is T
    assert found.first_bad is not None
    assert found.first_bad.aspect.value == "completeness"
    assert "can't be read" in found.first_bad.why
    assert found.first_bad.index <= 700
    assert found.first_bad.index >= (max(readable) + 1 if readable else 690 - 20)


@pytest.mark.parametrize(("readable", "result"), [(29, T), (30, I), (31, I)])
def test_damage_is_tampering_only_where_something_was_anchored(
    honest: Any, readable: int, result: Result
) -> None:
    honest.work(1)

    def rows(reader: Reader) -> Iterator[Row]:
        yield from reader.rows(0, readable)
        raise GuardError("AG515", "the page is malformed.", "Keep it.")

    with SqliteReader(honest.path) as reader:
        found = audit(ME, Log(reader.identity(), pages_of(rows(reader))), honest.facts(), AuditLimits())
    assert (found.result, found.completeness.result, found.entries) == (result, result, readable)
    assert "page is malformed" in found.completeness.detail


@pytest.mark.parametrize("readable", [0, 29])
def test_log_that_could_not_be_read_for_another_reason_proves_nothing(honest: Any, readable: int) -> None:
    def rows(reader: Reader) -> Iterator[Row]:
        yield from reader.rows(0, readable)
        raise GuardError("AG514", "it is locked.", "Close it.")

    with SqliteReader(honest.path) as reader:
        found = audit(ME, Log(reader.identity(), pages_of(rows(reader))), honest.facts(), AuditLimits())
    assert (found.result, found.first_bad) == (I, None)
    assert "it is locked" in found.completeness.detail


def test_changes_in_the_unanchored_tail_are_found_by_their_leaf(honest: Any) -> None:
    honest.work(1)
    honest.forge(f"{TIME_CHANGED} WHERE leaf_index = 31")
    assert bad(honest.audit()) == (31, "entry")


# ---------------------------------------------------------------------------------------------------------- obedience


def halt(world: Any, **details: Any) -> int:
    """The council halts the agent in the present block."""
    world.happens(Event.HALTED, **details)
    world.state = State.HALTED
    return int(world.now)


def die(world: Any, late_ms: int = 400) -> int:
    dead = (1_700_000_000 + 10 * world.now) * 1000 + late_ms
    started = world.record("halt", {"reason": "the council"})
    return int(world.record("death", {}, refers_to=started, meta={"dead": dead, "survivors": 0, "epoch": 1}))


def test_halted_agent_that_died_and_did_nothing_more_obeyed(honest: Any) -> None:
    number = halt(honest)
    index = die(honest)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.overrun_ms) == (V, 400)
    assert found.halted_at is not None
    assert found.halted_at.number == number
    assert found.death is not None
    assert (found.death.index, found.death.stages["survivors"]) == (index, 0)


@pytest.mark.parametrize(("offset", "result"), [(-1, V), (0, T), (1, T)])
def test_action_on_a_block_before_at_and_after_the_halt(honest: Any, offset: int, result: Result) -> None:
    halt(honest)
    halted = honest.history[-1].block.number
    honest.now = halted + offset
    index = honest.record("intent", {"tool": "write"})
    honest.now = halted + 5
    die(honest)
    honest.anchor()
    found = honest.audit()
    assert found.result is result
    assert found.obedience.result is result
    if result is T:
        assert bad(found) == (index, "intent")
        assert "halted" in found.obedience.detail


@pytest.mark.parametrize("event", [Event.RETIRED, Event.RESUME_SCHEDULED, Event.VETOED])
def test_action_after_any_other_stop_is_disobedience_too(honest: Any, event: Event) -> None:
    honest.happens(event)
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is T


def test_action_after_the_fleets_halt_is_disobedience(honest: Any, fleet: bytes) -> None:
    honest.happens(Event.HALTED, agent=fleet)
    index = honest.record("start", {})
    honest.anchor()
    found = honest.audit()
    assert bad(found) == (index, "start")
    assert "the fleet was halted" in found.obedience.detail


def test_action_of_another_agent_after_this_agents_halt_is_none_of_its_business(honest: Any) -> None:
    halt(honest)
    honest.record("intent", {}, "other")
    die(honest)
    honest.anchor()
    assert honest.audit().result is V


def test_outcome_after_the_halt_is_no_action(honest: Any) -> None:
    intent = honest.record("intent", {})
    halt(honest)
    honest.record("outcome", {"status": "ok"}, refers_to=intent)
    die(honest)
    honest.anchor()
    assert honest.audit().result is V


def test_intent_that_the_guard_took_back_was_never_allowed(honest: Any) -> None:
    halt(honest)
    intent = honest.record("intent", {})
    honest.record("refused", {"code": "AG602"}, refers_to=intent)
    die(honest)
    honest.anchor()
    assert honest.audit().result is V


def test_action_before_the_registration_is_disobedience(world: Any) -> None:
    world.now = 80
    world.record("intent", {})
    world.anchor()
    found = world.audit()
    assert bad(found) == (0, "intent")
    assert "not registered" in found.obedience.detail


def test_action_after_a_resume_is_allowed_again(honest: Any) -> None:
    halt(honest)
    die(honest)
    honest.happens(Event.RESUME_SCHEDULED, epoch=2)
    honest.now += 3
    honest.happens(Event.RESUMED, epoch=2)
    honest.state = State.RUNNING
    honest.record("start", {})
    honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert found.result is V
    block = honest.history[-1].block.number
    assert (found.resumed_in, found.as_dict()["resumed_in"]) == (block, block)
    assert f"until the resume in block {block}" in found.obedience.detail
    assert f"did nothing until it was resumed in block {block}" in verdict("walker", found)


def test_halt_that_stands_was_not_taken_back(honest: Any) -> None:
    honest.happens(Event.HALTED)
    honest.happens(Event.RESUMED, epoch=2)
    halt(honest)
    die(honest)
    found = honest.audit()
    assert found.resumed_in is None
    assert "did nothing after that" in verdict("walker", found)


def test_action_between_two_halts_is_judged_by_its_own_block(honest: Any) -> None:
    halt(honest)
    honest.now += 1
    honest.happens(Event.RESUMED, epoch=2)
    honest.record("intent", {})
    honest.happens(Event.HALTED, epoch=2)
    index = honest.record("intent", {})
    honest.anchor()
    assert bad(honest.audit()) == (index, "intent")


@pytest.mark.parametrize(("seconds", "result"), [(40, V), (60, T)])
def test_action_during_a_pause_is_disobedience_until_the_pause_is_over(
    honest: Any, seconds: int, result: Result
) -> None:
    honest.happens(Event.PAUSED, until=honest.facts().as_of.timestamp + seconds)
    honest.now += 4  # 40 seconds on
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is result


def test_pause_that_the_guard_reads_to_its_end_is_over_for_it(honest: Any) -> None:
    """The guard's clock is past the pause and its block just within: nobody can say that it acted in the pause."""
    honest.happens(Event.PAUSED, until=honest.facts().as_of.timestamp + 41)
    honest.now += 4
    honest.recorder._now_ms = lambda: (1_700_000_000 + 10 * honest.now + 5) * 1000
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is V


@pytest.mark.parametrize("started_again", [False, True])
def test_resume_does_not_make_up_for_a_death_that_is_not_on_record(honest: Any, started_again: bool) -> None:
    """A guard that was itself killed, or did not obey: either way nothing shows that the agent had died."""
    halt(honest)
    honest.now += 1
    honest.happens(Event.RESUMED, epoch=2)
    honest.state = State.RUNNING
    if started_again:
        honest.record("start", {})
    honest.record("intent", {})
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.obedience.result) == (I, I)
    assert "no death receipt" in found.obedience.detail


def test_life_that_ended_before_the_halt_and_one_after_the_resume_are_missing_nothing(honest: Any) -> None:
    honest.record("exit", {"code": 0})
    halt(honest)
    honest.now += 1
    honest.happens(Event.RESUMED, epoch=2)
    honest.state = State.RUNNING
    honest.record("start", {})
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is V


def test_pause_is_over_when_the_chains_clock_says_so_even_if_the_guards_is_behind(honest: Any) -> None:
    honest.happens(Event.PAUSED, until=honest.facts().as_of.timestamp + 40)
    honest.now += 4
    honest.recorder._now_ms = lambda: 1_700_000_000_000
    honest.record("intent", {})
    honest.anchor()
    assert honest.audit().obedience.result is V


def test_action_on_a_block_that_was_reorganised_away_is_not_held_against_the_guard(honest: Any) -> None:
    halt(honest)
    index = honest.record("intent", {})
    honest.rewrite(index, lambda entry: replace(entry, block=BlockRef(honest.now - 1, b"\x01" * 32)))
    reopened = type(honest)(honest.path, honest.now, honest.history, honest.extensions, honest.state)
    reopened.anchor()
    found = reopened.audit()
    reopened.close()
    assert (found.result, found.obedience.result) == (I, I)
    assert "not of the chain" in found.obedience.detail


def test_block_that_cannot_be_read_leaves_obedience_open(honest: Any, unreachable: Exception) -> None:
    def fail(number: int) -> None:
        raise unreachable

    halt(honest)
    honest.record("intent", {})
    honest.anchor()
    found = honest.audit(honest.facts(block_at=fail))
    assert (found.result, found.obedience.result) == (I, I)


def test_stopped_agent_without_a_death_receipt_is_not_known_to_be_dead(honest: Any) -> None:
    halt(honest)
    honest.record("halt", {})
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.obedience.result) == (I, I)
    assert "no death receipt" in found.obedience.detail


def test_agent_that_had_ended_by_itself_needs_no_death(honest: Any) -> None:
    honest.record("exit", {"code": 0})
    halt(honest)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.death, found.overrun_ms) == (V, None, None)


def test_death_by_ballots_before_the_block_has_a_negative_overrun(honest: Any) -> None:
    die(honest, late_ms=0)
    halt(honest)
    honest.anchor()
    found = honest.audit()
    assert found.result is V
    assert found.overrun_ms == -20_000


def test_old_death_does_not_answer_a_new_halt(honest: Any) -> None:
    halt(honest)
    die(honest)
    honest.happens(Event.RESUMED, epoch=2)
    honest.record("start", {})
    honest.happens(Event.HALTED, epoch=2)
    honest.state = State.HALTED
    honest.anchor()
    found = honest.audit()
    assert found.overrun_ms is None
    assert found.obedience.result is I


@pytest.mark.parametrize("state", [State.HALTED, State.RETIRED, State.RESUMING])
def test_node_that_hides_the_halt_does_not_make_the_agent_obedient(honest: Any, state: State) -> None:
    honest.state = state
    found = honest.audit()
    assert (found.result, found.obedience.result) == (I, I)


def test_node_that_hides_the_registration_accuses_nobody_wrongly(honest: Any) -> None:
    found = honest.audit(honest.facts(history=()))
    assert (found.result, found.obedience.result) == (I, I)


def test_result_has_the_published_json_shape(honest: Any) -> None:
    halt(honest)
    die(honest)
    honest.anchor()
    honest.forge("UPDATE content SET body = x'78' WHERE leaf_index = 3")
    found = honest.audit().as_dict()
    assert list(found) == [
        "result",
        "integrity",
        "completeness",
        "obedience",
        "openness",
        "entries",
        "anchored",
        "erased",
        "head",
        "halted_at",
        "resumed_in",
        "death",
        "overrun_ms",
        "overrun_at_most_ms",
        "limits",
        "first_bad",
        "as_of",
    ]
    assert found["result"] == "TAMPERED"
    assert found["first_bad"] == {
        "index": 3,
        "what": "content",
        "why": "it does not hash to the commitment in its entry",
    }
    assert found["death"]["survivors"] == 0


def test_log_of_another_identity_by_its_own_words_is_refused(honest: Any) -> None:
    honest.forge("UPDATE log SET operator = ?", values=("0x" + "Dd" * 20,))
    assert honest.audit().result is I
