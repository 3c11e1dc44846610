"""A chain for the watcher's tests, said word by word: real threads, real sightings, and a view that the test feeds.

The view is fake, because what is tried is what follows from words that no real chain says on demand; the real one has
tests of its own (tests/unit/chain/test_view.py), over contracts that answer, hang and lie.
"""

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import Limits
from agent_guard.guard.memory import Latch
from agent_guard.guard.watcher import Keeping, Watcher
from agent_guard.types import FLEET, Block, Council, Scope, Sighting, State, Word
from tests.unit.guard.words import LIMITS, NOW, HandClock, make_state

ALICE, BOB = b"a" * 32, b"b" * 32
AGENTS = {"alice": ALICE, "bob": BOB}
CHAIN_ID, COUNCIL_ADDRESS = 31337, "0x" + "11" * 20
NEVER = 3_600.0  # a poll that does not come within a test

Words = Mapping[bytes, State]


def sighting(
    words: Words | None = None,
    at: float = 0.0,
    endpoint: str = "node",
    *,
    number: int = 7,
    fork: int = 0,
    epoch: int = 1,
    scope: Scope = Scope.LATEST,
    proven: bool = False,
    council: Council | None = None,
    **changes: Any,
) -> Sighting:
    """What a node says of alice, bob and the fleet at a second; those not named run."""
    said = {ALICE: State.RUNNING, BOB: State.RUNNING, FLEET: State.RUNNING} | dict(words or {})
    fleet_runs = said[FLEET] is State.RUNNING
    states = {
        agent: make_state(agent, state, may_run=state is State.RUNNING and fleet_runs, epoch=epoch, **changes)
        for agent, state in said.items()
    }
    block = Block(number, bytes([fork]) * 32, NOW + int(at))
    return Sighting(
        endpoint,
        block,
        states,
        at,
        scope,
        proven=frozenset(states) if proven else frozenset(),
        council=council,
    )


@dataclass
class FedView:
    """The endpoints' words as the test gives them."""

    endpoints: tuple[str, ...] = ("node",)
    wants_finality: bool = False
    is_settled: bool = True
    calls: list[object] = field(default_factory=list)
    reads: int = 0
    _words: "queue.Queue[Word | BaseException | None]" = field(default_factory=queue.Queue)

    def say(self, *words: Word | BaseException | None) -> None:
        for word in words:
            self._words.put(word)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def poke(self, endpoint: str | None = None) -> None:
        self.calls.append(("poke", endpoint))

    def wake(self) -> None:
        self._words.put(None)

    def settled(self) -> bool:
        return self.is_settled

    def read(self, timeout: float) -> list[Word]:
        self.reads += 1
        found: list[Word] = []
        try:
            word = self._words.get(timeout=max(0.0, timeout))
            while True:
                if isinstance(word, BaseException):
                    raise word
                if word is not None:
                    found.append(word)
                word = self._words.get_nowait()
        except queue.Empty:
            return found


@dataclass
class Watch:
    """A watcher and all that the test holds of it."""

    clock: HandClock = field(default_factory=HandClock)
    view: FedView = field(default_factory=FedView)
    limits: Limits = LIMITS
    loaded: dict[str, Latch] = field(default_factory=dict)
    kept: list[tuple[str, Latch]] = field(default_factory=list)
    beats: int = 0
    _made: Watcher | None = None

    def watcher(self, poll: float = NEVER) -> Watcher:
        """The watcher, made when it is first asked for."""
        if self._made is None:
            box = BallotBox(CHAIN_ID, COUNCIL_ADDRESS)
            keeping = Keeping(self.loaded, lambda name, latch: self.kept.append((name, latch)))
            self._made = Watcher(AGENTS, self.view, self.limits, poll, box, keeping, self.clock, self._beat)
        return self._made

    def _beat(self) -> None:
        self.beats += 1

    def look(self, *words: Word | BaseException) -> dict[str, str]:
        """Lets the watcher hear these words; the decisions that follow."""
        self.view.say(*words)
        self.watcher().look(0.0)
        return self.decisions()

    def decisions(self) -> dict[str, str]:
        return {name: self.watcher().standing(name).verdict.decision.value for name in AGENTS}

    def close(self) -> None:
        if self._made is not None:
            self._made.stop()


def wait_until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)
