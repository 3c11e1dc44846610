"""Contents that are not there: erased on record, gone without one, and records that are forged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.audit import AuditLimits, AuditResult, Log, Result, audit
from agent_guard.audit.openness import Openness, _Bits
from agent_guard.entry import Entry, Kind
from agent_guard.log.erasure import Eraser
from agent_guard.store import SqliteReader, pages_of
from agent_guard.typed_data import agent_id

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741
ME = agent_id("walker")


def erase(world: Any, index: int, agent: str | None = "walker", reason: str = "asked for") -> int:
    record = Eraser(world.store, world.recorder).erase(agent, index, reason).record
    world.now += 1
    return record


def rows(world: Any) -> list[Any]:
    world.recorder.close()
    with SqliteReader(world.path) as reader:
        return list(reader.rows())


def audited(world: Any, found: list[Any], is_copy: bool = False) -> AuditResult:
    return audit(ME, Log(world.identity, pages_of(found), is_copy), world.facts(), AuditLimits())


@pytest.mark.parametrize("anchored", [True, False])
def test_erased_on_record_is_verified_and_counted_whether_the_record_is_anchored_or_in_the_tail(
    honest: Any, anchored: bool
) -> None:
    record = erase(honest, 4)
    if anchored:
        honest.anchor()
    found = honest.audit()
    assert (found.result, found.openness.result, found.erased) == (V, V, 1)
    said = "1 of 18 contents was erased on purpose, on record: entry 4 by entry"
    assert found.openness.detail == f"{said} {record}"


def test_intent_outcome_start_and_the_record_itself_may_all_be_erased(honest: Any) -> None:
    for index in (1, 4, 5):
        erase(honest, index)
    erase(honest, erase(honest, 8))
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.erased) == (V, 5)
    assert found.openness.detail.endswith(", ...")


def test_death_whose_content_was_erased_still_answers_the_halt(honest: Any) -> None:
    from agent_guard.audit import Event
    from agent_guard.types import State

    honest.happens(Event.HALTED)
    honest.state = State.HALTED
    honest.now += 1
    halt = honest.record("halt", {"reason": "council"})
    death = honest.record("death", {"processes": 3}, refers_to=halt, meta={"dead": 1_700_001_300_000})
    before = honest.audit()
    honest.recorder = type(honest.recorder)(honest.store, block=lambda: None, now_ms=honest.recorder._now_ms)
    erase(honest, death)
    erase(honest, halt)
    honest.anchor()
    after = honest.audit()
    assert (after.openness.result, after.erased) == (V, 2)
    assert (after.obedience, after.death, after.overrun_ms) == (
        before.obedience,
        before.death,
        before.overrun_ms,
    )


def test_gone_without_a_record_is_indeterminate_beside_what_is_on_record(honest: Any) -> None:
    erase(honest, 4)
    honest.anchor()
    honest.store.erase(9)
    found = honest.audit()
    assert (found.result, found.openness.result, found.erased) == (I, I, 1)
    gone = "1 of this agent's 18 entries is gone without an erasure on record, from entry 9 on"
    assert gone in found.openness.detail
    assert "1 of 18 contents was erased on purpose" in found.openness.detail


def test_on_record_and_still_there_is_said_and_no_tampering(honest: Any) -> None:
    record = honest.record("erasure", {"reason": "the guard was killed here"}, refers_to=4)
    honest.record("erasure", {"reason": "and twice"}, refers_to=4)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.openness.result, found.erased, record) == (V, V, 0, 30)
    assert "the log still holds 1 contents whose erasure is on record" in found.openness.detail
    assert "the first of entry 4" in found.openness.detail


@pytest.mark.parametrize(("target", "whose"), [(2, "other"), (0, None)])
def test_record_that_names_anothers_entry_is_a_fault(honest: Any, target: int, whose: str | None) -> None:
    record = honest.record("erasure", {"reason": "spite"}, refers_to=target)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.openness.result, found.first_bad.index) == (T, T, record)
    assert f"the erasure of entry {target}, which is none of this agent's" in found.openness.detail
    assert found.integrity.result is V


def test_another_agents_record_of_my_entry_excuses_nothing(honest: Any) -> None:
    honest.store.erase(4)
    honest.record("erasure", {"reason": "spite"}, agent="other", refers_to=4)
    honest.anchor()
    found = honest.audit()
    assert (found.result, found.openness.result, found.erased) == (I, I, 0)


def test_record_of_an_entry_after_it_or_of_itself_is_no_entry(honest: Any) -> None:
    record = honest.record("erasure", {}, refers_to=4)
    honest.anchor()
    for later in (record, record + 1):
        found = rows(honest)
        body = found[record].body.replace(b'"refers_to":4', b'"refers_to":%d' % later)
        found[record] = found[record]._replace(body=body)
        assert audited(honest, found).integrity.result is T


def test_record_before_a_gap_of_what_may_be_anybodys_is_no_fault_of_its_own(honest: Any) -> None:
    honest.record("erasure", {}, refers_to=9)
    honest.anchor()
    found = rows(honest)
    del found[9]
    assert audited(honest, found).openness.result is not T


def test_record_of_an_entry_that_cant_be_read_is_no_second_fault(honest: Any) -> None:
    honest.record("erasure", {}, refers_to=9)
    honest.anchor()
    found = rows(honest)
    found[9] = found[9]._replace(body=b"{}")
    result = audited(honest, found)
    assert (result.integrity.result, result.openness.result, result.first_bad.index) == (T, V, 9)


def test_copy_says_that_it_does_not_hold_what_is_missing_and_that_it_holds_too_much(honest: Any) -> None:
    erase(honest, 4)
    honest.anchor()
    whole = rows(honest)
    assert audited(honest, whole, is_copy=True).openness.result is V
    poor = [row if row.index != 9 else row._replace(content=None) for row in whole]
    found = audited(honest, poor, is_copy=True)
    assert (found.openness.result, found.erased) == (I, 1)
    assert found.openness.detail.startswith("this copy does not hold the content of 1 of this agent's 18")
    behind = [row if row.index != 4 else row._replace(content=whole[5].content) for row in whole]
    assert audited(honest, behind, is_copy=True).integrity.result is T  # not what the entry commits to


def test_ten_thousand_erasures_are_carried_out_and_each_is_matched(world: Any) -> None:
    count = 10_000
    for start in range(0, count, 1_000):
        recorded = [world.recorder.append("walker", "intent", {"n": n}) for n in range(start, start + 1_000)]
        recorded[-1].result()
    eraser = Eraser(world.store, world.recorder)
    for index in reversed(range(count)):
        eraser.erase("walker", index, "asked for")
    assert eraser.finish() == 0
    world.anchor()
    found = world.audit()
    assert (found.openness.result, found.erased, found.entries) == (V, count, 2 * count)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 300)), max_size=6))
def test_places_added_as_ranges_are_those_added_one_by_one(stretches: list[tuple[int, int]]) -> None:
    places, expected = _Bits(), set()
    for start, count in stretches:
        places.add_all(range(start, start + count))
        expected |= set(range(start, start + count))
    assert [at for at in range(5_400) if at in places] == sorted(expected)
    assert places.first() == min(expected, default=None)


def test_memory_is_a_few_bits_for_each_entry_and_not_what_an_index_says() -> None:
    import tracemalloc

    openness, count = Openness(is_copy=False), 200_000
    made = Entry(0, ME, 0, Kind.CONFIG, 0, None, bytes(32))
    tracemalloc.start()
    for index in range(count):
        object.__setattr__(made, "index", index)
        openness.see(made, is_there=False)
    openness.break_off()
    object.__setattr__(made, "index", 2**52)
    openness.see(made, is_there=False)
    openness.doubt(2**52)
    assert tracemalloc.get_traced_memory()[0] < count  # a byte for each would be more
    tracemalloc.stop()
    assert openness.check().result is I
