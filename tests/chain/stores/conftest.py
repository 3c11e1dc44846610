"""The two stores behind one face, and the shell of whoever administers them."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from agent_guard.store import Reader, SqliteReader, SqliteStore, Store
from agent_guard.store.postgres import Address, PostgresReader, PostgresStore
from agent_guard.types import LogIdentity
from tests.postgres import Server
from tests.unit.store.conftest import IDENTITY


class Place(Protocol):
    """Where one log lies. `name` is what a command line calls it; `refusals`: what its shell raises."""

    name: str
    refusals: tuple[type[Exception], ...]

    def store(self, identity: LogIdentity = IDENTITY) -> Store: ...

    def reader(self) -> Reader: ...

    def sql(self, statement: str) -> None:
        """A statement of whoever administers the database."""

    def tamper(self, *statements: str) -> None:
        """The same once he has switched the triggers off."""


@dataclass
class SqlitePlace:
    path: Path
    refusals: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)

    @property
    def name(self) -> str:
        return str(self.path)

    def store(self, identity: LogIdentity = IDENTITY) -> Store:
        return SqliteStore(self.path, identity)

    def reader(self) -> Reader:
        return SqliteReader(self.path)

    def sql(self, statement: str) -> None:
        self._run(statement)

    def tamper(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path)
        triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.close()
        self._run(*(f"DROP TRIGGER {name}" for (name,) in triggers), *statements)

    def _run(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            for statement in statements:
                # PostgreSQL's spelling of bytes.
                connection.execute(statement.replace("'\\x", "x'"))
        finally:
            connection.close()


@dataclass
class PostgresPlace:
    server: Any
    database: str
    refusals: tuple[type[Exception], ...] = (psycopg.DatabaseError,)

    @property
    def name(self) -> str:
        return str(self.server.url(self.database))

    @property
    def address(self) -> Address:
        return Address.parse(self.name)

    def store(self, identity: LogIdentity = IDENTITY) -> Store:
        return PostgresStore(self.address, identity)

    def reader(self) -> Reader:
        return PostgresReader(self.address)

    def sql(self, statement: str) -> None:
        self._run(statement)

    def tamper(self, *statements: str) -> None:
        tables = ("log", "writer", "entry", "content", "idempotency", "checkpoint")
        self._run(*(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in tables), *statements)

    def _run(self, *statements: str) -> None:
        with self.server.connect(self.database) as shell:
            shell.execute(f"SET search_path = {self.address.of(IDENTITY.operator).schema}")
            for statement in statements:
                shell.execute(statement)


def open_store(place: PostgresPlace) -> PostgresStore:
    return PostgresStore(place.address, IDENTITY)


def opened(name: str) -> Store:
    """The log of that name, for programs that the tests start."""
    if "://" in name:
        return PostgresStore(Address.parse(name), IDENTITY)
    return SqliteStore(Path(name), IDENTITY)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A log that is not there yet, in either store."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "log.db")
    return PostgresPlace(request.getfixturevalue("postgres"), request.getfixturevalue("database"))


@pytest.fixture
def server_place(postgres: Any, database: str) -> PostgresPlace:
    return PostgresPlace(postgres, database)


@pytest.fixture
def start() -> Iterator[Callable[..., PostgresPlace]]:
    """Starts a server of the test's own, with these settings."""
    servers: list[Server] = []

    def started(**settings: str) -> PostgresPlace:
        servers.append(Server(**settings))
        servers[-1].start()
        return PostgresPlace(servers[-1], "postgres")

    yield started
    for server in servers:
        server.close()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.store() as opened:
        yield opened
