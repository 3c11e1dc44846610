"""What every store does, tried on each: the same tests for the file and for the server."""

import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.reading import pages_until_damage
from agent_guard.merkle import node_hash
from agent_guard.session.found_dead import is_open
from agent_guard.store import Content, Reader, Row, SavedCheckpoint, SqliteReader, Store
from agent_guard.store.postgres import PostgresReader
from agent_guard.store.postgres.reader import _TURNS
from agent_guard.store.rows import PAGE_ROWS
from tests.chain.stores.conftest import Place
from tests.unit.store.conftest import IDENTITY, OTHER, WALKER, make_row
from tests.unit.store.test_sqlite import ENVIRONMENT

pytestmark = pytest.mark.chain
OPENER = "import sys; from tests.chain.stores.conftest import opened; opened(sys.argv[1])"
CHECKPOINT = SavedCheckpoint(3, (b"a" * 32, b"b" * 32), b"r" * 32, "note — signed\n", b"s", "0x1")


def test_appended_rows_are_read_back_as_they_were(place: Place, store: Store) -> None:
    rows = [make_row(0), make_row(1, agent=OTHER, counter=0), make_row(2, counter=1)]
    store.append(rows[:2])
    store.append(rows[2:])
    with place.reader() as reader:
        assert list(reader.rows()) == rows
        assert list(reader.rows(agent=WALKER)) == [rows[0], rows[2]]
        assert list(reader.rows(1, 2)) == [rows[1]]
        assert list(reader.rows(1, agent=WALKER)) == [rows[2]]
        assert reader.last_rows(2) == rows[1:]
        assert reader.last_rows(1, agent=OTHER) == [rows[1]]
        assert reader.row(1) == rows[1]
        assert reader.row(3) is None
        assert (reader.size(), reader.counters()) == (3, {WALKER: 2, OTHER: 1})
        assert list(reader.leaves(1, 3)) == [rows[1].leaf, rows[2].leaf]
        assert list(reader.leaves(2, 2)) == []
        assert reader.subtree(1, 0) == node_hash(rows[0].leaf, rows[1].leaf)
        with reader.another() as other:
            assert other.identity() == IDENTITY
            assert other.where == reader.where


LIVES = {3: "start", 900: "exit", 901: "start", 1_500: "death", 2_399: "start"}
"""Of one agent, among 2,400 entries."""


@pytest.fixture
def lives(place: Place, store: Store) -> Iterator[Reader]:
    """A log of two agents of which one began and ended its lives at `LIVES`, and the other at 0."""
    rows = [make_row(at, WALKER if at % 3 == 0 or at in LIVES else OTHER) for at in range(2_400)]
    store.append(
        [row._replace(kind=LIVES.get(row.index, "start" if row.index == 1 else row.kind)) for row in rows]
    )
    with place.reader() as reader:
        yield reader


def test_turns_of_an_agents_lives_are_found_among_many_entries_in_order_and_from_anywhere(
    lives: Reader,
) -> None:
    assert [(row.index, row.kind) for row in lives.turns(WALKER)] == list(LIVES.items())
    assert [row.index for row in lives.turns(WALKER, 4)] == [900, 901, 1_500, 2_399]
    assert [row.index for row in lives.turns(WALKER, 901)] == [901, 1_500, 2_399]
    assert next(lives.turns(WALKER, 901)) == lives.row(901)
    assert list(lives.turns(WALKER, 2_400)) == []
    assert [row.index for row in lives.turns(OTHER)] == [1]
    assert list(lives.turns(b"n" * 32)) == []


def test_a_life_is_open_until_it_ended_or_another_began(lives: Reader) -> None:
    assert [start for start in (*LIVES, 1, 2, 5_000) if is_open(lives, WALKER, start)] == [2_399]
    assert is_open(lives, OTHER, 1)


