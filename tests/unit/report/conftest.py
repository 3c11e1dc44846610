"""Reports about logs that a real recorder wrote and a real audit judged."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent_guard.audit import AuditLimits, ChainFacts, Event, Log, Unreachable, audit
from agent_guard.log.reading import pages_until_damage
from agent_guard.report import Chronicle, Report, Vote
from agent_guard.report.model import ChainSide
from agent_guard.store import SqliteReader
from agent_guard.types import Action, Council, State, Thresholds, Timing
from tests.unit.audit.conftest import IDENTITY, ME, World, block

NASTY = (
    "</td></text><script>document.title='owned'</script>\"'><img src=x onerror=document.title='owned'>"
    " | [x](javascript:alert(1)) ![i](http://evil.example/i.png) `a``b` **b** <b>\u202egnp.exe\u200b\x1b[31m\r\n# H"
    " https://evil.example www.evil.example me@evil.example @team &lt; ]]> --> \\| {{x}} ~~~ $x$"
)


class Scene(World):
    """A guard's world, its votes on chain, and the report of an audit of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.votes: list[Vote] = []

    def vote(self, signer: str, votes: int, action: Action = Action.HALT) -> None:
        transaction = sha256(signer.encode()).digest()
        self.votes.append(Vote(block(self.now), action, "0x" + signer * 20, ME, 1, votes, 2, transaction))

    def report(self, chain: ChainFacts | Unreachable | None = None, **changes: Any) -> Report:
        self.recorder.close()
        facts, known = chain or self.facts(), None
        if isinstance(facts, ChainFacts):
            known = (facts.history[0].block.timestamp - 86_400, facts.as_of.timestamp + 86_400)
        chronicle, limits = Chronicle(ME, known), AuditLimits()
        with SqliteReader(self.path) as reader, reader.snapshot():
            log = Log(reader.identity(), chronicle.watch(pages_until_damage(reader)))
            result = audit(ME, log, facts, limits)
        made = {
            "agent": "walker",
            "agent_id": ME,
            "made_at": 1_700_003_000,
            "version": "0.1.0",
            "log": "/var/lib/agent-guard/log.sqlite",
            "identity": IDENTITY,
            "result": result,
            "limits": limits,
            "entries": chronicle.side(),
            "chain": _side(facts, self.votes),
            "unreachable": getattr(facts, "why", None),
        }
        return Report(**{**made, **changes})


def _side(facts: ChainFacts | Unreachable, votes: Sequence[Vote]) -> ChainSide | None:
    if isinstance(facts, Unreachable):
        return None
    signers = tuple("0x" + signer * 20 for signer in ("a1", "b2", "c3"))
    council = Council(signers, Thresholds(2, 2, 3), Timing(60, 10, 600, 0, 0), 1)
    return ChainSide(facts.as_of, facts.state, facts.history, facts.extensions, council, votes)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "log.db")
    yield made
    made.close()


@pytest.fixture
def halted(scene: Scene) -> Scene:
    """An agent that worked, was frozen at the first vote, and killed at the second."""
    scene.record("config", {"command": ["python", "walk.py"], "sandbox": "bwrap"})
    scene.record("start", {"mode": "bwrap"})
    scene.work(9)
    scene.record("refused", {"code": "AG602", "reason": "too late", "tool": "fs.delete"})
    scene.vote("a1", 1)
    scene.record("freeze", {"reason": "1 open vote to halt"})
    scene.anchor()
    scene.vote("b2", 2)
    scene.happens(Event.HALTED)
    scene.state = State.HALTED
    at = block(scene.now).timestamp * 1000
    halt = scene.record("halt", {"reason": "halted by the council"})
    times = {
        "vote": at - 10_000,
        "quorum": at,
        "block": at,
        "seen": at + 7,
        "frozen": at + 9,
        "dead": at + 23,
    }
    scene.record("death", {}, refers_to=halt, meta={**times, "epoch": 1, "mode": "bwrap", "processes": 4})
    scene.anchor()
    return scene


@pytest.fixture
def nasty(scene: Scene) -> Scene:
    """An agent, and a node, that write what a page, a table or a terminal could take for itself."""
    scene.record("start", {"mode": NASTY})
    for _ in range(4):
        intent = scene.record("intent", {"tool": NASTY, "arguments": {NASTY: NASTY}})
        scene.record("outcome", {"status": NASTY, "result": {NASTY: NASTY}}, refers_to=intent)
        scene.record("refused", {"reason": NASTY, "tool": NASTY})
    scene.record("freeze", {"reason": NASTY})
    scene.record("dissent", {"endpoints": {NASTY: NASTY}}, None)
    scene.record("ballot", {"ballot": NASTY, "source": NASTY, "refused": NASTY})
    scene.anchor()
    return scene


@pytest.fixture
def row_maker() -> Callable[[int], Iterator[Any]]:
    """So many rows of the agent, one action a second, without a database."""
    from agent_guard.entry import BlockRef, Entry, Kind, commitment
    from agent_guard.merkle import leaf_hash
    from agent_guard.store import Content, Row

    def rows(count: int) -> Iterator[Any]:
        salt, here = b"\x01" * 32, BlockRef(1, b"\x02" * 32)
        for index in range(count):
            body = b'{"arguments":{},"tool":"tool %d"}' % (index % 5_000)
            kind = Kind.FREEZE if index % 10 == 0 else Kind.INTENT
            time = (1_700_000_000 + index) * 1000
            entry = Entry(index, ME, index, kind, time, here, commitment(salt, body))
            data = entry.encode()
            yield Row(index, ME, index, kind.value, data, leaf_hash(data), Content(salt, body))

    return rows
