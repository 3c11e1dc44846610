"""The database's tables, and the check that a file holds them.

Entries are append-only: triggers refuse UPDATE, DELETE and a second INSERT in a row's place, so that a mistake in a
program (or in an administrator's shell) can't rewrite history unnoticed. Who holds the file can drop the triggers;
against him stands the chain. Content lies apart from its entry, so that it can be erased while every proof still holds.
It comes with its entry or never: what was erased can't be put back.
"""

import sqlite3
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.types import LogIdentity

VERSION = 1
APPLICATION_ID = 0x41474C47  # "AGLG", so that file(1) and we know the file

_TABLES = [
    """
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  chain_id INTEGER NOT NULL, council TEXT NOT NULL, operator TEXT NOT NULL
) STRICT""",
    """
CREATE TABLE entry (
  leaf_index INTEGER PRIMARY KEY,
  agent BLOB NOT NULL CHECK (length(agent) = 32), counter INTEGER NOT NULL, kind TEXT NOT NULL,
  body BLOB NOT NULL, leaf BLOB NOT NULL CHECK (length(leaf) = 32),
  UNIQUE (agent, counter)
) STRICT""",
    # Erasures are few, and looked for at every start: one that was recorded and not done is finished then.
    "CREATE INDEX erasure ON entry (leaf_index) WHERE kind = 'erasure'",
    # So are the turns of an agent's lives. (A log that was made without this index is read through, and right as well.)
    "CREATE INDEX turn ON entry (agent, leaf_index) WHERE kind IN ('start', 'exit', 'death')",
    """
CREATE TABLE content (leaf_index INTEGER PRIMARY KEY, salt BLOB NOT NULL, body BLOB NOT NULL) STRICT""",
    """
CREATE TABLE idempotency (
  agent BLOB NOT NULL, key TEXT NOT NULL, leaf_index INTEGER NOT NULL, PRIMARY KEY (agent, key)
) STRICT, WITHOUT ROWID""",
    """
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY, frontier BLOB NOT NULL, root BLOB NOT NULL CHECK (length(root) = 32),
  note TEXT NOT NULL, signature BLOB NOT NULL, tx TEXT
) STRICT""",
]

_NAMES = {"log", "entry", "content", "idempotency", "checkpoint"}


def _refuse(table: str, change: str) -> str:
    return (
        f"CREATE TRIGGER {table}_{change.split()[0].lower()} BEFORE {change} ON {table}"
        f" BEGIN SELECT raise(ABORT, '{table} is append-only'); END"
    )


def _refuse_again(table: str, *there: str) -> str:
    """INSERT OR REPLACE deletes what is there, and fires no trigger of DELETE (unless recursive_triggers is on)."""
    exists = " OR ".join(f"EXISTS (SELECT 1 FROM {place})" for place in there)  # noqa: S608 - our own words
    return (
        f"CREATE TRIGGER {table}_insert BEFORE INSERT ON {table} WHEN {exists}"
        f" BEGIN SELECT raise(ABORT, '{table} is append-only'); END"
    )


_TRIGGERS = [
    _refuse(table, change)
    for table, change in [
        ("log", "UPDATE"),
        ("log", "DELETE"),
        ("entry", "UPDATE"),
        ("entry", "DELETE"),
        ("content", "UPDATE"),
        ("idempotency", "UPDATE"),
        ("idempotency", "DELETE"),
        ("checkpoint", "UPDATE OF size, frontier, root"),
        ("checkpoint", "DELETE"),
    ]
] + [
    _refuse_again("log", "log"),
    _refuse_again(
        "entry",
        "entry WHERE leaf_index = NEW.leaf_index",
        "entry WHERE agent = NEW.agent AND counter = NEW.counter",
    ),
    _refuse_again("content", "entry WHERE leaf_index = NEW.leaf_index"),
    _refuse_again("idempotency", "idempotency WHERE agent = NEW.agent AND key = NEW.key"),
    _refuse_again("checkpoint", "checkpoint WHERE size = NEW.size"),
]


def create(connection: sqlite3.Connection, identity: LogIdentity) -> None:
    """Makes the tables and writes whose log it is, all or nothing; does nothing to a database that has them."""
    if _version(connection) != 0 or _has_tables(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES + _TRIGGERS:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO log VALUES (1, ?, ?, ?)", (identity.chain_id, identity.council, identity.operator)
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `GuardError` AG518 unless the database is a log of the version that this program knows."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = _version(connection)
    if application != APPLICATION_ID:
        what = "a database, but not a log of agent-guard"
    elif version != VERSION:
        what = f"a log of version {version}; this program knows version {VERSION}"
    elif _stored(connection) != _NAMES:
        what = "a database in which not all that a log stores is stored"
    else:
        return
    raise GuardError(
        "AG518",
        f"{path} is {what}. Nothing was read or written.",
        "Check the path, or use the agent-guard release that wrote it.",
    )


def identity_of(connection: sqlite3.Connection) -> LogIdentity:
    """Whose log the database says it is."""
    return LogIdentity(*connection.execute("SELECT chain_id, council, operator FROM log").fetchone())


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _stored(connection: sqlite3.Connection) -> set[str]:
    """Which of our tables have rows of their own: a view, or a virtual table, makes up as many as its author likes."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
    return {name for (name,) in connection.execute(query)} & _NAMES


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
