"""Turns the errors of SQLite and of the file system into `GuardError`s with a remedy, once, at the store's edge."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_guard.errors import GuardError

# Primary result codes, https://www.sqlite.org/rescode.html: (our code, what it means, what to do).
_EXPLAINED = {
    sqlite3.SQLITE_FULL: (
        "AG513",
        "the disk is full",
        "Free some space on its file system, then start again.",
    ),
    sqlite3.SQLITE_BUSY: (
        "AG514",
        "another program holds a lock on the database",
        "Close whatever has the file open (a database browser, a backup), then start again.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "AG515",
        "the database is damaged",
        "Keep the file as evidence, restore a copy, and compare it with: agent-guard audit",
    ),
    sqlite3.SQLITE_NOTADB: (
        "AG510",
        "the file is not a database",
        "Check the path; if it was a log, keep it as evidence and restore a copy.",
    ),
    sqlite3.SQLITE_READONLY: (
        "AG516",
        "the file or its file system can't be written",
        "Make the folder and the files in it writable for this user, then start again.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "AG510",
        "the file can't be opened",
        "Check that it exists and that this user may read its folder.",
    ),
    sqlite3.SQLITE_IOERR: (
        "AG517",
        "the disk did not read or write as asked",
        "Look for disk errors in the system's log (a file size limit or a full disk also shows so).",
    ),
}
_EXPLAINED[sqlite3.SQLITE_TOOBIG] = (
    "AG515",
    "a value in it is larger than any of a log",
    "Keep the file as evidence, restore a copy, and compare it with: agent-guard audit",
)
_EXPLAINED[sqlite3.SQLITE_LOCKED] = _EXPLAINED[sqlite3.SQLITE_BUSY]
_EXPLAINED[sqlite3.SQLITE_PERM] = _EXPLAINED[sqlite3.SQLITE_READONLY]
_UNKNOWN = ("AG517", "the database failed", "Run again; if it persists, keep the file and report this.")


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Runs a block that uses SQLite; what it raises leaves as `GuardError`.

    Args:
        path: the database, for the message.
        doing: what did not happen if this fails, as in "Could not {doing}".
    """
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise explain(error, path, doing) from error


def explain(error: Exception, path: Path, doing: str) -> GuardError:
    """The `GuardError` for what SQLite or the file system raised."""
    code, why, remedy = _reason(error)
    if isinstance(error, FileNotFoundError):
        return GuardError(code, f"Could not {doing}: there is no file {path}. Nothing was done.", remedy)
    return GuardError(code, f"Could not {doing}: {why} ({path}: {error}). Nothing of it was kept.", remedy)


def is_full(error: OSError) -> bool:
    """Whether the file system, or what this user may have of it, has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _reason(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, OSError) and is_full(error):
        return _EXPLAINED[sqlite3.SQLITE_FULL]
    if isinstance(error, OSError):
        return _EXPLAINED[sqlite3.SQLITE_CANTOPEN]
    if isinstance(error, UnicodeDecodeError):
        return _EXPLAINED[sqlite3.SQLITE_CORRUPT]
    extended = getattr(error, "sqlite_errorcode", None)
    return _EXPLAINED.get(extended & 0xFF, _UNKNOWN) if extended is not None else _UNKNOWN