def test_turns_are_found_through_an_index_of_their_own(lives: Reader) -> None:
    """However much was done in a life: neither store walks over it."""
    if isinstance(lives, SqliteReader):
        asked: list[str] = []
        lives._connection.set_trace_callback(asked.append)
        list(lives.turns(WALKER, 4))
        plan = str(lives._connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall())
        assert "SEARCH e USING INDEX turn (agent=? AND leaf_index>?)" in plan
    else:
        assert isinstance(lives, PostgresReader)
        plan = str(lives._all(f"EXPLAIN {_TURNS}", 4, WALKER))
        assert "using turn on" in plan.lower()


def test_empty_log_has_no_rows_counters_or_checkpoints_but_an_owner(store: Store) -> None:
    with store.reader() as reader:
        assert (reader.size(), reader.counters(), list(reader.rows())) == (0, {}, [])
        assert reader.last_rows(3) == []
        assert reader.identity() == IDENTITY
        assert reader.checkpoint_at_most(2**63 - 1) is None
    store.append([])
    assert store.size == 0


def test_reopened_store_goes_on_where_it_ended(place: Place) -> None:
    with place.store() as store:
        store.append([make_row(0)])
    with place.store() as store:
        assert store.size == 1
        store.append([make_row(1)])
        with store.reader() as reader:
            assert [found.index for found in reader.rows()] == [0, 1]


@pytest.mark.parametrize("indices", [[1], [0, 2], [0, 0], [1, 0], [-1, 0]])
def test_rows_that_leave_a_gap_are_refused_whole(store: Store, indices: list[int]) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        store.append([make_row(0)._replace(index=index) for index in indices])
    assert store.size == 0
    store.append([make_row(0)])


def test_batch_with_one_bad_row_leaves_nothing_behind(store: Store) -> None:
    store.append([make_row(0)])
    with pytest.raises(GuardError) as caught:
        store.append([make_row(1), make_row(2, counter=0, key="k")])  # a counter twice
    assert caught.value.code == "AG517"
    assert store.size == 1
    store.append([make_row(1)])
    with store.reader() as reader:
        assert list(reader.rows()) == [make_row(0), make_row(1)]
        assert reader.index_of_key(WALKER, "k") is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entry SET body = '\\x00'",
        "DELETE FROM entry WHERE leaf_index = 0",
        "UPDATE content SET body = '\\x00'",
        "INSERT INTO content VALUES (1, '\\x00', '\\x00')",
        "UPDATE idempotency SET leaf_index = 0",
        "DELETE FROM idempotency",
        "UPDATE log SET operator = 'me'",
        "DELETE FROM log",
        "UPDATE checkpoint SET root = '\\x00'",
        "DELETE FROM checkpoint",
    ],
)
def test_history_changed_by_sql_is_refused_to_the_administrator_too(
    place: Place, store: Store, change: str
) -> None:
    store.append([make_row(0, key="k"), make_row(1)])
    store.save_checkpoint(replace(CHECKPOINT, size=1, frontier=(bytes(32),)))
    store.erase(1)
    with pytest.raises(place.refusals, match=r"append-only|not the writer"):
        place.sql(change)


def test_erasing_leaves_the_entry_and_can_be_repeated(place: Place, store: Store) -> None:
    store.append([make_row(0), make_row(1)])
    for _ in range(2):
        store.erase(0)
    store.erase(7)
    with store.reader() as reader:
        assert list(reader.rows()) == [make_row(0)._replace(content=None), make_row(1)]
        assert reader.size() == 2
    store.append([make_row(2)])
    store.close()
    with place.reader() as reader:
        assert reader.row(0) == make_row(0)._replace(content=None)


@pytest.mark.parametrize("key", ["k", "", "a\0b", "ключ ☃", "x" * 10_000])
def test_idempotency_key_leads_to_its_entry_for_its_agent_only(store: Store, key: str) -> None:
    store.append([make_row(0), make_row(1, agent=OTHER, counter=0, key=key)])
    with store.reader() as reader:
        assert reader.index_of_key(OTHER, key) == 1
        assert reader.index_of_key(WALKER, key) is None
        assert reader.index_of_key(OTHER, key + "x") is None


