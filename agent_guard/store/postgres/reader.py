"""Reading a log on a server: streams rows in order, a page at a time, changes nothing.

Guarantees: memory does not grow with the log, here and on the server, and a page holds a few MiB; a row beyond 64 MiB
is refused unread; within `snapshot()` all answers are of one moment. Rows are handed out as they lie there: whoever
needs them to be true checks them (`agent_guard.audit`). What is no value of the expected type reaches nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import psycopg

from agent_guard.errors import GuardError
from agent_guard.merkle import Frontier
from agent_guard.store.postgres import schema
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import connect
from agent_guard.store.postgres.failures import translated
from agent_guard.store.postgres.schema import key_hash, named
from agent_guard.store.postgres.server import ask
from agent_guard.store.rows import Content, Page, Row, SavedCheckpoint, pages_of
from agent_guard.types import LogIdentity

PAGE_ROWS = 512
PAGE_BYTES = 4 << 20
LARGEST_ROW = 64 << 20

# Sizes are known before the values are fetched from where the server keeps long ones.
_SIZED = """
SELECT e.leaf_index, e.agent, e.counter, e.kind, e.body, e.leaf, c.salt, c.body AS content,
  octet_length(e.body) + coalesce(octet_length(c.salt) + octet_length(c.body), 0) AS bytes
FROM {log}.entry AS e LEFT JOIN {log}.content AS c USING (leaf_index)
"""
_FITTING = f"""leaf_index, agent, counter, kind, CASE WHEN bytes <= {LARGEST_ROW} THEN body END, leaf, salt,
  CASE WHEN bytes <= {LARGEST_ROW} THEN content END"""


# Put together from these texts alone.
def _page(wanted: str) -> str:
    return f"""
SELECT {_FITTING} FROM (
  SELECT *, sum(bytes) OVER (ORDER BY leaf_index ROWS UNBOUNDED PRECEDING) - bytes AS before FROM ({_SIZED}
    WHERE e.leaf_index >= %s AND {wanted}) AS sized
  ORDER BY leaf_index LIMIT {PAGE_ROWS}) AS page
