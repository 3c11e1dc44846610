"""Logs on a PostgreSQL server: many guards, each with its own log and its own schema, in one database.

store.py writes, reader.py reads, schema.py holds the tables and the triggers that guard them, fence.py sees that a log
has one writer, connection.py bounds every wait, address.py says where a log is without ever naming a password. Comes
with the extra `postgres` (psycopg 3): whoever imports this package without it meets an ImportError. README.md beside
this folder says what is guaranteed, and what a server must be for it.
"""

from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.reader import PostgresReader
from agent_guard.store.postgres.server import ServerFacts, check, look_at
from agent_guard.store.postgres.store import PostgresStore

__all__ = ["Address", "PostgresReader", "PostgresStore", "ServerFacts", "check", "look_at"]
