"""A gate over a real log, in a situation that the test sets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent_guard.gate import Gate, History, Limits
from agent_guard.log.recorder import Recorder
from agent_guard.store import Reader, Row, SqliteStore, Store
from agent_guard.types import Block, Decision, LogIdentity, Standing, Verdict

BLOCK = Block(7, b"\x07" * 32, 1_700_000_000)


@dataclass
class Situation:
    """What the gate is told of the world; tests change it while it works."""

    decision: Decision = Decision.RUN
    reason: str = "the council lets it run"
    stopping: bool = False
    block: Block | None = BLOCK
    lag: tuple[int, float] = (0, 0.0)
    now: float = 1_000.0
    verdicts: list[Decision] = field(default_factory=list)

    def standing(self) -> Standing:
        """The next of `verdicts`, if there are any, else `decision`."""
        decision = self.verdicts.pop(0) if self.verdicts else self.decision
        return Standing("alice", Verdict(decision, self.reason, self.stopping), self.block, None)


@dataclass
class Log:
    """The real log behind the gate."""

    store: Store
    recorder: Recorder
    reader: Reader

    def rows(self, kind: str | None = None) -> list[Row]:
        return [row for row in self.reader.rows() if kind is None or row.kind == kind]


@pytest.fixture
def situation() -> Situation:
    return Situation()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    identity = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)
    with SqliteStore(tmp_path / "log.db", identity) as store, store.reader() as reader:
        recorder = Recorder(store, lambda: BLOCK)
        yield Log(store, recorder, reader)
        recorder.close()


@pytest.fixture
def make_gate(log: Log, situation: Situation) -> Callable[..., Gate]:
    def make(agent: str = "alice", recorder: Any = None, receipts: Any = None, **limits: Any) -> Gate:
        return Gate(
            agent,
            situation.standing,
            recorder or log.recorder,
            lambda: situation.lag,
            History(agent, log.reader, receipts),
            Limits(**limits),
            lambda: situation.now,
        )

    return make


@pytest.fixture
def gate(make_gate: Callable[..., Gate]) -> Gate:
    return make_gate()