def test_checkpoint_saved_again_keeps_its_root_and_takes_the_new_transaction(store: Store) -> None:
    store.save_checkpoint(CHECKPOINT)
    store.save_checkpoint(replace(CHECKPOINT, tx="0x2"))
    store.save_checkpoint(replace(CHECKPOINT, tx=None))
    for other in (replace(CHECKPOINT, root=b"x" * 32), replace(CHECKPOINT, frontier=(b"c" * 32, b"b" * 32))):
        with pytest.raises(ValueError, match="another root"):
            store.save_checkpoint(other)
    with store.reader() as reader:
        assert reader.checkpoint_at_most(5) == replace(CHECKPOINT, tx="0x2")
        assert reader.checkpoint_at_most(CHECKPOINT.size) == replace(CHECKPOINT, tx="0x2")
        assert reader.checkpoint_at_most(2) is None


def test_second_writer_is_refused_until_the_first_has_closed(place: Place, store: Store) -> None:
    with pytest.raises(GuardError, match="Another guard") as caught:
        place.store()
    assert caught.value.code == "AG511"
    store.append([make_row(0)])
    store.close()
    with place.store() as next_one:
        assert next_one.size == 1


def test_second_writer_in_another_process_is_refused_until_the_first_ends(place: Place, store: Store) -> None:
    command = [sys.executable, "-c", OPENER, place.name]
    refused = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "AG511" in refused.stderr
    store.close()
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0
    place.store().close()


@pytest.mark.parametrize("other", [{"chain_id": 1}, {"council": "0x" + "Cc" * 20}])
def test_log_of_another_identity_is_refused_and_stays_unlocked(place: Place, other: dict[str, Any]) -> None:
    place.store().close()
    with pytest.raises(GuardError) as caught:
        place.store(replace(IDENTITY, **other))
    assert caught.value.code == "AG512"
    place.store().close()


def test_reader_of_a_log_that_is_not_there_makes_none(place: Place) -> None:
    for _ in range(2):
        with pytest.raises(GuardError) as caught:
            place.reader()
        assert caught.value.code == "AG510"


def test_readers_never_wait_for_the_writer_nor_it_for_them(store: Store) -> None:
    store.append([make_row(0)])
    with store.reader() as reader:
        with reader.snapshot():
            assert reader.size() == 1
            store.append([make_row(1)])
            assert reader.size() == 1
            assert len(list(reader.rows())) == 1
        assert len(list(reader.rows())) == 2


def big_row(index: int, size: int) -> Row:
    noise = random.Random(index).randbytes(size)
    return make_row(index)._replace(content=Content(bytes(32), noise))


@pytest.mark.parametrize("size", [9_000_000, 300_000])
def test_rows_larger_than_a_page_come_whole_and_in_order(store: Store, size: int) -> None:
    rows = [big_row(index, size) for index in range(20 if size < 1_000_000 else 3)]
    store.append(rows)
    with store.reader() as reader:
        assert list(reader.rows()) == rows


def test_memory_does_not_grow_with_the_log(store: Store) -> None:
    """40 MB of content pass; what is held at once is some pages."""
    for start in range(0, 800, 100):
        store.append([big_row(index, 50_000) for index in range(start, start + 100)])
    with store.reader() as reader:
        tracemalloc.start()
        try:
            assert sum(len(row.content.body) for row in reader.rows() if row.content) == 40_000_000
            assert sum(map(len, reader.leaves(0, 800))) == 25_600
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20_000_000


def test_a_long_log_is_read_over_many_pages(store: Store) -> None:
    rows = [make_row(index, agent=OTHER if index % 7 else WALKER) for index in range(3_000)]
    for start in range(0, 3_000, 1_000):
        store.append(rows[start : start + 1_000])
    with store.reader() as reader:
        assert list(reader.rows()) == rows
        assert list(reader.rows(17, 2_900, OTHER)) == [row for row in rows[17:2_900] if row.agent == OTHER]
        assert list(reader.leaves(0, 3_000)) == [row.leaf for row in rows]
        assert reader.last_rows(600) == rows[-600:]


