"""Erasing on record: what goes, what stays, what is refused, and a process killed anywhere in between."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agent_guard
from agent_guard import canonical
from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.log.erasure import MAX_REASON, Eraser
from agent_guard.log.reading import get
from agent_guard.log.recorder import Recorder
from agent_guard.store import Reader, SqliteReader, SqliteStore, Store
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit
ERASING = Path(__file__).with_name("erasing.py")
KILLS = 6


@pytest.fixture
def eraser(store: Store, recorder: Recorder) -> Eraser:
    """Of a log with three actions of `walker`, one of `other`, and an entry of the guard's own."""
    for number in range(3):
        recorder.append("walker", "intent", {"secret": f"secret-{number}."}).result()
    recorder.append("other", "intent", {}).result()
    recorder.append(None, "config", {"secret": "guards-secret."}).result()
    return Eraser(store, recorder)


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def refused(code: str, eraser: Eraser, agent: str | None, index: int, reason: str = "asked for") -> str:
    before = eraser._store.size
    with pytest.raises(GuardError) as caught:
        eraser.erase(agent, index, reason)
    assert (caught.value.code, eraser._store.size) == (code, before)
    return caught.value.message


# ------------------------------------------------------------------------------------------------------ what is done


def test_erased_content_is_gone_from_disk_and_the_record_says_why(
    eraser: Eraser, store: Store, path: Path
) -> None:
    with store.reader() as reader:
        before = list(reader.rows())
    assert b"secret-1." in on_disk(path)
    done = eraser.erase("walker", 1, "her right")
    assert (done.index, done.record, done.repeated) == (1, 5, False)
    assert b"secret-1." not in on_disk(path)
    with store.reader() as reader:
        row, record = reader.row(1), reader.row(5)
        assert row is not None
        assert record is not None
        assert (row.content, row.body, row.leaf) == (None, before[1].body, before[1].leaf)
        assert [one for one in reader.rows(0, 5) if one.index != 1] == [before[at] for at in (0, 2, 3, 4)]
        entry = Entry.decode(record.body)
        assert (entry.kind, entry.refers_to, entry.agent, dict(entry.meta)) == (
            Kind.ERASURE,
            1,
            row.agent,
            {},
        )
        assert record.content is not None
        assert canonical.decode(record.content.body) == {"reason": "her right"}
        shown = get(reader, 1)
        assert (shown.erased, shown.erasure and shown.erasure.entry.index) == (True, 5)


def test_erased_twice_is_said_and_the_first_reason_stands(eraser: Eraser, store: Store) -> None:
    eraser.erase("walker", 1, "first")
    again = eraser.erase("walker", 1, "second")
    assert (again.record, again.repeated, store.size) == (5, True, 6)
    with store.reader() as reader:
        assert get(reader, 5).content == {"reason": "first"}


def test_reason_is_content_and_can_be_erased_in_its_turn(eraser: Eraser, store: Store, path: Path) -> None:
    record = eraser.erase("walker", 0, "names a person").record
    eraser.erase("walker", record, "so does the reason")
    assert b"names a person" not in on_disk(path)
    with store.reader() as reader:
        shown = get(reader, 0)
        assert shown.erasure is not None
        assert (shown.erasure.entry.index, shown.erasure.erased) == (record, True)


def test_guards_own_entry_is_erased_under_its_own_name(eraser: Eraser, path: Path) -> None:
    eraser.erase(None, 4, "a path in it")
    assert b"guards-secret." not in on_disk(path)


def test_what_is_not_there_or_anothers_is_refused_and_nothing_is_recorded(eraser: Eraser) -> None:
    for agent, index in (
        ("walker", 5),
        ("walker", -1),
        ("walker", 2**70),
        ("other", 0),
        (None, 0),
        ("walker", 4),
    ):
        assert "no entry" in refused("AG540", eraser, agent, index)


@pytest.mark.parametrize("reason", ["", "  \n", "x" * (MAX_REASON + 1)])
def test_without_a_reason_or_with_a_book_nothing_is_erased(eraser: Eraser, reason: str) -> None:
    refused("AG101", eraser, "walker", 0, reason)


def test_content_that_was_lost_is_not_made_an_erasure_afterwards(eraser: Eraser, store: Store) -> None:
    store.erase(2)
    assert "no erasure of it is on record" in refused("AG581", eraser, "walker", 2)


