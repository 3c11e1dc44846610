"""Reading a log's database: streams rows in order, holds no lock that a writer could meet, changes nothing.

Guarantees: memory does not grow with the log, whoever made the file; within `snapshot()` all answers are of one moment.
Rows are handed out as they lie there: whoever needs them to be true checks them (`agent_guard.audit`).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

from agent_guard.errors import GuardError
from agent_guard.merkle import Frontier
from agent_guard.store.rows import PAGE_BYTES, PAGE_ROWS, Content, Page, Row, SavedCheckpoint
from agent_guard.store.sqlite import schema
from agent_guard.store.sqlite.failures import translated
from agent_guard.types import LogIdentity

LARGEST = 128 << 20
"""Bytes of a value, and of a row, beyond which it is refused unread."""

# CAST: a forged file may hold other types than the schema says; what is no blob must not reach a hash function.
_ROWS = """
SELECT e.leaf_index, CAST(e.agent AS BLOB), e.counter, CAST(e.kind AS TEXT), CAST(e.body AS BLOB),
       CAST(e.leaf AS BLOB), CAST(c.salt AS BLOB), CAST(c.body AS BLOB)
FROM entry AS e LEFT JOIN content AS c USING (leaf_index)
"""
_TYPES = (int, bytes, int, str, bytes, bytes)
"""Of a row's values, but for those of its content, which may not be there."""
_CHECKPOINT = "SELECT size, frontier, root, note, signature, tx FROM checkpoint"
# One index lookup per agent instead of a walk over all entries.
_COUNTERS = """
WITH RECURSIVE known(agent) AS (
  SELECT min(agent) FROM entry
  UNION ALL SELECT (SELECT min(agent) FROM entry WHERE agent > known.agent) FROM known WHERE agent IS NOT NULL
)
SELECT agent, (SELECT max(counter) + 1 FROM entry WHERE entry.agent = known.agent)
FROM known WHERE agent IS NOT NULL
"""


class SqliteReader:
    """A read-only connection to the log at `path`. For one thread at a time.

    Every method raises `GuardError`: AG510 not there or not readable, AG515 damaged, AG518 not a log of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _connect(path)
        try:
            with translated(path, "open the log"):
                schema.check(self._connection, path)
        except GuardError:
            self._connection.close()
            raise

    @property
    def where(self) -> str:
        return str(self.path)

    def another(self) -> "SqliteReader":
        """A new connection to the same file; the caller closes it."""
        return SqliteReader(self.path)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see the log as it was at the first of them."""
        with translated(self.path, "read the log"):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with translated(self.path, "read the log"):
                self._connection.execute("ROLLBACK")

    def identity(self) -> LogIdentity:
        """Whose log the database says it is."""
        with translated(self.path, "read whose log it is"):
            return schema.identity_of(self._connection)

    def size(self) -> int:
        """One more than the highest index: the number of entries, if none is missing."""
        return int(self._one("SELECT coalesce(max(leaf_index), -1) + 1 FROM entry")[0])

    def counters(self) -> dict[bytes, int]:
        """For each agent the counter of its next entry."""
        return dict(self._all(_COUNTERS))

    def rows(self, start: int = 0, end: int | None = None, agent: bytes | None = None) -> Iterator[Row]:
        """The rows from index `start` to `end` - 1 (None: to the last), of one agent or of all, in order."""
        wanted = "WHERE e.leaf_index >= ? AND e.leaf_index < ?" + (" AND e.agent = ?" if agent else "")
        values = [start, 2**63 - 1 if end is None else end] + ([agent] if agent else [])
        yield from map(_to_row, self._all(f"{_ROWS} {wanted} ORDER BY e.leaf_index", *values))

    def pages(self) -> Iterator[Page]:
        """All rows, in order, by columns."""
        with translated(self.path, "read the log"):
            cursor = self._connection.execute(f"{_ROWS} ORDER BY e.leaf_index")
            while found := _some(cursor):
                yield _to_page(found)

    def last_rows(self, count: int, agent: bytes | None = None) -> list[Row]:
        """The newest `count` rows, of one agent or of all, oldest first."""
        wanted = "WHERE e.agent = ? ORDER BY e.counter" if agent else "ORDER BY e.leaf_index"
        values = [agent, count] if agent else [count]
        return [_to_row(found) for found in self._all(f"{_ROWS} {wanted} DESC LIMIT ?", *values)][::-1]

    def row(self, index: int) -> Row | None:
        """The row at `index`, None if there is none."""
        found = self._one(f"{_ROWS} WHERE e.leaf_index = ?", index)
        return _to_row(found) if found else None

    def erasures(self, start: int = 0) -> Iterator[Row]:
        """The rows that record an erasure, from index `start` on, in order; through an index of their own."""
        wanted = "WHERE e.kind = 'erasure' AND e.leaf_index >= ? ORDER BY e.leaf_index"
        yield from map(_to_row, self._all(f"{_ROWS} {wanted}", start))

    def turns(self, agent: bytes, start: int = 0) -> Iterator[Row]:
        """The rows that begin or end a life of an agent, from `start` on, in order; through an index of their own."""
        # In the very words of the index: SQLite takes it for no others.
        wanted = "WHERE e.kind IN ('start', 'exit', 'death') AND e.agent = ? AND e.leaf_index >= ?"
        yield from map(_to_row, self._all(f"{_ROWS} {wanted} ORDER BY e.leaf_index", agent, start))

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """The leaf hashes from `start` to `end` - 1; AG515 if one of them is missing or no hash."""
        expected = start
        query = (
            "SELECT leaf_index, leaf FROM entry WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index"
        )
        for index, leaf in self._all(query, start, end):
            if index != expected or not isinstance(leaf, bytes) or len(leaf) != 32:
                break
            yield leaf
            expected += 1
        if expected < end:
            raise GuardError(
                "AG515",
                f"{self.path} has no usable entry {expected}, though the log goes on to {end - 1}.",
                "Keep the file as evidence, restore a copy, and compare it with: agent-guard audit",
            )

    def subtree(self, level: int, index: int) -> bytes:
        """The root over the 2^level leaves from index * 2^level on (32 bytes); reads each of them. Raises AG515."""
        tree = Frontier()
        tree.extend(self.leaves(index << level, (index + 1) << level))
        return tree.root()

    def index_of_key(self, agent: bytes, key: str) -> int | None:
        """The index of the entry that an agent recorded under an idempotency key."""
        found = self._one("SELECT leaf_index FROM idempotency WHERE agent = ? AND key = ?", agent, key)
        return int(found[0]) if found else None

    def checkpoint_at_most(self, size: int) -> SavedCheckpoint | None:
        """The newest anchored head of no more than `size` entries."""
        return _to_checkpoint(
            self._one(f"{_CHECKPOINT} WHERE size <= ? ORDER BY size DESC LIMIT 1", size), self.path
        )

    def _one(self, query: str, *values: object) -> Any:
        with translated(self.path, "read the log"):
            return self._connection.execute(query, values).fetchone()

    def _all(self, query: str, *values: object) -> Iterator[Any]:
        with translated(self.path, "read the log"):
            yield from self._connection.execute(query, values)


