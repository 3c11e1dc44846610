"""An honest guard's log in a real database, the chain that anchored it, and the tools of a forger."""

import itertools
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from eth_account import Account

from agent_guard.audit import (
    Anchors,
    AuditLimits,
    AuditResult,
    ChainFacts,
    Event,
    Extension,
    Happening,
    Log,
    Unreachable,
    audit,
)
from agent_guard.entry import Entry
from agent_guard.errors import GuardError
from agent_guard.log.reading import pages_until_damage
from agent_guard.log.recorder import Recorder
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Page, Row, SqliteReader, SqliteStore, pages_of
from agent_guard.store.rows import PAGE_ROWS
from agent_guard.typed_data import agent_id, death_typed_data
from agent_guard.types import FLEET, AgentState, Block, Head, LogIdentity, State


def audited(
    agent: bytes,
    log: Log,
    chain: ChainFacts | Unreachable,
    limits: AuditLimits = AuditLimits(),  # noqa: B008 - frozen
    most: int = 3,
    beside: Collection[str] = (),
) -> AuditResult:
    """An audit, made twice: by stretches of up to `most`, and with each entry looked at alone. Both say the same."""
    rows: list[Row] = []
    stopped: GuardError | None = None
    try:
        for page in log.pages:
            rows += page
    except GuardError as error:
        stopped = error

    def again(most: int = PAGE_ROWS) -> Iterator[Page]:
        yield from pages_of(rows, most)
        if stopped is not None:
            raise stopped

    module = "agent_guard.audit.examination"
    with mock.patch("agent_guard.audit.stretch.LEAST", 1):
        at_once = audit(agent, replace(log, pages=again(most)), chain, limits, beside=beside)
    with mock.patch(f"{module}.stretch_of", return_value=None):
        one_by_one = audit(agent, replace(log, pages=again()), chain, limits, beside=beside)
    assert at_once == one_by_one
    return at_once


OPERATOR = Account.from_key("0x" + "11" * 32)
IDENTITY = LogIdentity(31337, "0x" + "aa" * 20, str(OPERATOR.address))
ME = agent_id("walker")
GENESIS = 1_700_000_000


def block(number: int) -> Block:
    """The chain's block at a height: one every ten seconds."""
    return Block(number, sha256(b"block %d" % number).digest(), GENESIS + 10 * number)


def happening(event: Event, number: int, agent: bytes = ME, **details: Any) -> Happening:
    return Happening(event, agent, block(number), **({"epoch": 1} | details))


REGISTERED = happening(Event.REGISTERED, 90, operator=IDENTITY.operator)


