"""What can happen to the file under a writer, point by point: nothing acknowledged is lost, nothing is doubled, and the
next guard goes on by itself."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.entry import Entry
from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteReader, SqliteStore
from agent_guard.types import Block, LogIdentity
from tests.unit.log.conftest import BLOCK
from tests.unit.log.test_crash import check_whole
from tests.unit.store.test_sqlite import ENVIRONMENT

pytestmark = pytest.mark.unit
Make = Callable[..., Recorder]

# ----------------------------------------------------------------------------------------- kill -9 at every write point

DYING = Path(__file__).with_name("dying_writer.py")
POINTS = ["BEGIN", "INSERT INTO content", "INSERT INTO entry", "INSERT INTO idempotency", "COMMIT"]
MOMENTS = [(point, moment) for point in POINTS for moment in ("before", "after")] + [("the answer", "before")]


@pytest.mark.parametrize(("point", "moment"), MOMENTS)
def test_writer_killed_at_a_write_point_lost_nothing_and_its_retry_doubles_nothing(
    path: Path, identity: LogIdentity, point: str, moment: str
) -> None:
    command = [sys.executable, str(DYING), str(path), point, moment]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    acknowledged = {int(index): leaf for index, leaf in map(str.split, done.stdout.splitlines())}
    assert list(acknowledged) == [0]  # the second batch never had its answer

    persisted = (point, moment) in [("COMMIT", "after"), ("the answer", "before")]
    with SqliteStore(path, identity) as store, store.reader() as reader:
        assert store.size == (3 if persisted else 1)
        check_whole(reader, dict(acknowledged))
        recorder = Recorder(store, block=lambda: BLOCK)
        again = [
            recorder.append("a", "intent", {"n": n}, idempotency_key=f"k{n}").result(5) for n in range(3)
        ]
        assert [done.index for done in again] == [0, 1, 2]
        assert [done.duplicate for done in again] == [True, persisted, persisted]
        assert not any(done.conflict for done in again)
        recorder.close()
        check_whole(reader, dict(acknowledged))


# ----------------------------------------------------------------------------------------------------------- power cuts

WAL_HEADER, PAGE = 32, 4096


@pytest.fixture
def crashed(tmp_path: Path) -> Callable[..., Path]:
    """A database as a disk might hold it after a power cut."""
    made = iter(range(10_000))

    def make(database: bytes, wal: bytes) -> Path:
        place = tmp_path / f"crashed-{next(made)}.db"
        place.write_bytes(database)
        place.with_name(place.name + "-wal").write_bytes(wal)
        return place

    return make


def check_reopens(place: Path, identity: LogIdentity, acknowledged: dict[int, str]) -> None:
    with SqliteStore(place, identity) as store, store.reader() as reader:
        check_whole(reader, dict(acknowledged))
        recorder = Recorder(store, block=lambda: BLOCK)
        assert recorder.append("a", "intent", {}).result(60).index == store.size - 1
        recorder.close()


def test_power_cut_may_tear_what_was_written_after_the_last_answer_and_nothing_before_it(
    make_recorder: Make, path: Path, identity: LogIdentity, crashed: Callable[..., Path]
) -> None:
    recorder, wal = make_recorder(), path.with_name(path.name + "-wal")
    synced: list[tuple[int, dict[int, str]]] = []
    acknowledged: dict[int, str] = {}
    for number in range(12):
        for done in [recorder.append("a", "intent", {"n": n}) for n in range(number)]:
            acknowledged[done.result().index] = done.result().leaf_hash.hex()
        synced.append((wal.stat().st_size, dict(acknowledged)))

    database, written = path.read_bytes(), wal.read_bytes()
    dice = random.Random(2026)
    for length, answered in synced:
        # At most what was synced before the answer is there; of the rest any part, torn, zeroed or noise.
        cut = dice.randint(length, len(written))
        for rest in (b"", bytes(PAGE), dice.randbytes(3 * PAGE), written[cut:][::-1]):
            check_reopens(crashed(database, written[:cut] + rest), identity, answered)


def test_power_cut_while_the_write_ahead_log_is_folded_in_loses_nothing(
    make_recorder: Make, path: Path, identity: LogIdentity, crashed: Callable[..., Path]
) -> None:
    recorder, wal = make_recorder(), path.with_name(path.name + "-wal")
    answers = [recorder.append("a", "intent", {"n": n}).result() for n in range(60)]
    acknowledged = {done.index: done.leaf_hash.hex() for done in answers}
    before, written = path.read_bytes(), wal.read_bytes()
    with sqlite3.connect(path) as shell:
        assert shell.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    after = path.read_bytes()
    assert len(after) > len(before)

    dice = random.Random(2026)
    for _ in range(12):
        pages = [
            dice.choice((before[at : at + PAGE], after[at : at + PAGE])) or bytes(PAGE)
            for at in range(0, len(after), PAGE)
        ]
        check_reopens(crashed(b"".join(pages), written), identity, acknowledged)


# -------------------------------------------------------------------------------------- a disk that is full, or no disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB with some ballast that can be removed; only root can mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=True)
    (folder / "ballast").write_bytes(bytes(128 * 1024))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_disk_that_fills_up_under_many_callers_loses_no_answer_and_the_next_guard_goes_on(
    small_disk: Path, identity: LogIdentity
) -> None:
    acknowledged: dict[int, str] = {}
    with SqliteStore(small_disk / "log.db", identity) as store:
        recorder = Recorder(store, block=lambda: BLOCK)
        codes: set[str] = set()
        while not codes:
            waiting = []
            for number in range(32):
                try:
                    key = f"{len(acknowledged)}-{number}"
                    waiting.append(recorder.append("a", "intent", {"n": number}, idempotency_key=key))
                except GuardError as error:
                    codes.add(error.code)
            for done in waiting:
                if error := done.exception(5):
                    codes.add(getattr(error, "code", repr(error)))
                else:
                    acknowledged[done.result().index] = done.result().leaf_hash.hex()
        assert codes <= {"AG513", "AG521"}
        recorder.close()
    (small_disk / "ballast").unlink()
    assert len(acknowledged) > 32
    check_reopens(small_disk / "log.db", identity, acknowledged)


def test_log_that_becomes_read_only_under_its_writer_fails_closed_until_the_next_guard(
    path: Path, identity: LogIdentity
) -> None:
    with SqliteStore(path, identity) as store:
        recorder = Recorder(store, block=lambda: BLOCK)
        first = recorder.append("a", "intent", {}).result(60)
        store._connection.execute("PRAGMA query_only = ON")
        error = recorder.append("a", "intent", {}).exception(5)
        assert isinstance(error, GuardError)
        assert error.code == "AG516"
        store._connection.execute("PRAGMA query_only = OFF")
        with pytest.raises(GuardError, match="AG521"):
            recorder.append("a", "intent", {})
        recorder.close()
    check_reopens(path, identity, {first.index: first.leaf_hash.hex()})


# ---------------------------------------------------------------------------------------------- a page that has changed


def test_guard_does_not_write_on_after_a_corrupt_page_and_leaves_the_file_as_it_is(
    path: Path, identity: LogIdentity
) -> None:
    with SqliteStore(path, identity) as store:
        recorder = Recorder(store, block=lambda: BLOCK)
        for done in [recorder.append("a", "intent", {"n": n}) for n in range(2_000)]:
            done.result(60)
        recorder.close()
    whole = path.read_bytes()
    page = whole.index(b'"index":700,') // PAGE
    path.write_bytes(whole[: page * PAGE] + b"\xee" * PAGE + whole[(page + 1) * PAGE :])
    damaged = path.read_bytes()

    for _ in range(2):
        with pytest.raises(GuardError, match="AG515"), SqliteStore(path, identity) as store:
            Recorder(store, block=lambda: BLOCK)
    assert path.read_bytes() == damaged

    path.write_bytes(whole)  # the copy that the remedy asks for
    with SqliteReader(path) as reader:
        check_whole(reader, {})
    check_reopens(path, identity, {})


# ------------------------------------------------------------------------------------------ a clock that goes backwards


def test_clock_that_goes_back_changes_no_place_and_is_written_as_it_was(
    make_recorder: Make, path: Path
) -> None:
    times = iter([5_000_000, 4_000_000, 4_000_001, 0, 6_000_000])
    recorder = make_recorder(now_ms=lambda: next(times), block=lambda: Block(7, bytes(32), 4_000))
    for number in range(5):
        recorder.append("a", "intent", {"n": number}).result(60)

    with SqliteReader(path) as reader:
        check_whole(reader, {})
        entries = [Entry.decode(row.body) for row in reader.rows()]
    assert [entry.time for entry in entries] == [5_000_000, 4_000_000, 4_000_001, 0, 6_000_000]
    assert [entry.counter for entry in entries] == [0, 1, 2, 3, 4]


def test_copy_of_the_files_at_any_moment_opens_with_all_that_was_answered_before_it(
    make_recorder: Make, path: Path, identity: LogIdentity, tmp_path: Path
) -> None:
    recorder = make_recorder()
    acknowledged: dict[int, str] = {}
    for number in range(8):
        waiting = [recorder.append("a", "intent", {"n": n}) for n in range(50)]
        for done in waiting[: 10 * (number % 5)]:
            acknowledged[done.result().index] = done.result().leaf_hash.hex()
        answered = dict(acknowledged)
        copy = tmp_path / f"copy-{number}"
        copy.mkdir()
        # The write-ahead log is folded in only every thousand pages: not between these two.
        shutil.copyfile(path, copy / path.name)
        shutil.copyfile(path.with_name(path.name + "-wal"), copy / (path.name + "-wal"))
        check_reopens(copy / path.name, identity, answered)
        acknowledged |= {done.result().index: done.result().leaf_hash.hex() for done in waiting}
