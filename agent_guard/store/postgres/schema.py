"""A log's tables in a schema of its own, and what the database itself refuses there.

One schema for each operator, `agent_guard_` and the 40 hex digits of the address: a role that has rights on one log
has none on another. Entries are append-only twice over: rights to change them are revoked, from the owner too, and
triggers (fired even for replication roles) refuse what is left to a superuser. Other triggers fence (fence.py), refuse
a gap, and let content come with its entry or never, so that what was erased can't be put back. Who administers the
server can undo all of that; against him stands the chain.
"""

import hashlib
from functools import lru_cache
from typing import Any

from psycopg import sql

from agent_guard.errors import GuardError
from agent_guard.store.postgres.address import Address
from agent_guard.store.postgres.connection import BoundedConnection, one
from agent_guard.store.postgres.failures import APPEND_ONLY, FENCED
from agent_guard.types import LogIdentity

VERSION = 1
TERM = "agent_guard.term"
"""The session's setting in which a writer names its term to the triggers."""

_TABLES = """
CREATE TABLE {log}.log (
  one boolean PRIMARY KEY CHECK (one), version integer NOT NULL,
  chain_id bigint NOT NULL, council text NOT NULL, operator text NOT NULL
);
CREATE TABLE {log}.writer (
  one boolean PRIMARY KEY CHECK (one), term bigint NOT NULL, holder text NOT NULL, since timestamptz NOT NULL
);
CREATE TABLE {log}.entry (
  leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
  agent bytea NOT NULL CHECK (octet_length(agent) = 32), counter bigint NOT NULL, kind text NOT NULL,
  body bytea NOT NULL, leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
  UNIQUE (agent, counter)
);
CREATE INDEX erasure ON {log}.entry (leaf_index) WHERE kind = 'erasure';
CREATE INDEX turn ON {log}.entry (agent, leaf_index) WHERE kind IN ('start', 'exit', 'death');
CREATE TABLE {log}.content (leaf_index bigint PRIMARY KEY, salt bytea NOT NULL, body bytea NOT NULL);
CREATE TABLE {log}.idempotency (
  agent bytea NOT NULL, key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32), leaf_index bigint NOT NULL,
  PRIMARY KEY (agent, key_hash)
);
CREATE TABLE {log}.checkpoint (
  size bigint PRIMARY KEY, frontier bytea NOT NULL, root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text NOT NULL, signature bytea NOT NULL, tx text
);
"""
# FOR SHARE: who takes over waits for a batch that is under way, and the batch after it finds the new term.
_FUNCTIONS = """
CREATE FUNCTION {log}.fence() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM {log}.writer WHERE term = nullif(current_setting({term}, true), '')::bigint FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this session is not the writer of this log' USING ERRCODE = {fenced};
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION {log}.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = {append_only};
END $$;
CREATE FUNCTION {log}.follow() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  lowest bigint; highest bigint; many bigint;
BEGIN
  SELECT min(leaf_index), max(leaf_index), count(*) INTO lowest, highest, many FROM added;
  IF many > 0 AND (
    highest - lowest + 1 <> many OR highest <> (SELECT max(leaf_index) FROM {log}.entry)
    OR (lowest > 0 AND NOT EXISTS (SELECT FROM {log}.entry WHERE leaf_index = lowest - 1))
  ) THEN
    RAISE EXCEPTION 'entries % to % leave a gap', lowest, highest USING ERRCODE = {append_only};
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION {log}.precede() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT min(leaf_index) FROM added) <= (SELECT max(leaf_index) FROM {log}.entry) THEN
    RAISE EXCEPTION 'content is append-only' USING ERRCODE = {append_only};
  END IF;
  RETURN NULL;
END $$;
"""
_FENCED = {
    "entry": "INSERT",
    "idempotency": "INSERT",
    "content": "INSERT OR DELETE",
    "checkpoint": "INSERT OR UPDATE",
}
_REFUSED = {
    "log": "INSERT OR UPDATE OR DELETE OR TRUNCATE",
    "entry": "UPDATE OR DELETE OR TRUNCATE",
    "idempotency": "UPDATE OR DELETE OR TRUNCATE",
    "content": "UPDATE OR TRUNCATE",
    "checkpoint": "UPDATE OF size, frontier, root OR DELETE OR TRUNCATE",
    "writer": "INSERT OR DELETE OR TRUNCATE",
}
_CHECKED = """
CREATE TRIGGER follow AFTER INSERT ON {log}.entry REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION {log}.follow();
ALTER TABLE {log}.entry ENABLE ALWAYS TRIGGER follow;
CREATE TRIGGER precede AFTER INSERT ON {log}.content REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION {log}.precede();
ALTER TABLE {log}.content ENABLE ALWAYS TRIGGER precede;
CREATE TRIGGER rise BEFORE UPDATE ON {log}.writer
  FOR EACH ROW WHEN (NEW.term <= OLD.term) EXECUTE FUNCTION {log}.refuse();
ALTER TABLE {log}.writer ENABLE ALWAYS TRIGGER rise;
REVOKE UPDATE, DELETE, TRUNCATE ON {log}.log, {log}.entry, {log}.idempotency FROM CURRENT_USER;
REVOKE UPDATE, TRUNCATE ON {log}.content FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON {log}.checkpoint FROM CURRENT_USER;
"""
_IS_THERE = """
SELECT to_regnamespace(%s) IS NOT NULL, EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(%s))
"""


