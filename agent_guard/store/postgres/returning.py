"""Taking a log up again whose connection broke: only if no other writer did, and only where it was left.

A server that was started anew, or a network that was cut, ends the session and its lock, and leaves open what became of
the last batch. Guarantees: `take_again` returns only with the lock and a new term in hand, on a log that is identified
as the same, that ends with the last entry that was acknowledged, or with the whole batch in doubt after it, and with
nothing else. Leaves stand for entries: each hashes a random salt, its place and its time, so that the same leaf at the
same place is the same entry, and the tables are append-only before it. Everything else is refused for good: a guard
that goes on then would write a second history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.store.postgres import fence, schema, server
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import BoundedConnection
from agent_guard.store.postgres.failures import translated
from agent_guard.store.postgres.fence import Hold
from agent_guard.store.postgres.schema import named
from agent_guard.types import LogIdentity

PASSING = frozenset({"AG514", "AG516", "AG551"})
"""What may pass by itself: a lock, a standby that is about to be promoted, a server out of reach."""
_END = "SELECT leaf_index, leaf FROM {log}.entry WHERE leaf_index >= %s ORDER BY leaf_index LIMIT %s"


@dataclass(frozen=True, slots=True)
class Left:
    """Where a writer stood when its connection broke.

    Args:
        hold: its term and its name.
        size: entries that were acknowledged; `last`: the leaf of the newest, None of an empty log.
        doubtful: the leaves of the batch whose COMMIT was not answered; empty if there was none.
    """

    hold: Hold
    size: int
    last: bytes | None
    doubtful: Sequence[bytes]


def take_again(
    connection: BoundedConnection, address: Address, identity: LogIdentity, left: Left
) -> tuple[Hold, bool]:
    """The new hold, and whether the batch in doubt is there.

    Raises:
        GuardError: one of `PASSING`, to be tried again; AG511 another writer took the log, AG585 it is not the one that
            was acknowledged, and what opening it raises: for good.
    """
    server.check(server.ask(connection, address), address)
    with translated(address, "take the log up again"):
        schema.check(connection, address)
        schema.check_identity(connection, address, identity)
        hold = fence.take_again(connection, address, left.hold)
        # Only now: a batch of the old session that was still under way has ended.
        return hold, _is_kept(connection, address, left)


def _is_kept(connection: BoundedConnection, address: Address, left: Left) -> bool:
    acknowledged = [] if left.last is None else [(left.size - 1, left.last)]
    doubtful = list(enumerate(left.doubtful, left.size))
    start, most = left.size - len(acknowledged), len(acknowledged) + len(doubtful) + 1
    found = [
        (int(index), bytes(leaf))
        for index, leaf in connection.execute(named(_END, address), (start, most)).fetchall()
    ]
    if found == acknowledged:
        return False
    if found == acknowledged + doubtful:
        return True
    raise GuardError(
        "AG585",
        f"{address} does not end with the {left.size} entries that were acknowledged"
        f"{f', nor with the {len(doubtful)} whose answer was lost' if doubtful else ''}: it was put back to an older"
        " state, or somebody else wrote it. Nothing more is recorded.",
        "Find out what became of the server (a fail-over to a standby that was behind? a backup?). If the entries are"
        " lost, give the guard a new key (SET_OPERATOR).",
    )
