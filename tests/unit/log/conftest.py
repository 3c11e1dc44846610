"""A recorder over a real database, with a clock and a block of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore, Store
from agent_guard.types import Block, LogIdentity

IDENTITY = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)
BLOCK = Block(7, b"\x07" * 32, 1_700_000_000)
NOW_MS = 1_700_000_123_456


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def identity() -> LogIdentity:
    return IDENTITY


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with SqliteStore(path, IDENTITY) as opened:
        yield opened


@pytest.fixture
def make_recorder(store: Store) -> Iterator[Callable[..., Recorder]]:
    made: list[Recorder] = []

    def make(**changes: object) -> Recorder:
        settings = {"store": store, "block": lambda: BLOCK, "now_ms": lambda: NOW_MS} | changes
        made.append(Recorder(**settings))
        return made[-1]

    yield make
    for recorder in made:
        recorder.close()


@pytest.fixture
def recorder(make_recorder: Callable[..., Recorder]) -> Recorder:
    return make_recorder()