def test_key_that_an_agent_chose_stands_in_no_erasures_way(eraser: Eraser, recorder: Recorder) -> None:
    from agent_guard.gate.records import closing_key, intent_key
    from agent_guard.store.rows import erasure_key

    for key in (intent_key(erasure_key(1)), intent_key("1"), closing_key(1)):
        assert key != erasure_key(1)
        recorder.append("walker", "intent", {}, idempotency_key=key).result()
    assert not eraser.erase("walker", 1, "asked for").repeated


# ------------------------------------------------------------------------------------- what can't be finished at once


def test_bytes_that_a_reader_holds_are_erased_later_and_the_guard_does_it_by_itself(
    eraser: Eraser, store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_guard.log.erasure.RETRY_SECONDS", 0.05)
    with store.reader() as reader, reader.snapshot():
        assert reader.row(0) is not None
        with pytest.raises(GuardError, match=r"on record \(entry 5\), and not finished") as caught:
            eraser.erase("walker", 0, "asked for")
        assert caught.value.code == "AG582"
        assert b"secret-0." in on_disk(path)
    eraser.start()
    _until(lambda: b"secret-0." not in on_disk(path))
    eraser.close()


def test_recorder_that_is_closed_lets_nothing_be_erased(
    eraser: Eraser, recorder: Recorder, store: Store
) -> None:
    recorder.close()
    refused("AG521", eraser, "walker", 0)
    with store.reader() as reader:
        assert get(reader, 0).content == {"secret": "secret-0."}


def test_orders_of_many_threads_for_one_entry_make_one_record(eraser: Eraser, store: Store) -> None:
    done: list[Any] = []
    threads = [
        threading.Thread(target=lambda: done.append(eraser.erase("walker", 1, "asked for"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(one.record, store.size) for one in done} == {(5, 6)}
    assert sorted(one.repeated for one in done) == [False] + [True] * 7


def test_forged_records_erase_nothing_of_another_agent(
    eraser: Eraser, recorder: Recorder, store: Store
) -> None:
    recorder.append("other", "erasure", {"reason": "spite"}, refers_to=0).result()
    assert eraser.finish() == 0
    with store.reader() as reader:
        assert get(reader, 0).content == {"secret": "secret-0."}
        assert get(reader, 0).erasure is None


# ------------------------------------------------------------------------------------------------- a process killed


def _start(path: Path, count: int, *options: str) -> "subprocess.Popen[bytes]":
    environ = {**os.environ, "PYTHONPATH": str(Path(agent_guard.__file__).parents[1])}
    command = [sys.executable, str(ERASING), str(path), str(count), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)


def _until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.02)


def _gone(reader: Reader) -> set[int]:
    return {row.index for row in reader.rows() if row.content is None}


def _recorded(reader: Reader) -> set[int | None]:
    return {Entry.decode(row.body).refers_to for row in reader.erasures()}


def test_guard_killed_between_record_and_erasure_is_finished_at_the_next_start(
    path: Path, identity: LogIdentity
) -> None:
    writer = _start(path, 3, "hang")
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"0\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with SqliteReader(path) as reader:
        assert (_recorded(reader), _gone(reader)) == ({0}, set())
        assert get(reader, 0).content == {"secret": "secret-0."}
    with SqliteStore(path, identity) as store:
        recorder = Recorder(store, block=lambda: None)
        eraser = Eraser(store, recorder)
        eraser.start()
        _until(lambda: b"secret-0." not in on_disk(path))
        eraser.close()
        assert eraser.finish() == 0
        recorder.close()
    with SqliteReader(path) as reader:
        assert (_recorded(reader), _gone(reader)) == ({0}, {0})


def test_kill_minus_nine_at_random_moments_leaves_nothing_erased_without_a_record(
    tmp_path: Path, identity: LogIdentity
) -> None:
    moments = random.Random(2026)
    for attempt in range(KILLS):
        path = tmp_path / f"{attempt}.db"
        writer = _start(path, 60)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(moments.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        writer.stdout.read()
        writer.wait()
        with SqliteReader(path) as reader:
            assert _gone(reader) <= _recorded(reader)
        with SqliteStore(path, identity) as store:
            recorder = Recorder(store, block=lambda: None)
            Eraser(store, recorder).finish()
            recorder.close()
        with SqliteReader(path) as reader:
            assert _gone(reader) == _recorded(reader) != set()
            left = on_disk(path)
            assert not [n for n in _gone(reader) if f"secret-{n}.".encode() in left]
