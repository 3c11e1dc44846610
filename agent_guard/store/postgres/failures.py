"""Turns the errors of psycopg and of the server into `GuardError`s with a remedy, once, at the store's edge.

Of the server's words only the first line leaves, cut short: its details may quote a row, and so an agent's content.
Source of the codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from agent_guard.errors import GuardError
from agent_guard.store.postgres.address import Address

FENCED = "ZAG11"
"""SQLSTATE of our own triggers: this session is not, or no longer, the log's writer."""
APPEND_ONLY = "ZAG17"
"""SQLSTATE of our own triggers: a change that no log allows."""

_OUT_OF_REACH = (
    "AG551",
    "the server can't be reached, or the connection to it broke",
    "See that the server runs and answers (agent-guard doctor). A running guard takes its log up again by itself, for"
    " ten minutes; after that, or to begin with, start it again.",
)
_REFUSED = (
    "AG552",
    "the server refuses this user",
    "Check user and password (store_password_file), pg_hba.conf, and the rights named in agent_guard/store/README.md.",
)
_NO_DATABASE = ("AG510", "there is no such database", "Create it (CREATE DATABASE), or correct the address.")
_DAMAGED = (
    "AG515",
    "the database is damaged, or its tables are not a log's",
    "Keep it as evidence, restore a copy, and compare it with: agent-guard audit",
)
_FULL = ("AG513", "the server's disk is full", "Free some space on the server, then start again.")
_LOCKED = (
    "AG514",
    "something else holds a lock on the log's tables",
    "End what holds it (pg_stat_activity, pg_locks), then start again.",
)
_REPLACED = (
    "AG511",
    "another guard has taken over this log",
    "Only one guard writes a log: stop this one, or the other.",
)
_UNKNOWN = ("AG517", "the database failed", "Look into the server's log; if it persists, report this.")

# Whole codes first, then classes (the first two characters).
_EXPLAINED = {
    FENCED: _REPLACED,
    "53100": _FULL,
    "55P03": _LOCKED,
    "40001": _LOCKED,
    "40P01": _LOCKED,
    "25006": ("AG516", "the server is read-only (a standby?)", "Name the primary, then start again."),
    "42501": _REFUSED,
    "3D000": _NO_DATABASE,
    "57014": ("AG551", "the server took too long", "See what keeps the server busy, then start again."),
    "58P01": _DAMAGED,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
    "08": _OUT_OF_REACH,
    "28": _REFUSED,
    "3F": _DAMAGED,
    "42": _DAMAGED,
    "53": _OUT_OF_REACH,
    "57": _OUT_OF_REACH,
}
# While connecting libpq hands on words without a code.
_WORDS = {
    "authentication failed": _REFUSED,
    r"no pg_hba\.conf entry": _REFUSED,
    "no password supplied": _REFUSED,
    "is not permitted to log in": _REFUSED,
    "permission denied": _REFUSED,
    'role ".*" does not exist': _REFUSED,
    'database ".*" does not exist': _NO_DATABASE,
    # What it remembers of its catalogues is written anew at a connection, and lies beside the tables.
    "could not write init file|No space left on device": _FULL,
}


@contextmanager
def translated(address: Address, doing: str) -> Iterator[None]:
    """Runs a block that uses the server; what it raises leaves as `GuardError`.

    Args:
        address: the log, for the message.
        doing: what did not happen if this fails, as in "Could not {doing}".
    """
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, address, doing) from error


def explain(error: psycopg.Error, address: Address, doing: str) -> GuardError:
    """The `GuardError` for what psycopg raised."""
    code, why, remedy = _reason(error)
    kept = "It may or may not have been kept." if code in ("AG517", "AG551") else "Nothing of it was kept."
    return GuardError(code, f"Could not {doing}: {why} ({address}: {_said(error)}). {kept}", remedy)


def _reason(error: psycopg.Error) -> tuple[str, str, str]:
    if state := error.sqlstate:
        return _EXPLAINED.get(state) or _EXPLAINED.get(state[:2]) or _UNKNOWN
    if isinstance(error, psycopg.OperationalError):
        return next(
            (reason for words, reason in _WORDS.items() if re.search(words, str(error))), _OUT_OF_REACH
        )
    return _UNKNOWN


def _said(error: psycopg.Error) -> str:
    words = error.diag.message_primary or next(iter(str(error).splitlines()), type(error).__name__)
    return words[:300]
