"""One writer for a log, enforced by the database: a lock of the session, and a term that every change must name.

The lock (an advisory one) keeps a second guard out for as long as the first one's session lives; the server ends that
session when the guard's process ends, or 20 s after its network fell silent. The term is what remains where a lock
can't help: after a fail-over, which carries no locks, behind a pooler, or when an administrator ended the session of a
guard that only stood still. Who takes the log raises the term; the triggers refuse every change that names an older
one, and who raises it waits for the batch that is under way. So a writer that was replaced can add nothing, whenever it
wakes up. One whose connection broke may take the log again, under a new lock and a new term, as long as the term is
still its own: compared and raised in one statement.
"""

import hashlib
import os
import platform
import secrets
from dataclasses import dataclass

import psycopg

from agent_guard.errors import GuardError
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import BoundedConnection, one
from agent_guard.store.postgres.schema import named

PATIENCE = "2s"
_HOLDER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = ((%s::bigint >> 32) & 4294967295)::oid AND objid = (%s::bigint & 4294967295)::oid
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """A writer's hold on a log: its term, and a name that no other writer has."""

    term: int
    holder: str


def lock(connection: BoundedConnection, address: Address) -> None:
    """Keeps every other writer out for as long as this session lives. Raises `GuardError` AG511 if one is there."""
    key = _key(address.schema)
    # The session of a guard that was killed a moment ago takes a moment to end.
    connection.execute(f"SET lock_timeout = '{PATIENCE}'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s::bigint)", (key,))
        return
    except psycopg.errors.LockNotAvailable:
        pass  # said below
    finally:
        connection.execute("RESET lock_timeout")
    holder = one(connection, _HOLDER, (key, key))
    session = f"session {holder[0]} of the server" if holder else "a session that has just ended"
    raise GuardError(
        "AG511",
        f"Another guard writes this log: {address} is locked by {session}. Nothing was opened.",
        "Stop the other guard, or give this one its own key. The server notices within 20 s when a guard's host is"
        " gone; pg_terminate_backend ends the session of one that hangs.",
    )


def take(connection: BoundedConnection, address: Address) -> Hold:
    """Raises the term, so that no earlier writer can change the log any more."""
    holder = f"{platform.node()} process {os.getpid()} {secrets.token_hex(8)}"
    raised = "UPDATE {log}.writer SET term = term + 1, holder = %s, since = now() RETURNING term"
    return Hold(int(one(connection, named(raised, address), (holder,))[0]), holder)


def take_again(connection: BoundedConnection, address: Address, hold: Hold) -> Hold:
    """Locks, and raises the term, for a writer whose connection broke.

    Raises:
        GuardError: AG511 for good, if another writer took the log since. AG551 if the lock is not free: the server has
            not ended the old session yet, or another writer is about to take the log.
    """
    try:
        lock(connection, address)
    except GuardError as error:
        _check_holder(connection, address, hold)
        raise GuardError(
            "AG551",
            f"Could not take {address} up again yet: {error.message.rpartition(': ')[2]}",
            "The server ends a session that is gone within 20 s.",
        ) from error
    # The holder too: the answer to an earlier try may have been lost.
    raised = (
        "UPDATE {log}.writer SET term = term + 1, since = now() WHERE term = %s OR holder = %s RETURNING term"
    )
    found = one(connection, named(raised, address), (hold.term, hold.holder))
    if found is None:
        raise _replaced(address)
    return Hold(int(found[0]), hold.holder)


def _check_holder(connection: BoundedConnection, address: Address, hold: Hold) -> None:
    found = one(connection, named("SELECT term, holder FROM {log}.writer", address))
    if found is None or (found[0] != hold.term and found[1] != hold.holder):
        raise _replaced(address)


def _replaced(address: Address) -> GuardError:
    return GuardError(
        "AG511",
        f"Another guard has taken over {address} while this one's connection was broken. Nothing more is recorded.",
        "Only one guard writes a log: stop this one, or the other.",
    )


def _key(schema: str) -> int:
    """Advisory locks are numbers that all programs of a database share: 64 bits that nobody else comes upon."""
    digest = hashlib.sha256(b"agent-guard writer " + schema.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
