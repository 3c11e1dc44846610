"""The witness's memory: forward only, whole or not at all, and clear about what it can't do."""

import sqlite3
import stat
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.store import ledger
from agent_guard.store.ledger import Cosigned, Fork, Ledger, Turn
from tests.unit.witness.conftest import Stand

pytestmark = pytest.mark.unit

FIVE = Cosigned("example.com/log", 5, b"r" * 32, "note\n", 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Ledger(tmp_path / "a" / "w.sqlite") as memory, memory.turn() as turn:
        turn.keep(FIVE)
        turn.keep_fork(Fork(FIVE.origin, 5, "ours\n", "theirs\n", 101), b"s" * 32)
    return tmp_path / "a" / "w.sqlite"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cosigned SET size = 4",
        "UPDATE cosigned SET root = zeroblob(32)",
        "DELETE FROM cosigned",
        "UPDATE fork SET theirs = ''",
        "DELETE FROM fork",
    ],
)
def test_no_program_takes_the_memory_back(path: Path, change: str) -> None:
    with sqlite3.connect(path) as shell, pytest.raises(sqlite3.IntegrityError):
        shell.execute(change)
    assert ledger.read(path) == ([FIVE], [Fork(FIVE.origin, 5, "ours\n", "theirs\n", 101)])


def test_memory_that_was_never_kept_is_told_from_one_that_broke(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="No witness has kept its memory") as caught:
        ledger.read(tmp_path / "w.sqlite")
    assert "--state" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_turn_that_fails_leaves_nothing(path: Path) -> None:
    def keep_and_fail(turn: Turn) -> None:
        turn.keep(Cosigned(FIVE.origin, 9, b"t" * 32, "note\n", 100))
        raise KeyError

    with Ledger(path) as memory:
        with pytest.raises(KeyError), memory.turn() as turn:
            keep_and_fail(turn)
        with memory.turn() as turn:
            assert turn.latest(FIVE.origin) == FIVE


def test_going_back_is_a_failure_of_the_memory_and_kept_from_it(path: Path) -> None:
    with Ledger(path) as memory:
        with pytest.raises(GuardError) as caught, memory.turn() as turn:
            turn.keep(Cosigned(FIVE.origin, 4, b"t" * 32, "note\n", 100))
        assert caught.value.code == "AG562"
        with memory.turn() as turn:
            assert turn.latest(FIVE.origin) == FIVE


def test_only_its_owner_may_read_it(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_synced_in_full(path: Path) -> None:
    with Ledger(path) as memory:
        assert memory._connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("content", [b"no database" * 100, b"\0" * 4096])
def test_what_is_no_memory_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.sqlite"
    path.write_bytes(content)
    for use in (Ledger, ledger.read):
        with pytest.raises(GuardError) as caught:
            use(path)
        assert caught.value.code == "AG562"
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    with sqlite3.connect(path) as shell:
        shell.execute("CREATE TABLE mine (a)")
    with pytest.raises(GuardError, match="no witness's memory"):
        Ledger(path)
    with sqlite3.connect(path) as shell:
        assert shell.execute("SELECT name FROM sqlite_schema").fetchall() == [("mine",)]


def test_reading_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(GuardError) as caught:
        ledger.read(tmp_path / "w.sqlite")
    assert caught.value.code == "AG562"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_gets_no_cosignature_out(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 1))
    stand.ledger._connection.execute("PRAGMA max_page_count = 1")
    stand.ledger._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(GuardError) as caught:
        stand.ask(stand.log.submit(1, 2))
    assert caught.value.code == "AG562"
    stand.reopen()
    assert stand.size() == 1
    assert stand.ask(stand.log.submit(1, 2)).status == 200


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError) as caught:
        Ledger(tmp_path / "file" / "w.sqlite")
    assert caught.value.code == "AG562"


def test_it_can_be_read_while_a_turn_is_open(path: Path) -> None:
    with Ledger(path) as memory, memory.turn() as turn:
        turn.keep(Cosigned(FIVE.origin, 9, b"t" * 32, "note\n", 100))
        assert ledger.read(path)[0] == [FIVE]
    assert ledger.read(path)[0][0].size == 9


@pytest.mark.parametrize("replaced_by", ["an older copy", "nothing"])
def test_a_memory_replaced_under_a_witness_at_work_gets_no_cosignature_out(
    stand: Stand, replaced_by: str
) -> None:
    """It would go on in a file that no other process sees, and two witnesses would vouch for two histories."""
    stand.ask(stand.log.submit(0, 5))
    if replaced_by == "an older copy":
        older = stand.path.with_name("older")
        older.write_bytes(stand.path.read_bytes())
        older.replace(stand.path)
    else:
        stand.path.unlink()
    with pytest.raises(GuardError, match="AG562"):
        stand.ask(stand.log.submit(5, 6))
