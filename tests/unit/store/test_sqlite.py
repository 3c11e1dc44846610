"""The embedded store: append-only, all or nothing, one writer, and one clear error for whatever goes wrong."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import agent_guard
from agent_guard.errors import GuardError
from agent_guard.store import Content, Row, SavedCheckpoint, SqliteReader, SqliteStore, Store
from agent_guard.types import LogIdentity

WALKER, OTHER = b"w" * 32, b"o" * 32
pytestmark = pytest.mark.unit
# For programs that the tests start: the same agent_guard as here.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(agent_guard.__file__).parents[1])}
MakeRow = Callable[..., Row]


def test_appended_rows_are_read_back_as_they_were(store: Store, row: MakeRow) -> None:
    rows = [row(0), row(1, agent=OTHER, counter=0), row(2, counter=1)]
    store.append(rows[:2])
    store.append(rows[2:])
    with store.reader() as reader:
        assert list(reader.rows()) == rows
        assert list(reader.rows(agent=WALKER)) == [rows[0], rows[2]]
        assert list(reader.rows(1, 2)) == [rows[1]]
        assert reader.last_rows(2) == rows[1:]
        assert reader.last_rows(1, agent=OTHER) == [rows[1]]
        assert reader.row(1) == rows[1]
        assert reader.row(3) is None
        assert (reader.size(), reader.counters()) == (3, {WALKER: 2, OTHER: 1})
        assert list(reader.leaves(1, 3)) == [rows[1].leaf, rows[2].leaf]


def test_what_a_killed_writer_left_is_synced_before_anybody_can_sign_it(
    path: Path, tmp_path: Path, store: Store, identity: LogIdentity, row: MakeRow
) -> None:
    """Its write-ahead log may never have reached the disk: without it the reopened database holds all the same."""
    store.append([row(0), row(1)])
    left, alone = tmp_path / "left.db", tmp_path / "alone.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
    with SqliteStore(left, identity) as reopened:
        assert reopened.size == 2
        shutil.copy(left, alone)
    with SqliteReader(alone) as reader:
        assert [found.index for found in reader.rows()] == [0, 1]


ENDLESS = """CREATE VIEW entry(leaf_index, agent, counter, kind, body, leaf) AS
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)
SELECT i, zeroblob(32), i, 'intent', zeroblob(10), zeroblob(32) FROM n"""


@pytest.mark.parametrize(
    "instead",
    [
        ENDLESS,
        "CREATE VIRTUAL TABLE entry USING fts5(leaf_index, agent, counter, kind, body, leaf)",
        "CREATE TABLE other (a)",
    ],
)
def test_file_whose_entries_are_made_up_as_they_are_read_is_no_log(
    path: Path, store: Store, shell: sqlite3.Connection, instead: str
) -> None:
    """A few bytes that would keep an auditor reading for ever."""
    shell.execute("DROP TABLE entry")
    shell.execute(instead)
    with pytest.raises(GuardError) as refused:
        SqliteReader(path)
    assert refused.value.code == "AG518"


def test_value_that_would_fill_the_memory_is_refused_unread(
    path: Path, store: Store, shell: sqlite3.Connection, row: MakeRow
) -> None:
    store.append([row(0)])
    shell.execute("DROP TRIGGER content_update")
    shell.execute("DROP TABLE content")
    shell.execute(
        "CREATE TABLE content (leaf_index INTEGER PRIMARY KEY, salt BLOB, body BLOB AS (zeroblob(900000000)))"
    )
    shell.execute("INSERT INTO content VALUES (0, zeroblob(32))")
    with SqliteReader(path) as reader, pytest.raises(GuardError) as refused:
        list(reader.rows())
    assert refused.value.code == "AG515"


def test_empty_log_has_no_rows_counters_or_checkpoints_but_an_owner(
    store: Store, identity: LogIdentity
) -> None:
    with store.reader() as reader:
        assert (reader.size(), reader.counters(), list(reader.rows())) == (0, {}, [])
        assert reader.identity() == identity
        assert reader.checkpoint_at_most(10) is None


def test_reopened_store_goes_on_where_it_ended(path: Path, identity: LogIdentity, row: MakeRow) -> None:
    with SqliteStore(path, identity) as store:
        store.append([row(0)])
    with SqliteStore(path, identity) as store:
        assert store.size == 1
        store.append([row(1)])
        with store.reader() as reader:
            assert [found.index for found in reader.rows()] == [0, 1]


@pytest.mark.parametrize("indices", [[1], [0, 2], [0, 0], [1, 0]])
def test_rows_that_leave_a_gap_are_refused_whole(store: Store, row: MakeRow, indices: list[int]) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        store.append([row(index) for index in indices])
    assert store.size == 0


def test_batch_with_one_bad_row_leaves_nothing_behind(store: Store, row: MakeRow) -> None:
    store.append([row(0)])
    with pytest.raises(GuardError) as caught:
        store.append([row(1), row(2, counter=0)])  # a counter twice
    assert caught.value.code == "AG517"
    assert store.size == 1
    store.append([row(1)])
    with store.reader() as reader:
        assert [found.index for found in reader.rows()] == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entry SET body = x'00'",
        "DELETE FROM entry WHERE leaf_index = 0",
        "UPDATE content SET body = x'00'",
        "INSERT OR REPLACE INTO content VALUES (0, x'00', x'00')",
        "REPLACE INTO entry SELECT leaf_index, agent, counter, kind, x'00', leaf FROM entry",
        "REPLACE INTO entry SELECT 7, agent, counter, kind, x'00', leaf FROM entry",
        "REPLACE INTO entry SELECT leaf_index, agent, 7, kind, x'00', leaf FROM entry",
        "REPLACE INTO idempotency SELECT agent, key, 7 FROM idempotency",
        "REPLACE INTO checkpoint SELECT size, frontier, zeroblob(32), note, signature, tx FROM checkpoint",
        "REPLACE INTO log SELECT one, 1, council, operator FROM log",
        "UPDATE idempotency SET leaf_index = 0",
        "DELETE FROM idempotency",
        "UPDATE log SET operator = 'me'",
        "DELETE FROM log",
        "UPDATE checkpoint SET root = zeroblob(32)",
        "DELETE FROM checkpoint",
    ],
)
def test_history_changed_by_sql_is_refused(
    store: Store, row: MakeRow, shell: sqlite3.Connection, change: str
) -> None:
    store.append([row(0, key="k")])
    store.save_checkpoint(SavedCheckpoint(1, (bytes(32),), b"r" * 32, "note", b"s", "0x1"))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        shell.execute(change)


def on_disk(path: Path) -> bytes:
    """All bytes of the database's files."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