def test_pages_hold_the_rows_in_order_and_no_more_than_is_meant_to_be_in_memory(store: Store) -> None:
    rows = [make_row(index) for index in range(600)]
    rows += [big_row(index, 1 << 20) for index in range(600, 640)]
    store.append(rows)
    store.erase(599)
    rows[599] = rows[599]._replace(content=None)
    with store.reader() as reader:
        pages = list(reader.pages())
    assert [row for page in pages for row in page] == rows
    assert max(map(len, pages)) == PAGE_ROWS
    assert max(len(page) for page in pages if page.indices[0] > 600) <= 16


def test_missing_entry_stops_the_leaves(place: Place, store: Store) -> None:
    store.append([make_row(0), make_row(1), make_row(2)])
    place.tamper("DELETE FROM entry WHERE leaf_index = 1")
    with store.reader() as reader, pytest.raises(GuardError, match="no usable entry 1") as caught:
        list(reader.leaves(0, 3))
    assert caught.value.code == "AG515"
    with store.reader() as reader:
        assert [row.index for row in reader.rows()] == [0, 2]


def test_row_changed_by_the_administrator_is_handed_out_as_it_lies(place: Place, store: Store) -> None:
    store.append([make_row(0), make_row(1)])
    place.tamper("UPDATE entry SET body = '\\x6869' WHERE leaf_index = 1")
    with store.reader() as reader:
        assert list(reader.rows()) == [make_row(0), make_row(1)._replace(body=b"hi")]


def test_checkpoint_with_a_frontier_of_the_wrong_length_is_damage(place: Place, store: Store) -> None:
    store.save_checkpoint(CHECKPOINT)
    place.tamper("UPDATE checkpoint SET frontier = '\\x00'")
    with store.reader() as reader, pytest.raises(GuardError) as caught:
        reader.checkpoint_at_most(5)
    assert caught.value.code == "AG515"


def kinds_or_code(reader: Reader) -> object:
    """The types of the first row's values, or the code of the error instead of it."""
    try:
        row = reader.row(0)
    except GuardError as error:
        return error.code
    assert row is not None
    return tuple(type(value) for value in (row.index, row.agent, row.counter, row.kind, row.body, row.leaf))


@pytest.mark.parametrize(
    ("forged", "column"),
    [
        ("text", "'b1' AS leaf"),
        ("null", "NULL AS leaf"),
        ("number", "12 AS counter"),
        ("short", "'\\x00' AS agent"),
    ],
)
def test_what_is_no_value_of_the_schema_reaches_nobody_as_one(
    place: Place, store: Store, forged: str, column: str
) -> None:
    """Bytes stay bytes and numbers numbers, or reading fails with damage: nothing else comes out."""
    store.append([make_row(0)])
    names = ("leaf_index", "agent", "counter", "kind", "body", "leaf")
    replaced = column.rpartition(" ")[2]
    columns = ", ".join(column if name == replaced else name for name in names)
    place.tamper(
        f"CREATE TABLE forged AS SELECT {columns} FROM entry",  # noqa: S608
        "DROP TABLE entry",
        "ALTER TABLE forged RENAME TO entry",
    )
    with store.reader() as reader:
        assert kinds_or_code(reader) in ("AG515", (int, bytes, int, str, bytes, bytes))


def test_rows_for_an_auditor_end_at_the_damage_within_a_snapshot(place: Place, store: Store) -> None:
    store.append([make_row(index) for index in range(1_500)])
    place.tamper("DELETE FROM entry WHERE leaf_index = 1200")
    with store.reader() as reader, reader.snapshot():
        found = [index for page in pages_until_damage(reader) for index in page.indices]
    assert found == [index for index in range(1_500) if index != 1_200]


def test_closed_store_takes_nothing_and_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(GuardError):
        store.append([make_row(0)])
