"""The recorder: durable before answered, places without gaps, one fsync for many, and closed for good once it fails."""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.log.recorder import QueueLimits, Recorder
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Row, SqliteStore, Store
from agent_guard.types import FLEET, Block, LogIdentity

pytestmark = pytest.mark.unit
Make = Callable[..., Recorder]


def rows_of(store: Store) -> list[Row]:
    with store.reader() as reader:
        return list(reader.rows())


def test_entry_says_who_what_when_on_which_block_and_commits_to_its_content(
    recorder: Recorder, store: Store
) -> None:
    done = recorder.append("walker", Kind.INTENT, {"tool": "ls", "arguments": {}}).result()
    [row] = rows_of(store)
    entry = Entry.decode(row.body)
    assert row.content is not None
    assert row.content.body == b'{"arguments":{},"tool":"ls"}'
    assert entry.commitment == hashlib.sha256(row.content.salt + row.content.body).digest()
    assert (entry.index, entry.counter, entry.kind, entry.time) == (0, 0, Kind.INTENT, 1_700_000_123_456)
    assert entry.agent == row.agent == keccak(text="walker")
    assert entry.block is not None
    assert (entry.block.number, entry.block.hash) == (7, b"\x07" * 32)
    assert (done.index, done.counter, done.leaf_hash, done.duplicate) == (0, 0, leaf_hash(row.body), False)


def test_acknowledged_entry_is_already_in_the_database(recorder: Recorder, path: Path) -> None:
    done = recorder.append("walker", "intent", {}).result()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT leaf FROM entry").fetchall() == [(done.leaf_hash,)]


def test_each_agent_counts_for_itself_and_the_fleet_is_one_of_them(recorder: Recorder, store: Store) -> None:
    names = ["a", "b", "a", None, "b", "a"]
    placed = [recorder.append(name, "config", {}).result() for name in names]
    assert [done.index for done in placed] == [0, 1, 2, 3, 4, 5]
    assert [done.counter for done in placed] == [0, 0, 1, 0, 1, 2]
    assert rows_of(store)[3].agent == FLEET


def test_counters_frontier_and_indices_go_on_after_a_restart(make_recorder: Make) -> None:
    first = make_recorder()
    wait([first.append("a", "intent", {"n": n}) for n in range(5)])
    head = first.head()
    first.close()
    second = make_recorder()
    assert second.head() == head
    done = second.append("a", "intent", {}).result()
    assert (done.index, done.counter) == (5, 5)


def test_head_is_the_rfc_6962_root_of_the_leaves(recorder: Recorder, store: Store) -> None:
    wait([recorder.append("a", "intent", {"n": n}) for n in range(11)])
    tree = Frontier()
    tree.extend(row.leaf for row in rows_of(store))
    assert (recorder.head().size, recorder.head().root) == (11, tree.root())