def create(connection: BoundedConnection, address: Address, identity: LogIdentity) -> None:
    """Makes schema and tables and writes whose log it is, all or nothing; leaves alone what is there already."""
    schema_there, tables_there = one(connection, _IS_THERE, (address.schema, address.schema))
    if tables_there:
        return
    with connection.transaction():
        if not schema_there:  # an administrator may have made it, for a role that may not
            connection.execute(named("CREATE SCHEMA {log}", address))
        for statements in (_TABLES, _FUNCTIONS):
            connection.execute(named(statements, address))
        connection.execute(
            named("INSERT INTO {log}.log VALUES (true, %s, %s, %s, %s)", address),
            (VERSION, identity.chain_id, identity.council, identity.operator),
        )
        connection.execute(named("INSERT INTO {log}.writer VALUES (true, 0, '', now())", address))
        connection.execute(named("".join(_triggers()) + _CHECKED, address))


@lru_cache(128)
def named(statement: str, address: Address) -> sql.Composed:
    """A statement about this log: `{log}` becomes its schema, the triggers' own words become text."""
    return sql.SQL(statement).format(
        log=sql.Identifier(address.schema),
        term=sql.Literal(TERM),
        fenced=sql.Literal(FENCED),
        append_only=sql.Literal(APPEND_ONLY),
    )


def check(connection: BoundedConnection, address: Address) -> None:
    """Raises `GuardError` AG510 if there is no such log, AG518 if it is none of the version that this program knows."""
    schema_there, tables_there = one(connection, _IS_THERE, (address.schema, address.schema))
    if not tables_there:
        raise GuardError(
            "AG510",
            f"{address} holds no log: there is no {'table' if schema_there else 'schema'} of it. Nothing was read.",
            "Check database and operator; which logs there are says: agent-guard doctor",
        )
    version = _version(connection, address)
    if version != VERSION:
        what = "no log of agent-guard" if version is None else f"a log of version {version}"
        raise GuardError(
            "AG518",
            f"{address} is {what}; this program knows version {VERSION}. Nothing was read or written.",
            "Check the address, or use the agent-guard release that wrote it.",
        )


def identity_of(connection: BoundedConnection, address: Address) -> LogIdentity:
    """Whose log the database says it is. Raises AG515 if it does not say."""
    found: Any = one(connection, named("SELECT chain_id, council, operator FROM {log}.log", address))
    if found is None or [type(value) for value in found] != [int, str, str]:
        raise GuardError(
            "AG515",
            f"{address} does not say whose log it is. Nothing was read.",
            "Keep the database as evidence, restore a copy, and compare it with: agent-guard audit",
        )
    return LogIdentity(*found)


def check_identity(connection: BoundedConnection, address: Address, identity: LogIdentity) -> None:
    """Raises `GuardError` AG512 if the log is another's."""
    found = identity_of(connection, address)
    if found == identity:
        return
    raise GuardError(
        "AG512",
        f"{address} is the log of operator {found.operator} under council {found.council} on chain {found.chain_id},"
        f" not of operator {identity.operator} under council {identity.council} on chain {identity.chain_id}."
        " Nothing was written.",
        "One operator key has one log in a database: give each council, or each key, its own.",
    )


def key_hash(key: str) -> bytes:
    """Under what an idempotency key is kept: an index takes keys of any length and any character so."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _version(connection: BoundedConnection, address: Address) -> int | None:
    columns = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s)"
        " AND attname IN ('version', 'chain_id', 'council', 'operator')"
    )
    if one(connection, columns, (f"{address.schema}.log",))[0] != 4:
        return None
    found = one(connection, named("SELECT version FROM {log}.log", address))
    return None if found is None else int(found[0])


def _triggers() -> list[str]:
    made = []
    for function, tables in (("fence", _FENCED), ("refuse", _REFUSED)):
        for table, changes in tables.items():
            made.append(
                f"CREATE TRIGGER {function} BEFORE {changes} ON {{log}}.{table}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {{log}}.{function}();"
                f"ALTER TABLE {{log}}.{table} ENABLE ALWAYS TRIGGER {function};\n"
            )
    return made