WHERE before < {PAGE_BYTES} ORDER BY leaf_index
"""  # noqa: S608


_PAGE = _page("e.leaf_index < %s AND (%s::bytea IS NULL OR e.agent = %s)")
_ERASURES = _page("e.kind = 'erasure'")
_TURNS = _page("e.kind IN ('start', 'exit', 'death') AND e.agent = %s")
_ONE = f"SELECT {_FITTING} FROM ({_SIZED} WHERE e.leaf_index = %s) AS sized"  # noqa: S608
_LAST = f"""
SELECT {_FITTING} FROM ({_SIZED} ORDER BY e.leaf_index DESC LIMIT %s) AS sized ORDER BY leaf_index
"""  # noqa: S608
_LAST_OF = f"""
SELECT {_FITTING} FROM ({_SIZED} WHERE e.agent = %s ORDER BY e.counter DESC LIMIT %s) AS sized ORDER BY counter
"""  # noqa: S608
_LEAVES = """
SELECT leaf_index, leaf FROM {log}.entry WHERE leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index LIMIT 8192
"""
# One index lookup per agent instead of a walk over all entries.
_COUNTERS = """
WITH RECURSIVE known(agent) AS (
  (SELECT agent FROM {log}.entry ORDER BY agent LIMIT 1)
  UNION ALL
  SELECT (SELECT e.agent FROM {log}.entry AS e WHERE e.agent > known.agent ORDER BY e.agent LIMIT 1)
  FROM known WHERE known.agent IS NOT NULL
)
SELECT agent, (SELECT max(counter) + 1 FROM {log}.entry AS e WHERE e.agent = known.agent)
FROM known WHERE agent IS NOT NULL
"""
_CHECKPOINT = """
SELECT size, frontier, root, note, signature, tx FROM {log}.checkpoint WHERE size <= %s ORDER BY size DESC LIMIT 1
"""


class PostgresReader:
    """A read-only connection to the log at `address`; if that names no operator, to the only log there is.

    For one thread at a time. After its connection broke (AG551) the next read connects anew, but within a snapshot.

    Every method raises `GuardError`: AG510 not there, AG515 damaged, AG518 not a log of this version, AG551 out of
    reach, AG552 refused.
    """

    def __init__(self, address: Address) -> None:
        self._connection = connect(address, reading=True)
        self._in_snapshot = self._closed = False
        try:
            self._address = address if address.operator else self._only_log(address)
            with translated(self._address, "open the log"):
                schema.check(self._connection, self._address)
        except BaseException:
            self._connection.close()
            raise

    @property
    def where(self) -> str:
        return str(self._address)

    def another(self) -> "PostgresReader":
        """A new connection to the same log; the caller closes it."""
        return PostgresReader(self._address)

    def close(self) -> None:
        self._closed = True
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see the log as it was at the first of them."""
        self._connect_anew()
        with translated(self._address, "read the log"):
            # The savepoint lets a read that failed be followed by another one, of the same moment.
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT reading")
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            with suppress(psycopg.Error):  # a connection that is gone holds no snapshot
                self._connection.execute("ROLLBACK")

    def identity(self) -> LogIdentity:
        """Whose log the database says it is."""
        self._connect_anew()
        with translated(self._address, "read whose log it is"):
            return schema.identity_of(self._connection, self._address)

    def size(self) -> int:
        """One more than the highest index: the number of entries, if none is missing."""
        (found,) = self._all("SELECT coalesce(max(leaf_index), -1) + 1 FROM {log}.entry")
        return int(found[0])

    def counters(self) -> dict[bytes, int]:
        """For each agent the counter of its next entry."""
        return dict(self._all(_COUNTERS))

    def rows(self, start: int = 0, end: int | None = None, agent: bytes | None = None) -> Iterator[Row]:
        """The rows from index `start` to `end` - 1 (None: to the last), of one agent or of all, in order."""
        return self._paged(_PAGE, start, 2**63 - 1 if end is None else end, agent, agent)

    def pages(self) -> Iterator[Page]:
        """All rows, in order, by columns."""
        return pages_of(self.rows())

    def erasures(self, start: int = 0) -> Iterator[Row]:
        """The rows that record an erasure, from `start` on, in order; through an index of their own."""
        return self._paged(_ERASURES, start)

    def turns(self, agent: bytes, start: int = 0) -> Iterator[Row]:
        """The rows that begin or end a life of an agent, from `start` on, in order; through an index of their own."""
        return self._paged(_TURNS, start, agent)

    def _paged(self, query: str, start: int, *values: object) -> Iterator[Row]:
        """The rows of a query from index `start` on, page by page."""
        following = start
        while page := self._all(query, following, *values):
            for row in map(self._to_row, page):
                if row.index < following:
                    raise self._damaged(f"row {row.index} comes twice or out of order")
                following = row.index + 1
                yield row

    def last_rows(self, count: int, agent: bytes | None = None) -> list[Row]:
        """The newest `count` rows, of one agent or of all, oldest first."""
        found = self._all(_LAST_OF, agent, count) if agent else self._all(_LAST, count)
        return [self._to_row(row) for row in found]

    def row(self, index: int) -> Row | None:
        """The row at `index`, None if there is none."""
        found = self._all(_ONE, index)
        return self._to_row(found[0]) if found else None

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """The leaf hashes from `start` to `end` - 1; AG515 if one of them is missing or no hash."""
        expected = start
        while expected < end:
            for index, leaf in self._all(_LEAVES, expected, end) or [(None, None)]:
                if index != expected or not isinstance(leaf, bytes) or len(leaf) != 32:
                    raise self._damaged(
                        f"there is no usable entry {expected}, though the log goes on to {end - 1}"
                    )
                yield leaf
                expected += 1

    def subtree(self, level: int, index: int) -> bytes:
        """The root over the 2^level leaves from index * 2^level on (32 bytes); reads each of them. Raises AG515."""
        tree = Frontier()
        tree.extend(self.leaves(index << level, (index + 1) << level))
        return tree.root()

    def index_of_key(self, agent: bytes, key: str) -> int | None:
        """The index of the entry that an agent recorded under an idempotency key."""
        query = "SELECT leaf_index FROM {log}.idempotency WHERE agent = %s AND key_hash = %s"
        found = self._all(query, agent, key_hash(key))
        return int(found[0][0]) if found else None

    def checkpoint_at_most(self, size: int) -> SavedCheckpoint | None:
        """The newest anchored head of no more than `size` entries."""
        found = self._all(_CHECKPOINT, size)
        return self._to_checkpoint(found[0]) if found else None

    def _connect_anew(self) -> None:
        if self._connection.closed and not self._in_snapshot and not self._closed:
            self._connection = connect(self._address, reading=True)

    def _all(self, query: str, *values: object) -> list[Any]:
        self._connect_anew()
        with translated(self._address, "read the log"):
            try:
                return self._connection.execute(named(query, self._address), values).fetchall()
            except psycopg.Error:
                if self._in_snapshot:
                    with suppress(psycopg.Error):  # the first error is the one that counts
                        self._connection.execute("ROLLBACK TO SAVEPOINT reading")
                raise

    def _only_log(self, address: Address) -> Address:
        logs = ask(self._connection, address).logs
        if len(logs) == 1:
            return address.of(logs[0])
        raise GuardError(
            "AG510",
            f"{address} holds {len(logs)} logs, and none is named. Nothing was read.",
            "Name the operator behind the address: postgresql://HOST/DATABASE#0x…",
        )

    def _to_row(self, found: Any) -> Row:
        index, agent, counter, kind, body, leaf, salt, content = found
        types = (int, bytes, int, str, bytes, bytes)
        held = None if salt is None and content is None else Content(salt, content)
        if tuple(map(type, found[:6])) != types or (held and (type(salt), type(content)) != (bytes, bytes)):
            raise self._damaged(f"row {index!r} has values of the wrong type, or is larger than any entry")
        return Row(index, agent, counter, kind, body, leaf, held)

    def _to_checkpoint(self, found: Any) -> SavedCheckpoint:
        size, frontier, *rest = found
        if type(size) is not int or not isinstance(frontier, bytes) or len(frontier) != 32 * size.bit_count():
            raise self._damaged(f"the frontier of its checkpoint of {size} entries has the wrong length")
        nodes = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
        return SavedCheckpoint(size, nodes, *rest)

    def _damaged(self, why: str) -> GuardError:
        return GuardError(
            "AG515",
            f"{self._address} is damaged: {why}.",
            "Keep the database as evidence, restore a copy, and compare it with: agent-guard audit",
        )
