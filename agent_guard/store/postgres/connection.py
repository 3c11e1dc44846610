"""One connection to the server, on which nothing waits for ever.

Guarantees: connecting, every statement and every lock are bounded in time, by the server and, should it stand still or
the network fall silent, by us: a connection that answers too late is closed, and whatever it was asked counts as
unknown. What the server, a role or a database sets by default is overruled for what a log rests on.
"""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo

from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.failures import translated

CONNECT_SECONDS = 5
ANSWER_SECONDS = 15.0
"""The server gives up before we do, so that in most cases its own word says why."""

_CLIENT = {
    "application_name": "agent-guard",
    "client_encoding": "UTF8",
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# The keepalives here are the server's, so that the session of a guard whose network was cut frees its log in 20 s.
_SERVER = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_min_messages": "warning",
    "search_path": "pg_catalog",
    # A plan made while the log was small would be kept while it grows.
    "plan_cache_mode": "force_custom_plan",
}
# A reader may be busy for long between two reads of one snapshot, and holds no lock meanwhile.
_READER = {"default_transaction_read_only": "on", "idle_in_transaction_session_timeout": "0"}

# What would end a session that only waits, or a long audit; each with the version that brought it.
_UNLIMITED = {"idle_session_timeout": 140_000, "transaction_timeout": 170_000}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed if an answer takes longer than ANSWER_SECONDS."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()  # the answer may come yet, and would be taken for that of the next question
            raise


def connect(address: Address, *, reading: bool) -> BoundedConnection:
    """A new connection without a transaction. Raises `GuardError` AG510, AG550, AG551, AG552."""
    server = _SERVER | (_READER if reading else {})
    secret = {} if address.password is None else {"password": address.password}
    options = {"options": " ".join(f"-c {name}={value}" for name, value in server.items())}
    parameters = address.parameters() | _CLIENT | secret | options
    with translated(address, "reach the log's server"):
        made = BoundedConnection.connect(make_conninfo(**parameters), autocommit=True)
        for name, since in _UNLIMITED.items():
            if made.info.server_version >= since:
                made.execute(f"SET {name} = 0")
    return made


def one(connection: BoundedConnection, query: Any, values: tuple[object, ...] = ()) -> Any:
    """The first row of an answer, None if there is none."""
    return connection.execute(query, values or None).fetchone()