@dataclass
class World:
    """A log, what the chain knows of it, and an audit of the one against the other."""

    path: Path
    now: int = 100  # the chain's height
    history: list[Happening] = field(default_factory=lambda: [REGISTERED])
    extensions: list[Extension] = field(default_factory=list)
    state: State = State.RUNNING
    identity: LogIdentity = IDENTITY

    def __post_init__(self) -> None:
        self.store = SqliteStore(self.path, IDENTITY)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # durability is tested elsewhere
        self.recorder = Recorder(
            self.store,
            block=lambda: block(self.now),
            now_ms=lambda: block(self.now).timestamp * 1000 + 500,
            salt=(sha256(b"salt %d" % number).digest() for number in itertools.count()).__next__,
        )

    def record(self, kind: str, content: Any = None, agent: str | None = "walker", **details: Any) -> int:
        """Records an entry at the present height, then goes on by one block; its index."""
        if kind == "death" and agent is not None:
            details["meta"] = signed(agent, details.get("meta", {}))
        done = self.recorder.append(agent, kind, {} if content is None else content, **details).result()
        self.now += 1
        return done.index

    def work(self, count: int) -> None:
        """Actions of two agents by turns: an intent and its outcome each."""
        for number in range(count):
            agent = "walker" if number % 3 else "other"
            intent = self.record("intent", {"tool": "write", "arguments": {"n": number}}, agent)
            self.record("outcome", {"status": "ok", "result": number}, agent, refers_to=intent)

    def anchor(self) -> None:
        head = self.recorder.head()
        old = self.extensions[-1].new_size if self.extensions else 0
        self.extensions.append(Extension(block(self.now), old, head.size, head.root))

    def happens(self, event: Event, agent: bytes = ME, **details: Any) -> None:
        self.history.append(happening(event, self.now, agent, **details))

    def hands_over(self, operator: str) -> None:
        """The council makes another, or this operator again, the agent's guard, at the present height."""
        former, size = self.guarding, self.extensions[-1].new_size if self.extensions else 0
        former_size = size if former == self.identity.operator else 7
        details = {"size": size, "former": former, "former_size": former_size}
        self.happens(Event.OPERATOR_CHANGED, operator=operator, **details)

    @property
    def guarding(self) -> str:
        """Who guards the agent now."""
        changes = (Event.REGISTERED, Event.OPERATOR_CHANGED)
        held = [one.operator for one in self.history if one.event in changes]
        return held[-1] if held else IDENTITY.operator

    def close(self) -> None:
        self.recorder.close()
        self.store.close()

    def facts(self, **changes: Any) -> ChainFacts:
        last = self.extensions[-1] if self.extensions else None
        head = Head(last.new_size, last.root, last.block.timestamp) if last else Head(0, Frontier().root())
        facts = ChainFacts(
            identity=self.identity,
            as_of=block(self.now),
            head=head,
            state=replace(agent_state(self.state, head), operator=self.guarding),
            history=tuple(self.history),
            extensions=Anchors(self.extensions),
            block_at=lambda number: block(number) if number <= self.now else None,
        )
        return replace(facts, **changes)

    def audit(
        self,
        chain: ChainFacts | Unreachable | None = None,
        beside: Collection[str] = (),
        there: int | None = None,
        **limits: Any,
    ) -> AuditResult:
        self.recorder.close()
        with SqliteReader(self.path) as reader, reader.snapshot():
            log = Log(reader.identity(), pages_until_damage(reader), there=there)
            return audited(ME, log, chain or self.facts(), AuditLimits(**limits), beside=beside)

    # -- the forger

    def forge(self, *statements: str, values: Sequence[Any] = ()) -> None:
        """Changes the database as one who holds the file can."""
        self.close()
        with sqlite3.connect(self.path) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement, values)
        connection.close()

    def rewrite(self, index: int, change: Callable[[Entry], Entry]) -> None:
        """Changes an entry consistently: its bytes, its leaf and its columns all fit each other afterwards."""
        with SqliteReader(self.path) as reader:
            row = reader.row(index)
        assert row is not None
        entry = change(Entry.decode(row.body))
        body = entry.encode()
        self.forge(
            "UPDATE entry SET agent = ?, counter = ?, kind = ?, body = ?, leaf = ? WHERE leaf_index = ?",
            values=(entry.agent, entry.counter, entry.kind.value, body, leaf_hash(body), index),
        )


def signed(agent: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A death's public facts with the operator's signature, unless they bear one."""
    if "signature" in facts:
        return facts
    message = death_typed_data(agent_id(agent), facts, IDENTITY.chain_id, IDENTITY.council)
    signature = OPERATOR.sign_typed_data(full_message=message).signature
    return facts | {"signature": b64encode(signature).decode()}


def agent_state(state: State, head: Head) -> AgentState:
    return AgentState(
        agent=ME,
        state=state,
        may_run=state is State.RUNNING,
        epoch=1,
        arms=0,
        vetoes=0,
        halt_votes=0,
        resume_votes=0,
        paused_until=0,
        lease_until=0,
        resume_ready_at=0,
        operator=IDENTITY.operator,
        head=head,
        halted_size=0,
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "log.db")
    yield made
    made.close()


@pytest.fixture
def honest(world: World) -> World:
    """A log of 30 entries, anchored at 6, 14 and 30, of two agents and the guard itself."""
    world.record("config", {"poll": 1}, None)
    world.record("start", {"command": ["python", "walk.py"]})
    world.work(2)
    world.anchor()
    world.work(4)
    world.anchor()
    world.work(8)
    world.anchor()
    return world


@pytest.fixture
def sign_death() -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Signs a death's public facts for an agent (its name) as the operator does."""
    return signed


@pytest.fixture
def fleet() -> bytes:
    return FLEET


@pytest.fixture
def unreachable() -> GuardError:
    return GuardError("AG201", "no answer.", "Wait.")
