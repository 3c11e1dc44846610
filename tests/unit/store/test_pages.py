"""Pages: the rows of a log by columns, no more of them at once than memory is meant to hold."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.reading import pages_until_damage
from agent_guard.store import Content, Page, Row, SqliteReader, SqliteStore, pages_of
from agent_guard.store.rows import PAGE_BYTES, PAGE_ROWS
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit
MakeRow = Callable[..., Row]
HEAVY = 1 << 20


def test_page_holds_the_rows_it_is_made_of(row: MakeRow) -> None:
    rows = [row(0), row(1)._replace(content=None), row(2)]
    page = Page.of(rows)
    assert (len(page), list(page)) == (3, rows)
    assert page.leaves == tuple(each.leaf for each in rows)
    assert page.contents[1] is None


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_split_page_is_the_same_rows_in_two(row: MakeRow, at: int) -> None:
    rows = [row(index) for index in range(3)]
    part, rest = Page.of(rows).split(at)
    assert list(part) == rows[:at]
    assert list(rest or ()) == rows[at:]
    assert (rest is None) is (at >= 3)


@pytest.mark.parametrize("half", ["salt", "body"])
def test_content_of_which_half_is_missing_is_none(row: MakeRow, half: str) -> None:
    page = Page((0,), (bytes(32),), (0,), ("intent",), (b"{}",), (bytes(32),), (None,), (b"{}",))
    other = Page((0,), (bytes(32),), (0,), ("intent",), (b"{}",), (bytes(32),), (bytes(32),), (None,))
    [found] = page if half == "salt" else other
    assert found.content is None


def test_rows_that_end_with_an_error_are_given_before_it(row: MakeRow) -> None:
    def rows() -> Iterator[Row]:
        yield row(0)
        yield row(1)
        raise GuardError("AG515", "it is damaged.", "Keep it.")

    read: list[Row] = []
    with pytest.raises(GuardError, match="AG515"):
        read.extend(each for page in pages_of(rows()) for each in page)
    assert read == [row(0), row(1)]


@pytest.mark.parametrize("of", ["content", "body"])
def test_heavy_rows_make_small_pages(of: str, path: Path, identity: LogIdentity, row: MakeRow) -> None:
    heavy = {"content": Content(bytes(32), bytes(HEAVY))} if of == "content" else {"body": bytes(HEAVY)}
    rows = [row(index)._replace(**heavy) for index in range(40)]
    with SqliteStore(path, identity) as store, store.reader() as reader:
        store.append(rows)
        stored = list(reader.pages())
    most = PAGE_BYTES // HEAVY
    assert [each for page in stored for each in page] == rows
    assert [len(page) for page in stored] == [len(page) for page in pages_of(rows)] == [most] * (40 // most)


def test_log_is_read_in_full_pages_and_a_last_one(path: Path, identity: LogIdentity, row: MakeRow) -> None:
    rows = [row(index) for index in range(2 * PAGE_ROWS + 3)]
    with SqliteStore(path, identity) as store, store.reader() as reader:
        assert list(reader.pages()) == []
        store.append(rows)
        assert [len(page) for page in reader.pages()] == [PAGE_ROWS, PAGE_ROWS, 3]
        assert list(reader.pages()) == list(pages_of(rows))


def test_erased_content_is_none_in_its_page(path: Path, identity: LogIdentity, row: MakeRow) -> None:
    with SqliteStore(path, identity) as store, store.reader() as reader:
        store.append([row(0), row(1)])
        store.erase(1)
        [page] = reader.pages()
        assert list(page) == [row(0), row(1)._replace(content=None)]


@pytest.mark.parametrize(
    "forged",
    [
        "counter = 'nine'",
        "counter = 1.5",
        "counter = NULL",
        "agent = NULL",
        "kind = NULL",
        "body = NULL",
        "leaf = NULL",
    ],
)
def test_value_of_the_wrong_type_ends_the_pages_exactly_before_its_row(
    path: Path, identity: LogIdentity, row: MakeRow, forged: str
) -> None:
    with SqliteStore(path, identity) as store:
        store.append([row(index) for index in range(300)])
    with sqlite3.connect(path) as shell:
        for (name,) in shell.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            shell.execute(f"DROP TRIGGER {name}")
        shell.execute(
            "CREATE TABLE forged (leaf_index INTEGER PRIMARY KEY, agent, counter, kind, body, leaf)"
        )
        shell.execute("INSERT INTO forged SELECT * FROM entry")
        shell.execute("DROP TABLE entry")
        shell.execute("ALTER TABLE forged RENAME TO entry")
        shell.execute(f"UPDATE entry SET {forged} WHERE leaf_index = 290")  # noqa: S608 - the forger's own words
    shell.close()
    read: list[int] = []
    with SqliteReader(path) as reader, pytest.raises(GuardError, match="290") as caught:
        read.extend(index for page in pages_until_damage(reader) for index in page.indices)
    assert caught.value.code == "AG515"
    assert read == list(range(290))