@pytest.mark.parametrize("size", [32, 3_000, 200_000])
def test_erased_content_is_in_no_file_of_the_log(store: Store, path: Path, row: MakeRow, size: int) -> None:
    noise = [os.urandom(size) for _ in range(5)]
    rows = [row(n)._replace(content=Content(os.urandom(32), body)) for n, body in enumerate(noise)]
    store.append(rows[:3])
    store.append(rows[3:])
    erased, kept = rows[2].content, rows[3].content
    assert erased is not None
    assert kept is not None
    assert erased.salt in on_disk(path)
    assert erased.body[-16:] in on_disk(path)
    store.erase(2)
    left = on_disk(path)
    # In pieces: a long body is spread over pages.
    assert not [at for at in range(0, size - 15, 16) if erased.body[at : at + 16] in left]
    assert erased.salt not in left
    assert kept.salt in left


def test_bytes_that_a_reader_holds_are_erased_once_he_is_done(store: Store, path: Path, row: MakeRow) -> None:
    store._connection.execute("PRAGMA busy_timeout = 50")
    store.append([row(0)])
    with store.reader() as reader:
        with reader.snapshot():
            assert reader.row(0) == row(0)
            with pytest.raises(GuardError, match="somebody reads") as caught:
                store.erase(0)
            assert reader.row(0) == row(0)
        assert caught.value.code == "AG514"
        assert reader.row(0) == row(0)._replace(content=None)
    store.erase(0)
    assert row(0).content.body not in on_disk(path)
    store.append([row(1)])


def test_erasing_leaves_the_entry_and_can_be_repeated(store: Store, row: MakeRow) -> None:
    store.append([row(0), row(1)])
    for _ in range(2):
        store.erase(0)
    store.erase(7)
    with store.reader() as reader:
        assert list(reader.rows()) == [row(0)._replace(content=None), row(1)]


