"""Where a log lies on disk: one writer, any number of readers, nothing acknowledged that is not durable.

`Store` (sqlite.py) writes and holds the writer's lock; `Reader` (reader.py) reads and needs none; `rows.py` has the
shapes that both speak, and that another store would speak too. Errors of the database leave here as `GuardError`
(failures.py). Trusts the file system to keep what it has synced, and nothing else: what a file says is believed only
by who checks it against the chain (`agent_guard.audit`).
"""

from agent_guard.store.reader import Reader
from agent_guard.store.rows import Content, Row, SavedCheckpoint
from agent_guard.store.sqlite import Store

__all__ = ["Content", "Reader", "Row", "SavedCheckpoint", "Store"]