def test_many_callers_share_a_commit(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    gate = threading.Event()
    append = store.append

    def slow(rows: list[Row]) -> None:
        gate.wait(60)
        batches.append(len(rows))
        append(rows)

    monkeypatch.setattr(store, "append", slow)
    waiting = [recorder.append("a", "intent", {"n": n}) for n in range(300)]
    gate.set()
    assert sorted(done.result().index for done in waiting) == list(range(300))
    assert len(batches) <= 3


def test_hook_hears_the_size_and_the_first_critical_entry_before_the_answer(
    make_recorder: Make, store: Store
) -> None:
    heard: list[tuple[int, int | None]] = []

    def slow_hook(size: int, critical: int | None) -> None:
        time.sleep(0.02)
        heard.append((size, critical))

    recorder = make_recorder(on_appended=slow_hook)
    recorder.append("a", "intent", {}).result()
    assert heard == [(1, None)]
    recorder.append("a", "intent", {}, critical=True).result()
    recorder.append("a", "halt", {}).result()
    recorder.append("a", "death", {}, refers_to=2, meta={"dead": 5}).result()
    assert heard == [(1, None), (2, 1), (3, 2), (4, 3)]
    assert Entry.decode(rows_of(store)[3].body).meta == {"dead": 5}


def test_block_given_by_the_caller_wins_over_the_newest(recorder: Recorder, store: Store) -> None:
    recorder.append("a", "intent", {}, block=Block(3, b"\x03" * 32, 1)).result()
    block = Entry.decode(rows_of(store)[0].body).block
    assert block is not None
    assert block.number == 3


# --------------------------------------------------------------------------------------------------- idempotency keys


def test_key_used_again_gives_the_first_place_and_writes_nothing(recorder: Recorder, store: Store) -> None:
    first = recorder.append("a", "intent", {"x": 1}, idempotency_key="k").result()
    again = recorder.append("a", "intent", {"x": 1}, idempotency_key="k").result()
    assert (again.index, again.leaf_hash) == (first.index, first.leaf_hash)
    assert (again.duplicate, again.conflict) == (True, False)
    assert len(rows_of(store)) == 1


def test_key_used_twice_in_one_batch_is_written_once(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    append = store.append
    monkeypatch.setattr(store, "append", lambda rows: (gate.wait(60), append(rows)))
    recorder.append("a", "intent", {"hold": True})
    twice = [recorder.append("a", "intent", {"x": 1}, idempotency_key="k") for _ in range(2)]
    gate.set()
    assert [done.result().duplicate for done in twice] == [False, True]
    assert len({done.result().index for done in twice}) == 1
    assert len(rows_of(store)) == 2


@pytest.mark.parametrize(
    ("kind", "content", "refers_to"),
    [("intent", {"x": 2}, None), ("refused", {"x": 1}, None), ("intent", {"x": 1}, 0)],
)
def test_key_of_another_entry_is_a_conflict_and_writes_nothing(
    recorder: Recorder, store: Store, kind: str, content: object, refers_to: int | None
) -> None:
    recorder.append("a", "config", {}).result()
    first = recorder.append("a", "intent", {"x": 1}, idempotency_key="k").result()
    other = recorder.append("a", kind, content, refers_to=refers_to, idempotency_key="k").result()
    assert (other.index, other.duplicate, other.conflict) == (first.index, True, True)
    assert len(rows_of(store)) == 2


def test_key_whose_content_was_erased_is_a_conflict(recorder: Recorder, path: Path) -> None:
    recorder.append("a", "intent", {"x": 1}, idempotency_key="k").result()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM content")
    assert recorder.append("a", "intent", {"x": 1}, idempotency_key="k").result().conflict


def test_keys_of_two_agents_are_two_keys_and_survive_a_restart(make_recorder: Make) -> None:
    first = make_recorder()
    assert not first.append("a", "intent", {}, idempotency_key="k").result().duplicate
    assert not first.append("b", "intent", {}, idempotency_key="k").result().duplicate
    first.close()
    assert make_recorder().append("b", "intent", {}, idempotency_key="k").result().index == 1


# ------------------------------------------------------------------------------------------------ refusals and failures


@pytest.mark.parametrize(
    "content", [{"x": float("nan")}, {"x": b"raw"}, {1: "x"}, {"x": 2**60}, {"x": "\ud800"}]
)
def test_content_that_is_no_json_is_refused_at_once(recorder: Recorder, content: object) -> None:
    with pytest.raises(GuardError) as caught:
        recorder.append("a", "intent", content)
    assert caught.value.code == "AG523"


@pytest.mark.parametrize(
    "wrong",
    [{"refers_to": 99}, {"meta": {"x": 1}}, {"kind": "outcome"}, {"kind": "party"}, {"refers_to": -1}],
)
def test_request_that_makes_no_entry_fails_alone_and_takes_no_place(
    recorder: Recorder, store: Store, wrong: dict[str, object]
) -> None:
    with pytest.raises(GuardError) as caught:
        recorder.append(**({"agent": "a", "kind": "intent", "content": {}} | wrong)).result()  # type: ignore[arg-type]
    assert caught.value.code == "AG523"
    assert recorder.append("a", "intent", {}).result().counter == 0
    assert recorder.failed is None


def test_intent_without_any_block_read_is_refused(make_recorder: Make) -> None:
    recorder = make_recorder(block=lambda: None)
    with pytest.raises(GuardError, match="must name the block"):
        recorder.append("a", "intent", {}).result()
    assert recorder.append("a", "config", {}).result().index == 0


@pytest.mark.parametrize("limits", [QueueLimits(entries=3), QueueLimits(bytes=3 * len('{"n":0}'))])
def test_full_queue_refuses_at_once_and_loses_nothing_it_took(
    make_recorder: Make, store: Store, monkeypatch: pytest.MonkeyPatch, limits: QueueLimits
) -> None:
    entered, gate = threading.Event(), threading.Event()
    append = store.append

    def slow(rows: list[Row]) -> None:
        entered.set()
        gate.wait(60)
        append(rows)

    monkeypatch.setattr(store, "append", slow)
    recorder = make_recorder(limits=limits)
    taken = [recorder.append("a", "intent", {"n": 0})]
    entered.wait(60)
    taken += [recorder.append("a", "intent", {"n": n}) for n in (1, 2, 3)]
    with pytest.raises(GuardError) as caught:
        recorder.append("a", "intent", {"n": 4})
    assert caught.value.code == "AG520"
    gate.set()
    assert [done.result().counter for done in taken] == [0, 1, 2, 3]
    assert recorder.append("a", "intent", {"n": 5}).result().counter == 4


def test_store_failure_reaches_all_who_wait_and_closes_the_recorder_for_good(
    make_recorder: Make, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def full(rows: list[Row]) -> None:
        gate.wait(60)
        raise GuardError("AG513", "the disk is full.", "Free some.")

    monkeypatch.setattr(store, "append", full)
    recorder = make_recorder()
    waiting = [recorder.append("a", "intent", {"n": n}) for n in range(20)]
    gate.set()
    assert {getattr(done.exception(), "code", None) for done in waiting} == {"AG513"}
    monkeypatch.undo()
    with pytest.raises(GuardError, match="the disk is full") as caught:
        recorder.append("a", "intent", {})
    assert caught.value.code == "AG521"
    assert recorder.failed is not None
    assert recorder.failed.code == "AG513"
    assert rows_of(store) == []


@pytest.mark.parametrize("broken", ["now_ms", "salt", "on_appended"])
def test_unforeseen_error_closes_the_recorder_and_leaves_nobody_waiting(
    make_recorder: Make, broken: str
) -> None:
    def boom(*_: object) -> int:
        raise ZeroDivisionError

    recorder = make_recorder(**{broken: boom})
    done = recorder.append("a", "intent", {})
    wait([done], timeout=60)
    assert done.done()
    recorder._thread.join(60)
    with pytest.raises(GuardError, match="ZeroDivisionError"):
        recorder.append("a", "intent", {})


def test_closed_recorder_has_written_what_it_took_and_takes_nothing_more(
    recorder: Recorder, store: Store
) -> None:
    taken = [recorder.append("a", "intent", {"n": n}) for n in range(50)]
    recorder.close()
    assert [done.result(0).index for done in taken] == list(range(50))
    with pytest.raises(GuardError) as caught:
        recorder.append("a", "intent", {})
    assert caught.value.code == "AG521"


def test_request_cancelled_before_its_turn_is_not_written(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    append = store.append

    def slow(rows: list[Row]) -> None:
        entered.set()
        gate.wait(60)
        append(rows)

    monkeypatch.setattr(store, "append", slow)
    first = recorder.append("a", "intent", {"n": 0})
    entered.wait(60)
    second, third = (recorder.append("a", "intent", {"n": n}) for n in (1, 2))
    assert not first.cancel()
    assert second.cancel()
    gate.set()
    assert [first.result().counter, third.result().counter] == [0, 1]
    with pytest.raises(CancelledError):
        second.result()


def test_salt_is_fresh_for_every_entry(recorder: Recorder, store: Store) -> None:
    wait([recorder.append("a", "intent", {}) for _ in range(10)])
    assert len({row.content.salt for row in rows_of(store) if row.content}) == 10


def test_store_of_another_guard_is_not_opened_by_a_recorder(
    store: Store, path: Path, identity: LogIdentity
) -> None:
    with pytest.raises(GuardError) as caught:
        Recorder(SqliteStore(path, identity), block=lambda: None)
    assert caught.value.code == "AG511"