def test_erased_content_can_not_be_put_back(store: Store, row: MakeRow, shell: sqlite3.Connection) -> None:
    store.append([row(0)])
    store.erase(0)
    for verb in ("INSERT", "INSERT OR REPLACE"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            shell.execute(f"{verb} INTO content VALUES (0, x'00', x'00')")


def test_idempotency_key_leads_to_its_entry_for_its_agent_only(store: Store, row: MakeRow) -> None:
    store.append([row(0), row(1, agent=OTHER, counter=0, key="k")])
    with store.reader() as reader:
        assert reader.index_of_key(OTHER, "k") == 1
        assert reader.index_of_key(WALKER, "k") is None


def test_checkpoint_saved_again_keeps_its_root_and_takes_the_new_transaction(store: Store) -> None:
    first = SavedCheckpoint(3, (b"a" * 32, b"b" * 32), b"r" * 32, "note", b"s", "0x1")
    store.save_checkpoint(first)
    store.save_checkpoint(replace(first, tx="0x2"))
    store.save_checkpoint(replace(first, tx=None))
    with pytest.raises(ValueError, match="another root"):
        store.save_checkpoint(replace(first, root=b"x" * 32))
    with store.reader() as reader:
        assert reader.checkpoint_at_most(5) == replace(first, tx="0x2")
        assert reader.checkpoint_at_most(first.size) == replace(first, tx="0x2")
        assert reader.checkpoint_at_most(2) is None


def test_database_is_for_its_owner_only(store: Store, path: Path, row: MakeRow) -> None:
    store.append([row(0)])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "log.db-wal" in modes


def test_commit_is_synced(store: Store) -> None:
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_second_writer_is_refused_and_told_who_holds_the_log(
    store: Store, path: Path, identity: LogIdentity
) -> None:
    with pytest.raises(GuardError) as caught:
        SqliteStore(path, identity)
    assert caught.value.code == "AG511"
    assert str(os.getpid()) in caught.value.message


def test_second_writer_in_another_process_is_refused_until_the_first_ends(
    store: Store, path: Path, identity: LogIdentity
) -> None:
    program = (
        "import sys; from pathlib import Path; from agent_guard.store import SqliteStore;"
        "from agent_guard.types import LogIdentity;"
        f"SqliteStore(Path(sys.argv[1]), LogIdentity({identity.chain_id}, {identity.council!r}, {identity.operator!r}))"
    )
    command = [sys.executable, "-c", program, str(path)]
    refused = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "AG511" in refused.stderr
    store.close()
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "other", [{"chain_id": 1}, {"council": "0x" + "Cc" * 20}, {"operator": "0x" + "Dd" * 20}]
)
def test_log_of_another_identity_is_refused_and_stays_unlocked(
    path: Path, identity: LogIdentity, other: dict[str, object]
) -> None:
    SqliteStore(path, identity).close()
    with pytest.raises(GuardError) as caught:
        SqliteStore(path, replace(identity, **other))  # type: ignore[arg-type]
    assert caught.value.code == "AG512"
    SqliteStore(path, identity).close()


def test_locked_database_is_named_after_the_wait(
    store: Store, row: MakeRow, shell: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._connection.execute("PRAGMA busy_timeout = 50")
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(GuardError) as caught:
        store.append([row(0)])
    assert caught.value.code == "AG514"
    shell.execute("ROLLBACK")
    store.append([row(0)])
    assert store.size == 1


def test_readers_never_wait_for_the_writer_nor_it_for_them(store: Store, row: MakeRow) -> None:
    store.append([row(0)])
    with store.reader() as reader, reader.snapshot():
        assert reader.size() == 1
        store.append([row(1)])
        assert reader.size() == 1
        assert len(list(reader.rows())) == 1


def test_file_that_is_no_database_is_refused_unchanged(path: Path, identity: LogIdentity) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    before = path.read_bytes()
    with pytest.raises(GuardError) as caught:
        SqliteStore(path, identity)
    assert caught.value.code == "AG510"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "make", ["CREATE TABLE recipes (name TEXT)", "PRAGMA user_version = 7", "PRAGMA application_id = 5"]
)
def test_database_of_something_else_is_refused(
    path: Path, identity: LogIdentity, shell: sqlite3.Connection, make: str
) -> None:
    shell.execute(make)
    if "user_version" not in make:
        shell.execute("CREATE TABLE other (x)")
    with pytest.raises(GuardError) as caught:
        SqliteStore(path, identity)
    assert caught.value.code == "AG518"


def test_newer_version_is_refused_by_name(path: Path, identity: LogIdentity) -> None:
    SqliteStore(path, identity).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(GuardError, match="version 2"):
        SqliteStore(path, identity)


def damage(path: Path, page: int) -> None:
    """Overwrites one page of 4096 bytes with noise."""
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xee" * 4096)


