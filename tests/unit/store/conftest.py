"""Rows made the way the recorder makes them, without the recorder."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.store import Content, Row, SqliteStore, Store
from agent_guard.types import LogIdentity

WALKER, OTHER = b"w" * 32, b"o" * 32
IDENTITY = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)


def make_row(index: int, agent: bytes = WALKER, counter: int | None = None, key: str | None = None) -> Row:
    body = b'{"index":%d}' % index
    leaf = hashlib.sha256(b"\0" + body).digest()
    content = Content(index.to_bytes(32, "big"), b'{"n":%d}' % index)
    return Row(index, agent, index if counter is None else counter, "intent", body, leaf, content, key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def identity() -> LogIdentity:
    return IDENTITY


@pytest.fixture
def row() -> Callable[..., Row]:
    return make_row


@pytest.fixture
def store(path: Path, identity: LogIdentity) -> Iterator[Store]:
    with SqliteStore(path, identity) as opened:
        yield opened


@pytest.fixture
def shell(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as somebody with a database browser has it."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()
