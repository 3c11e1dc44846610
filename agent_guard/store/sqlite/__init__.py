"""A log in an SQLite file of this host: store.py writes and holds the writer's lock, reader.py reads and needs none."""

from agent_guard.store.sqlite.reader import SqliteReader
from agent_guard.store.sqlite.store import SqliteStore

__all__ = ["SqliteReader", "SqliteStore"]