def test_corrupt_page_is_named_and_what_stands_before_it_is_read(
    path: Path, identity: LogIdentity, row: MakeRow
) -> None:
    with SqliteStore(path, identity) as store:
        store.append([row(index) for index in range(2000)])
    damage(path, path.read_bytes().index(b'{"index":1000}') // 4096)
    found = []
    with SqliteReader(path) as reader, pytest.raises(GuardError) as caught:
        found.extend(made for made in reader.rows())
    assert caught.value.code == "AG515"
    assert 900 < len(found) <= 1000
    assert found == [row(index) for index in range(len(found))]


def test_missing_entry_stops_the_leaves(store: Store, row: MakeRow, shell: sqlite3.Connection) -> None:
    store.append([row(0), row(1), row(2)])
    shell.execute("DROP TRIGGER entry_delete")
    shell.execute("DELETE FROM entry WHERE leaf_index = 1")
    with store.reader() as reader, pytest.raises(GuardError, match="no usable entry 1") as caught:
        list(reader.leaves(0, 3))
    assert caught.value.code == "AG515"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; only root can mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(store: Store, row: MakeRow) -> GuardError:
    """Appends until it fails; the error."""
    for _ in range(10_000):
        try:
            store.append([row(index) for index in range(store.size, store.size + 50)])
        except GuardError as error:
            return error
    raise AssertionError("the disk never filled")


@pytest.mark.skipif(
    os.geteuid() != 0, reason="mounting a small disk needs root; the file size limit below does not"
)
def test_full_disk_is_named_and_everything_acknowledged_is_there(
    small_disk: Path, identity: LogIdentity, row: MakeRow
) -> None:
    with SqliteStore(small_disk / "log.db", identity) as store:
        error = fill(store, row)
        kept = store.size
    assert error.code == "AG513"
    assert kept > 0
    copy = shutil.copytree(small_disk, small_disk.parent / "copy")
    with SqliteStore(copy / "log.db", identity) as store, store.reader() as reader:
        assert [found.index for found in reader.rows()] == list(range(kept))
        store.append([row(kept)])


LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from conftest import IDENTITY, make_row
from agent_guard.errors import GuardError
from agent_guard.store import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
store = SqliteStore(Path(sys.argv[1]), IDENTITY)
try:
    while True:
        store.append([make_row(index) for index in range(store.size, store.size + 50)])
except GuardError as error:
    print(error.code, store.size)
"""


def test_file_size_limit_fails_like_a_full_disk_and_loses_nothing(path: Path, identity: LogIdentity) -> None:
    program = LIMITED.format(folder=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, kept = done.stdout.split()
    assert code in ("AG513", "AG517")
    with SqliteStore(path, identity) as store, store.reader() as reader:
        assert store.size >= int(kept) > 0
        assert [found.index for found in reader.rows()] == list(range(store.size))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only even for root, by a bind mount; only root can (and only root needs it)."""
    mounted: list[Path] = []

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            folder.chmod(0o500)
            for file in folder.iterdir():
                file.chmod(0o400)
            return
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        mounted.append(folder)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
    if os.geteuid() != 0:
        for folder in tmp_path.iterdir():
            folder.chmod(0o700)


def test_read_only_file_system_refuses_the_writer_and_serves_the_reader(
    tmp_path: Path, identity: LogIdentity, row: MakeRow, read_only: Callable[[Path], None]
) -> None:
    folder = tmp_path / "evidence"
    with SqliteStore(folder / "log.db", identity) as store:
        store.append([row(0)])
    (folder / "log.db.lock").unlink()
    read_only(folder)
    with pytest.raises(GuardError) as caught:
        SqliteStore(folder / "log.db", identity)
    assert caught.value.code == "AG516"
    with SqliteReader(folder / "log.db") as reader:
        assert list(reader.rows()) == [row(0)]


def test_reader_of_a_missing_file_makes_none(path: Path) -> None:
    with pytest.raises(GuardError) as caught:
        SqliteReader(path)
    assert caught.value.code == "AG510"
    assert not path.exists()


def test_reader_of_an_empty_file_says_it_is_no_log(path: Path) -> None:
    path.touch()
    with pytest.raises(GuardError) as caught:
        SqliteReader(path)
    assert caught.value.code == "AG518"


def test_columns_of_another_type_reach_nobody_as_such(
    store: Store, row: MakeRow, shell: sqlite3.Connection
) -> None:
    store.append([row(0)])
    shell.executescript(
        "CREATE TABLE forged (leaf_index INTEGER PRIMARY KEY, agent, counter, kind, body, leaf);"
        "INSERT INTO forged VALUES (0, x'6131', 0, 7, 'text', 12);"
        "DROP TRIGGER content_insert; DROP TABLE entry; ALTER TABLE forged RENAME TO entry;"
    )
    with store.reader() as reader:
        found = reader.row(0)
    assert found is not None
    assert (found.agent, found.kind, found.body, found.leaf) == (b"a1", "7", b"text", b"12")