def _connect(path: Path) -> sqlite3.Connection:
    """Opens read-only. A copy on a read-only medium has no place for SQLite's shared memory: there, as immutable."""
    with translated(path, "open the log"):
        path = path.resolve(strict=True)
        try:
            return _connect_as(path, "mode=ro")
        except sqlite3.Error as error:
            if (
                error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN
                or path.with_name(path.name + "-wal").exists()
            ):
                raise
            return _connect_as(path, "mode=ro&immutable=1")


def _connect_as(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the first read opens the file
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _some(cursor: sqlite3.Cursor) -> list[Any]:
    """What makes the next page; empty at the end. Weighed row by row: one alone may hold `LARGEST` bytes."""
    found: list[Any] = []
    size = 0
    for values in islice(cursor, PAGE_ROWS):
        found.append(values)
        size += len(values[4] or b"") + len(values[7] or b"")
        if size >= PAGE_BYTES:
            break
    return found


def _to_page(found: Sequence[Any]) -> Page:
    columns = tuple(zip(*found, strict=True))
    if any({*map(type, column)} != {kind} for column, kind in zip(columns, _TYPES, strict=False)):
        raise _mistyped(next(values for values in found if tuple(map(type, values[:6])) != _TYPES))
    return Page(*columns)


def _to_row(found: Any) -> Row:
    if tuple(map(type, found[:6])) != _TYPES:
        raise _mistyped(found)
    index, agent, counter, kind, body, leaf, salt, content = found
    held = Content(salt, content) if salt is not None and content is not None else None
    return Row(index, agent, counter, kind, body, leaf, held)


def _mistyped(found: Any) -> GuardError:
    return GuardError(
        "AG515",
        f"The log's row {found[0]!r} has values of the wrong type. Nothing was read.",
        "Keep the file as evidence, restore a copy, and compare it with: agent-guard audit",
    )


def _to_checkpoint(found: Any, path: Path) -> SavedCheckpoint | None:
    if found is None:
        return None
    size, frontier, *rest = found
    if not isinstance(frontier, bytes) or len(frontier) != 32 * size.bit_count():
        raise GuardError(
            "AG515",
            f"{path} holds a checkpoint of {size} entries whose frontier has the wrong length.",
            "Keep the file as evidence, restore a copy, and compare it with: agent-guard audit",
        )
    nodes = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
    return SavedCheckpoint(size, nodes, *rest)
