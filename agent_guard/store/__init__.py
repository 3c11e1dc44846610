"""Where a log lies: one writer, any number of readers, nothing acknowledged that is not durable.

`Store` (the writer) and `Reader` are what every store does (protocol.py), in the shapes of rows.py. `sqlite/` keeps a
log in a file on this host and is the default; Errors of the
database leave here as `GuardError`. Trusts the disk, or the server's disk, to keep what it has synced, and nothing
else: what a log says is believed only by who checks it against the chain (`agent_guard.audit`).
"""

from agent_guard.store.protocol import Reader, Store
from agent_guard.store.rows import Content, Page, Row, SavedCheckpoint, pages_of
from agent_guard.store.sqlite import SqliteReader, SqliteStore

__all__ = [
    "Content",
    "Page",
    "Reader",
    "Row",
    "SavedCheckpoint",
    "SqliteReader",
    "SqliteStore",
    "Store",
    "pages_of",
]
