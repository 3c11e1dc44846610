"""The log as people read it: what is shown, what is proven, and what is refused."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.log import reading
from agent_guard.log.recorder import Recorder
from agent_guard.log.tree import frontier_at
from agent_guard.merkle import verify_inclusion
from agent_guard.store import Reader, SavedCheckpoint, SqliteReader, Store
from agent_guard.typed_data import agent_id

pytestmark = pytest.mark.unit
A, B = agent_id("a"), agent_id("b")


@pytest.fixture
def reader(store: Store, recorder: Recorder) -> Iterator[Reader]:
    """A log of 20 entries of two agents, anchored at 7 and 13."""
    store._connection.execute("PRAGMA synchronous = OFF")
    for number in range(20):
        recorder.append("ab"[number % 2], "intent", {"n": number}).result()
    with store.reader() as opened:
        for size in (7, 13):
            tree = frontier_at(opened, size)
            store.save_checkpoint(SavedCheckpoint(size, tree.nodes, tree.root(), "note", b"s", "0x1"))
        yield opened


def test_entries_are_streamed_with_their_content(reader: Reader) -> None:
    shown = list(reading.entries(reader))
    assert [one.entry.index for one in shown] == list(range(20))
    assert [one.content for one in shown] == [{"n": number} for number in range(20)]
    assert not any(one.erased for one in shown)


def test_one_agents_entries_are_its_own(reader: Reader) -> None:
    assert [one.entry.index for one in reading.entries(reader, B, start=4, end=10)] == [5, 7, 9]
    assert [one.entry.index for one in reading.newest(reader, 2, A)] == [16, 18]
    assert reading.get(reader, 5, B).content == {"n": 5}


@pytest.mark.parametrize(("index", "agent"), [(20, None), (-1, None), (2**70, None), (5, A)])
def test_entry_that_is_not_there_or_anothers_is_refused(
    reader: Reader, index: int, agent: bytes | None
) -> None:
    for read in (reading.get, lambda *which: reading.prove(which[0], which[1], None, which[2])):
        with pytest.raises(GuardError) as caught:
            read(reader, index, agent)
        assert caught.value.code == "AG540"


@pytest.mark.parametrize(
    "body", [b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b"[1.0]", b"\xff", b"", b"[" * 100_000]
)
def test_content_that_is_no_canonical_json_is_there_and_not_shown(
    reader: Reader, path: Path, body: bytes
) -> None:
    """And keeps nobody from reading the rest."""
    with sqlite3.connect(path) as shell:
        shell.execute("DROP TRIGGER content_update")
        shell.execute("UPDATE content SET body = ? WHERE leaf_index = 3", (body,))
    shown = reading.get(reader, 3)
    assert (shown.content, shown.erased, shown.erasure) == (None, False, None)
    assert shown.unreadable
    assert [one.unreadable is None for one in reading.entries(reader)] == [at != 3 for at in range(20)]


def test_erased_content_is_shown_as_erased(reader: Reader, path: Path) -> None:
    with sqlite3.connect(path) as shell:
        shell.execute("DELETE FROM content WHERE leaf_index = 3")
    shown = reading.get(reader, 3)
    assert (shown.erased, shown.content, shown.entry.index) == (True, None, 3)


@pytest.mark.parametrize("size", [None, 7, 13])
def test_proof_leads_to_the_anchored_root_for_every_entry_under_it(reader: Reader, size: int | None) -> None:
    for index in range(size or 13):
        proof = reading.prove(reader, index, size)
        assert proof.checkpoint.size == (size or 13)
        verify_inclusion(proof.leaf, index, proof.checkpoint.size, proof.hashes, proof.checkpoint.root)


@pytest.mark.parametrize(("index", "size"), [(13, None), (7, 7), (3, 10), (3, 20), (3, 0)])
def test_entry_that_no_such_head_covers_is_not_proven(reader: Reader, index: int, size: int | None) -> None:
    with pytest.raises(GuardError) as caught:
        reading.prove(reader, index, size)
    assert caught.value.code == "AG541"


def forge(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as shell:
        shell.execute("DROP TRIGGER entry_update")
        shell.execute(statement)


def test_proof_over_a_changed_leaf_is_not_handed_out(reader: Reader, path: Path) -> None:
    forge(path, "UPDATE entry SET leaf = zeroblob(32) WHERE leaf_index = 2")
    with pytest.raises(GuardError) as caught:
        reading.prove(reader, 5)
    assert caught.value.code == "AG515"


def test_bytes_that_are_no_entry_are_said_to_be_damaged(reader: Reader, path: Path) -> None:
    forge(path, "UPDATE entry SET body = x'7B7D' WHERE leaf_index = 2")
    with pytest.raises(GuardError, match="Entry 2 can't be shown") as caught:
        list(reading.entries(reader))
    assert caught.value.code == "AG515"


def test_damaged_page_ends_the_rows_exactly_where_it_lies(
    store: Store, make_recorder: Callable[..., Recorder], path: Path
) -> None:
    store._connection.execute("PRAGMA synchronous = OFF")
    recorder = make_recorder()
    for done in [recorder.append("a", "intent", {"n": number}) for number in range(600)]:
        done.result()
    recorder.close()
    store.close()
    with SqliteReader(path) as reader:
        bodies = {row.index: row.body for row in reader.rows()}
    data = path.read_bytes()
    page = data.index(bodies[300]) // 4096 * 4096
    path.write_bytes(data[:page] + b"\xee" * 4096 + data[page + 4096 :])
    whole = path.read_bytes()
    read = []
    with SqliteReader(path) as reader, pytest.raises(GuardError):
        read.extend(row for page in reading.pages_until_damage(reader) for row in page)
    assert len(read) == next(index for index in range(600) if bodies[index] not in whole)


def test_damaged_page_loses_no_row_before_it(store: Store, recorder: Recorder, path: Path) -> None:
    recorder.append("a", "intent", {}).result()
    with store.reader() as reader:
        assert [page.indices for page in reading.pages_until_damage(reader)] == [(0,)]
