"""What a server must be to hold a log, and what it says of itself.

A COMMIT is worth what the server's settings make it: with `fsync` off it answers before anything is on disk, and a
crash may even leave old and new pages mixed. Such a server is refused. `synchronous_commit` can be set for each
transaction, and is (store.py). Trusts the server to say the truth about itself: its administrator could lie here as he
could about any row; against him stands the chain.
"""

from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import BoundedConnection, connect, one
from agent_guard.store.postgres.failures import translated

OLDEST = 130_000
"""PostgreSQL 13, as `server_version_num` writes it."""
_ASK = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_setting('fsync'),
  current_setting('full_page_writes'), current_setting('server_encoding'),
  pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
  has_database_privilege(current_database(), 'CREATE'),
  (SELECT array_agg(nspname::text ORDER BY nspname) FROM pg_namespace WHERE nspname ~ '^agent_guard_[0-9a-f]{40}$')
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself. `may_create`: whether this user may make schemas; `logs`: the operators whose
    logs lie in the database, as hex addresses."""

    version: str
    version_number: int
    fsync: bool
    full_page_writes: bool
    encoding: str
    read_only: bool
    may_create: bool
    logs: tuple[str, ...]


def look_at(address: Address) -> ServerFacts:
    """Connects as a writer would, asks, and leaves. Raises `GuardError` AG510, AG55x."""
    with connect(address, reading=False) as connection:
        return ask(connection, address)


def ask(connection: BoundedConnection, address: Address) -> ServerFacts:
    with translated(address, "ask the server about itself"):
        version, number, fsync, pages, encoding, read_only, may_create, schemas = one(connection, _ASK)
    logs = tuple(f"0x{name[-40:]}" for name in schemas or ())
    return ServerFacts(version, number, fsync == "on", pages == "on", encoding, read_only, may_create, logs)


def check(server: ServerFacts, address: Address) -> None:
    """Raises `GuardError` AG553 if the server does not keep what it acknowledges, AG516 if it takes no writes."""
    for bad, why in (
        (
            server.version_number < OLDEST,
            f"it is PostgreSQL {server.version}, and 13 is the oldest that is known",
        ),
        (not server.fsync, "its fsync is off, so that what it has acknowledged may be lost"),
        (not server.full_page_writes, "its full_page_writes is off, so that a crash may tear pages"),
        (server.encoding != "UTF8", f"the database is encoded as {server.encoding}, and must be UTF8"),
    ):
        if bad:
            raise GuardError(
                "AG553",
                f"{address} can't be trusted with a log: {why}. Nothing was written.",
                "Have the server's administrator correct that, or name another server.",
            )
    if server.read_only:
        raise GuardError(
            "AG516",
            f"{address} takes no writes: it is a standby, or read-only for this user. Nothing was written.",
            "Name the primary (several hosts with target_session_attrs=read-write find it).",
        )
