"""The embedded store: one SQLite database, one writer, and nothing acknowledged that is not on disk.

Guarantees: `append` and `save_checkpoint` return only after a COMMIT that SQLite has synced (WAL, synchronous=FULL);
a batch is stored whole or not at all; a process killed anywhere leaves a database that opens again by itself without
any acknowledged entry lost, and all that is there when it has opened is on disk. A second writer is refused. What
`erase` removed lies in none of its files any more. Trusts the disk to keep what it has synced; knows nothing of copies
(backups, snapshots, a disk's own spare blocks).
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from agent_guard.errors import GuardError
from agent_guard.store.rows import Row, SavedCheckpoint
from agent_guard.store.sqlite import schema
from agent_guard.store.sqlite.failures import is_full, translated
from agent_guard.store.sqlite.lock import WriterLock
from agent_guard.store.sqlite.reader import SqliteReader
from agent_guard.types import LogIdentity

BUSY_SECONDS = 5.0
ERASE_SECONDS = 0.5


class SqliteStore:
    """The writer of the log at `path`, which is created if it is not there.

    Methods may be called from any thread; `_lock` guards the connection.

    Args:
        path: the database file. A lock file of the same name with `.lock` lies beside it.
        identity: whose log it is.

    Raises:
        GuardError: AG511 another guard writes it, AG512 it is another operator's, council's or chain's, AG513 disk
            full, AG514 locked, AG515 damaged, AG516 not writable, AG517 failed, AG518 not a log of this version.
    """

    def __init__(self, path: Path, identity: LogIdentity) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._writer_lock = _lock_file(path)
        try:
            self._connection = _open(path, identity)
            self._size = _size(self._connection, path)
        except BaseException:
            self._writer_lock.release()
            raise

    def close(self) -> None:
        """Folds the write-ahead log into the database, closes it and lets another writer in."""
        with self._lock:
            self._connection.close()
            self._writer_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reader(self) -> SqliteReader:
        """A new reading connection to the same log; the caller closes it."""
        return SqliteReader(self.path)

    @property
    def size(self) -> int:
        """Entries that are on disk."""
        return self._size

    def append(self, rows: Sequence[Row]) -> None:
        """Stores rows whose indices follow the last one, in one transaction; durable on return.

        Raises:
            GuardError: see the class; none of the rows was acknowledged, and after AG517 they may or may not be there.
            ValueError: the rows don't follow the log's end without a gap.
        """
        if [row.index for row in rows] != list(range(self._size, self._size + len(rows))):
            raise ValueError(f"rows must have the indices from {self._size} on, without a gap")
        with self._transaction(f"store {len(rows)} entries") as connection:
            connection.executemany(
                "INSERT INTO content VALUES (?, ?, ?)",
                [(row.index, row.content.salt, row.content.body) for row in rows if row.content],
            )  # before its entry: see the trigger in schema.py
            connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", map(_entry_values, rows))
            keys = [
                (row.agent, row.idempotency_key, row.index) for row in rows if row.idempotency_key is not None
            ]
            connection.executemany("INSERT INTO idempotency VALUES (?, ?, ?)", keys)
        self._size += len(rows)

    def save_checkpoint(self, checkpoint: SavedCheckpoint) -> None:
        """Keeps an anchored head; the same head again only brings its newer transaction. Durable on return.

        Raises:
            ValueError: a head of the same size with another root is there; it stays.
        """
        head = (checkpoint.size, b"".join(checkpoint.frontier), checkpoint.root)
        rest = (checkpoint.note, checkpoint.signature, checkpoint.tx)
        with self._transaction(f"store the checkpoint of {checkpoint.size} entries") as connection:
            known = connection.execute("SELECT 1 FROM checkpoint WHERE size = ?", head[:1]).fetchone()
            if known is None:
                connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?)", (*head, *rest))
                return
            done = connection.execute(
                "UPDATE checkpoint SET note = ?, signature = ?, tx = coalesce(?, tx)"
                " WHERE size = ? AND frontier = ? AND root = ?",
                (*rest, *head),
            )
            if done.rowcount != 1:
                raise ValueError(f"there is a checkpoint of {checkpoint.size} entries with another root")

    def erase(self, index: int) -> None:
        """Removes salt and content of the entry at `index`; their bytes are in no file of the log any more on return.

        Raises:
            GuardError: AG514 a reader is in mid-snapshot, and until it is done the bytes lie in the write-ahead log:
                the content is removed, and erasing again later removes the bytes too. Else as the class.
        """
        with self._transaction(f"erase the content of entry {index}") as connection:
            connection.execute("DELETE FROM content WHERE leaf_index = ?", (index,))
        with self._lock, translated(self.path, "clear the write-ahead log"):
            # While it waits for readers nothing can be appended, so it does not wait for those that take long.
            self._connection.execute(f"PRAGMA busy_timeout = {ERASE_SECONDS * 1000:.0f}")
            try:
                busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        if busy:
            raise _still_read(self.path, index)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path, doing):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back already (full disk); the first error is the one that counts.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _entry_values(row: Row) -> tuple[int, bytes, int, str, bytes, bytes]:
    return row.index, row.agent, row.counter, row.kind, row.body, row.leaf


def _still_read(path: Path, index: int) -> GuardError:
    return GuardError(
        "AG514",
        f"The content of entry {index} is removed, but somebody reads {path}, and until he is done its bytes lie in the"
        " write-ahead log.",
        "Wait for the audit or export that reads the log, or end it, then erase the entry again.",
    )


def _lock_file(path: Path) -> WriterLock:
    with translated(path, "open the log for writing"):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return WriterLock(path.with_name(path.name + ".lock"))
        except OSError as error:
            if is_full(error):
                raise
            raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> GuardError:
    return GuardError(
        "AG516",
        f"Could not open the log for writing: {path.parent} can't be written ({error}). Nothing was kept.",
        "Make the folder writable for this user, or name another one with AGENT_GUARD_HOME.",
    )


def _open(path: Path, identity: LogIdentity) -> sqlite3.Connection:
    with translated(path, "open the log for writing"):
        # Content is confidential; SQLite gives its side files the database's own mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        try:
            _configure(connection)
            schema.create(connection, identity)
            schema.check(connection, path)
            _check_identity(connection, path, identity)
            _settle(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA secure_delete = ON")  # zeroes what erasing frees


def _settle(connection: sqlite3.Connection) -> None:
    """Has everything that can be read from here on be on disk.

    A writer that was killed between its last write and its sync, or whose sync failed, leaves a transaction that looks
    whole and is perhaps in the kernel's memory alone. Were it signed, given as a receipt and then lost with the power,
    it would prove a fork of an operator who did nothing wrong.
    """
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _check_identity(connection: sqlite3.Connection, path: Path, identity: LogIdentity) -> None:
    found = schema.identity_of(connection)
    if found == identity:
        return
    raise GuardError(
        "AG512",
        f"{path} is the log of operator {found.operator} under council {found.council} on chain {found.chain_id},"
        f" not of operator {identity.operator} under council {identity.council} on chain {identity.chain_id}."
        " Nothing was written.",
        "One operator key has one log: give this key and council a home of their own (AGENT_GUARD_HOME).",
    )


def _size(connection: sqlite3.Connection, path: Path) -> int:
    """Counts by the highest index, which only an intact log may rest on."""
    with translated(path, "read the log's size"):
        return int(connection.execute("SELECT coalesce(max(leaf_index), -1) + 1 FROM entry").fetchone()[0])
