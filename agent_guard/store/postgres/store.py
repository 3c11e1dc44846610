"""The writer of one log on a PostgreSQL server: nothing acknowledged that the server has not flushed to its disk.

Guarantees: `append`, `save_checkpoint` and `erase` return only after a COMMIT with `synchronous_commit` on, whatever
server, database or role would have it; a batch is stored whole or not at all; a second writer is refused, and one that
was replaced can change nothing (fence.py); no call takes longer than half a minute. Once the connection broke, or an
answer came too late, nobody knows what became of the last batch: the next call connects anew, finds out, and goes on
only where the log was left (returning.py). Until then it raises AG551, and the caller may hand over the same rows
again: they are stored once. Trusts the server to keep what it has flushed (server.py).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

import psycopg

from agent_guard.errors import GuardError
from agent_guard.store.postgres import fence, schema, server
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import BoundedConnection, connect, one
from agent_guard.store.postgres.failures import translated
from agent_guard.store.postgres.reader import PostgresReader
from agent_guard.store.postgres.returning import PASSING, Left, take_again
from agent_guard.store.postgres.schema import named
from agent_guard.store.rows import Row, SavedCheckpoint
from agent_guard.types import LogIdentity

# `on` waits for the disk, and for the standbys that the server's synchronous_standby_names demands; remote_apply for
# more. Said in every transaction: behind a pooler the next one may be another session's.
_DURABLE = """set_config('synchronous_commit',
  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, {local})"""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('{setting}', '{term}', true), " + _DURABLE
_CONTENT = "INSERT INTO {log}.content SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[])"
_ENTRY = (
    "INSERT INTO {log}.entry SELECT * FROM"
    " unnest(%b::bigint[], %b::bytea[], %b::bigint[], %t::text[], %b::bytea[], %b::bytea[])"
)
_KEYS = "INSERT INTO {log}.idempotency SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[])"
_NEWEST = "SELECT leaf_index, leaf FROM {log}.entry ORDER BY leaf_index DESC LIMIT 1"
_CHECKPOINT = """
INSERT INTO {log}.checkpoint AS kept VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (size) DO UPDATE
SET note = excluded.note, signature = excluded.signature, tx = coalesce(excluded.tx, kept.tx)
WHERE kept.root = excluded.root AND kept.frontier = excluded.frontier
"""


class PostgresStore:
    """The writer of an operator's log, which is created if it is not there.

    Methods may be called from any thread; `_lock` guards the connection.

    Args:
        address: the database; whose log in it is said by `identity`.
        identity: whose log it is.

    Raises:
        GuardError: AG510 no such database, AG511 another guard writes it, AG512 it is another council's or chain's,
            AG513 the server's disk is full, AG514 locked, AG515 damaged, AG516 read-only, AG517 failed, AG518 not a log
            of this version, AG550 no address, AG551 out of reach, AG552 refused, AG553 a server that can't be trusted.
    """

    def __init__(self, address: Address, identity: LogIdentity) -> None:
        self._address = address.of(identity.operator)
        self._lock = threading.Lock()
        self._warnings: list[str] = []
        self._identity = identity
        self._over: GuardError | None = None  # why it takes nothing more, for good
        self._closed = False
        self._pending: tuple[
            bytes, ...
        ] = ()  # leaves on their way; after a broken connection, those in doubt
        self._kept = False  # the batch in doubt was found to be there
        self._connection = connect(self._address, reading=False)
        try:
            self._hold, self._size, self._last = _open(self._connection, self._address, identity)
        except BaseException:
            self._connection.close()
            raise
        self._connection.add_notice_handler(self._hear)

    def close(self) -> None:
        """Ends the session, which lets another writer in. Nothing is taken up again after it."""
        self._closed = True
        with self._lock:
            with suppress(psycopg.Error):  # one that is gone holds no lock
                self._connection.execute(
                    "SELECT pg_advisory_unlock_all()"
                )  # else only once the server notices
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reader(self) -> PostgresReader:
        """A new reading connection to the same log; the caller closes it."""
        return PostgresReader(self._address)

    @property
    def size(self) -> int:
        """Entries that are durable."""
        return self._size

    def append(self, rows: Sequence[Row]) -> None:
        """Stores rows whose indices follow the last one, in one transaction; durable on return.

        Raises:
            GuardError: see the class; none of the rows was acknowledged, and after AG517 and AG551 they may or may not
                be there. After AG551 the same rows, and no others, may be handed over again. AG511 and AG585 are for
                good: the log is another's by now, or not the one that was acknowledged.
            ValueError: the rows don't follow the log's end without a gap, or aren't those in doubt.
        """
        if [row.index for row in rows] != list(range(self._size, self._size + len(rows))):
            raise ValueError(f"rows must have the indices from {self._size} on, without a gap")
        leaves, doing = tuple(row.leaf for row in rows), f"store {len(rows)} entries"
        with self._lock:
            self._be_connected(doing)
            if self._pending and self._pending != leaves:
                raise ValueError("the rows are not those of the batch in doubt")
            if not self._kept:
                self._insert_all(rows, leaves, doing)
            self._size, self._last = self._size + len(rows), leaves[-1] if leaves else self._last
            self._pending, self._kept = (), False

    def _insert_all(self, rows: Sequence[Row], leaves: tuple[bytes, ...], doing: str) -> None:
        self._pending = leaves
        try:
            self._insert_within(rows, doing)
        finally:
            if not self._connection.closed:
                self._pending = ()  # stored, or rolled back: nothing is in doubt

    def _insert_within(self, rows: Sequence[Row], doing: str) -> None:
        with self._transaction_within(doing) as connection:
            # Before its entry: see the triggers in schema.py.
            held = [(row.index, row.content.salt, row.content.body) for row in rows if row.content]
            self._insert(connection, _CONTENT, held)
            self._insert(connection, _ENTRY, [_entry_values(row) for row in rows])
            keys = [(row, row.idempotency_key) for row in rows if row.idempotency_key is not None]
            self._insert(
                connection, _KEYS, [(row.agent, schema.key_hash(key), row.index) for row, key in keys]
            )

    def save_checkpoint(self, checkpoint: SavedCheckpoint) -> None:
        """Keeps an anchored head; the same head again only brings its newer transaction. Durable on return.

        Raises:
            GuardError: see the class.
            ValueError: a head of the same size with another root is there; it stays.
        """
        values = (
            checkpoint.size,
            b"".join(checkpoint.frontier),
            checkpoint.root,
            checkpoint.note,
            checkpoint.signature,
            checkpoint.tx,
        )
        with self._transaction(f"store the checkpoint of {checkpoint.size} entries") as connection:
            done = connection.execute(named(_CHECKPOINT, self._address), values)
            if done.rowcount != 1:
                raise ValueError(f"there is a checkpoint of {checkpoint.size} entries with another root")

    def erase(self, index: int) -> None:
        """Removes salt and content of the entry at `index`. Their bytes go when the server vacuums: see README.md.

        Raises:
            GuardError: see the class.
        """
        with self._transaction(f"erase the content of entry {index}") as connection:
            connection.execute(
                named("DELETE FROM {log}.content WHERE leaf_index = %s", self._address), (index,)
            )

    def _insert(
        self, connection: BoundedConnection, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> None:
        """All rows with one statement, a column to an array."""
        if rows:
            connection.execute(
                named(statement, self._address), [list(column) for column in zip(*rows, strict=True)]
            )

    def _be_connected(self, doing: str) -> None:
        """Takes the log up again if the connection broke. Raises AG551, or for good what stands against it."""
        if self._over is not None:
            raise self._over
        if not self._connection.closed:
            return
        try:
            self._come_back()
        except GuardError as error:
            if error.code not in PASSING:
                self._over = error
            elif error.code != "AG551":
                raise GuardError("AG551", f"Could not {doing}: {error.message}", error.remedy) from error
            raise

    def _come_back(self) -> None:
        if self._closed:
            raise GuardError("AG551", f"{self._address} was closed. Nothing was written.", "Open it again.")
        connection, left = self._connect_anew(), Left(self._hold, self._size, self._last, self._pending)
        try:
            hold, kept = take_again(connection, self._address, self._identity, left)
            with translated(self._address, "take the log up again"):
                if self._warnings:  # the new term, and all before it, may be on no standby
                    raise psycopg.OperationalError(f"the server warned: {self._warnings}")
        except BaseException:
            connection.close()
            raise
        self._connection, self._hold, self._kept = connection, hold, kept
        if not kept:
            self._pending = ()

    def _connect_anew(self) -> BoundedConnection:
        connection = connect(self._address, reading=False)
        self._warnings.clear()
        connection.add_notice_handler(self._hear)
        with translated(self._address, "take the log up again"):
            connection.execute("SELECT " + _DURABLE.format(local="false"))
        return connection

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[BoundedConnection]:
        with self._lock:
            self._be_connected(doing)
            with self._transaction_within(doing) as connection:
                yield connection

    @contextmanager
    def _transaction_within(self, doing: str) -> Iterator[BoundedConnection]:
        with translated(self._address, doing):
            self._warnings.clear()
            try:
                self._connection.execute(
                    _BEGIN.format(setting=schema.TERM, term=self._hold.term, local="true")
                )
                yield self._connection
                self._commit()
            except BaseException:
                # The first error is the one that counts; a connection that is gone has nothing to roll back.
                with suppress(psycopg.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _commit(self) -> None:
        try:
            done = self._connection.execute("COMMIT")
        except BaseException:
            self._connection.close()  # whatever it says: what became of the batch is found out anew
            raise
        if done.statusmessage == "COMMIT" and not self._warnings:
            return
        # A server whose wait for its standby was ended says COMMIT all the same, and warns.
        self._connection.close()
        raise psycopg.OperationalError(f"COMMIT was answered with {done.statusmessage} {self._warnings}")

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning")


def _open(
    connection: BoundedConnection, address: Address, identity: LogIdentity
) -> tuple[fence.Hold, int, bytes | None]:
    """Takes the log for this session: its hold, the log's size, and the newest leaf."""
    server.check(server.ask(connection, address), address)
    with translated(address, "open the log for writing"):
        fence.lock(connection, address)
        schema.create(connection, address, identity)
        schema.check(connection, address)
        schema.check_identity(connection, address, identity)
        connection.execute("SELECT " + _DURABLE.format(local="false"))
        hold = fence.take(connection, address)
        # Only now: the batch of a writer that was replaced has ended.
        newest = one(connection, named(_NEWEST, address))
    return (hold, 0, None) if newest is None else (hold, int(newest[0]) + 1, bytes(newest[1]))


def _entry_values(row: Row) -> tuple[int, bytes, int, str, bytes, bytes]:
    return row.index, row.agent, row.counter, row.kind, row.body, row.leaf
