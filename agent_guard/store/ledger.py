"""A witness's memory: of each log the newest checkpoint that it cosigned, and every fork that it was shown.

Guarantees: what happens in one `turn` is decided on what no other turn, of this process or another, can change
meanwhile (BEGIN IMMEDIATE), and is on disk, whole, when the turn ends (WAL, synchronous=FULL), or not at all. The
database itself refuses to let a log's size fall, or its root change at one size, whatever a program asks. Trusts the
disk to keep what it has synced; a copy from yesterday would let a log roll back, so never restore one (under a witness
at work it is noticed, and nothing is cosigned any more).
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent_guard.errors import GuardError

VERSION = 1
APPLICATION_ID = 0x41475754  # "AGWT"
BUSY_SECONDS = 5.0
MAX_FORKS = 64
"""Kept of each log: one proves all that a thousand do, and only a log's key can make one."""

_SCHEMA = [
    """
CREATE TABLE cosigned (
  origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL CHECK (length(root) = 32),
  note TEXT NOT NULL, time INTEGER NOT NULL
) STRICT""",
    """
CREATE TABLE fork (
  origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL CHECK (length(root) = 32),
  ours TEXT NOT NULL, theirs TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (origin, size, root)
) STRICT""",
    """
CREATE TRIGGER cosigned_forward BEFORE UPDATE ON cosigned
  WHEN NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
  BEGIN SELECT raise(ABORT, 'a witness never goes back'); END""",
    "CREATE TRIGGER cosigned_kept BEFORE DELETE ON cosigned BEGIN SELECT raise(ABORT, 'nothing is forgotten'); END",
    "CREATE TRIGGER fork_fixed BEFORE UPDATE ON fork BEGIN SELECT raise(ABORT, 'evidence is kept'); END",
    "CREATE TRIGGER fork_kept BEFORE DELETE ON fork BEGIN SELECT raise(ABORT, 'evidence is kept'); END",
]


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The newest checkpoint of a log that was cosigned: `note` bears the log's signature and ours, of unix `time`."""

    origin: str
    size: int
    root: bytes
    note: str
    time: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Two heads of one log, of one size and with different roots. `theirs`, signed by the log's key, came at `time`;
    `ours` is signed by it as well, or is the checkpoint (text alone) that the chain held then."""

    origin: str
    size: int
    ours: str
    theirs: str
    time: int


class Turn:
    """What one request may read and change while all others wait."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def latest(self, origin: str) -> Cosigned | None:
        """The newest checkpoint cosigned for this log, None if there was none."""
        query = "SELECT origin, size, root, note, time FROM cosigned WHERE origin = ?"
        found = self._connection.execute(query, (origin,)).fetchone()
        return Cosigned(*found) if found else None

    def keep(self, cosigned: Cosigned) -> None:
        """Makes it the log's newest. `sqlite3.IntegrityError` if that went back."""
        self._connection.execute(
            "INSERT INTO cosigned VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE"
            " SET size = excluded.size, root = excluded.root, note = excluded.note, time = excluded.time",
            (cosigned.origin, cosigned.size, cosigned.root, cosigned.note, cosigned.time),
        )

    def keep_fork(self, fork: Fork, root: bytes) -> bool:
        """Keeps the evidence, unless this other `root` is known already or there is plenty; whether it was kept."""
        count = self._connection.execute(
            "SELECT count(*) FROM fork WHERE origin = ?", (fork.origin,)
        ).fetchone()[0]
        if count >= MAX_FORKS:
            return False
        values = (fork.origin, fork.size, root, fork.ours, fork.theirs, fork.time)
        return (
            self._connection.execute("INSERT OR IGNORE INTO fork VALUES (?, ?, ?, ?, ?, ?)", values).rowcount
            == 1
        )


class Ledger:
    """The memory at `path`, made if it is not there. Turns may be taken from any thread.

    Raises:
        GuardError: AG562 if it can't be opened or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._place = _place(path)
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
            )
            try:
                self._configure()
            except BaseException:
                self._connection.close()
                raise

    def _configure(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "trusted_schema = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        with _transaction(self._connection) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        _check(self._connection, self.path)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """One request's turn; what it kept is durable when the block has ended, and gone if the block raised.

        Raises:
            GuardError: AG562 if the disk or the database refused.
        """
        with self._lock, _translated(self.path), _transaction(self._connection) as connection:
            self._check_place()
            yield Turn(connection)

    def _check_place(self) -> None:
        """What is kept must be what the next process reads: a file that was replaced under us keeps it from nobody."""
        if _place(self.path) != self._place:
            raise GuardError(
                "AG562",
                f"The witness's memory {self.path} was replaced while it was in use. Nothing was cosigned.",
                "Put the file that was in use back in its place if there is one, and never an older copy: with it the"
                " witness would vouch for a log that was rolled back.",
            )


def read(path: Path) -> tuple[list[Cosigned], list[Fork]]:
    """All that the memory at `path` holds, of one moment; a witness may be writing it. Raises AG562."""
    with _translated(path):
        if not path.exists():
            raise GuardError(
                "AG562",
                f"No witness has kept its memory at {path} yet. Nothing was read.",
                "It is made by agent-guard witness serve; where that has a --state of its own, give the same here.",
            )
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            _check(connection, path)
            connection.execute("BEGIN")
            cosigned = connection.execute(
                "SELECT origin, size, root, note, time FROM cosigned ORDER BY origin"
            )
            forks = connection.execute(
                "SELECT origin, size, ours, theirs, time FROM fork ORDER BY time, origin, size"
            )
            return [Cosigned(*row) for row in cosigned], [Fork(*row) for row in forks]
        finally:
            connection.close()


def _place(path: Path) -> tuple[int, int]:
    """Which file lies there."""
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(
            sqlite3.Error
        ):  # SQLite may have rolled back already; the first error is the one that counts
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise GuardError(
            "AG562",
            f"The witness's memory {path} can't be used ({error}). Nothing was cosigned that is not in it.",
            "Free the disk or mend the file's permissions. Never put an older copy in its place: with it the witness"
            " would vouch for a log that was rolled back.",
        ) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    ]
    if found != [APPLICATION_ID, VERSION]:
        raise GuardError(
            "AG562",
            f"{path} is no witness's memory of this version. Nothing was read or cosigned.",
            "Check --state, or use the agent-guard release that wrote it.",
        )
