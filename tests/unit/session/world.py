"""All that one guard touches, and in which order it did. The watcher, the carriers, the supervisors and the wards are
real; chain, containers and log are fakes, for what is tried here is what happens when each of them fails. The drills
run the same session with real ones.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from agent_guard.chain.history import HaltOnChain
from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import Limits
from agent_guard.guard.watcher import Keeping, Watcher
from agent_guard.sandbox.container import Death
from agent_guard.sandbox.mode import Mode
from agent_guard.session.session import Parts, Session
from agent_guard.session.ward import WardParts
from agent_guard.types import FLEET, Block, Council, Scope, State
from tests.unit.guard.chain import ALICE, BOB, CHAIN_ID, COUNCIL_ADDRESS, FedView, sighting
from tests.unit.guard.words import LIMITS, HandClock

IDS = {"alice": ALICE, "bob": BOB}
HALT_BLOCK = Block(69, b"\x06" * 32, 1_699_999_999)
PATIENCE = 10.0


@dataclass
class FakeContainer:
    """One life of an agent: does as it is told, ends when the test says so, and fails as often as it says."""

    world: "World"
    agent: str
    exit_code: int | None = None
    frozen: bool = False
    failing: list[Exception] = field(default_factory=list)
    on_term: Callable[["FakeContainer"], None] = lambda container: None

    def _deed(self, what: str) -> None:
        self.world.deeds.append(what if len(self.world.agents) == 1 else f"{what} {self.agent}")

    def wait(self, timeout: float | None) -> int | None:
        return self.exit_code

    def still(self) -> None:
        pass

    def freeze(self) -> int:
        self._deed("freeze")
        self.frozen = True
        return 0

    def thaw(self) -> None:
        self._deed("thaw")
        self.frozen = False

    def terminate(self) -> None:
        self._deed("terminate")
        self.on_term(self)

    def kill(self) -> Death:
        self._deed("kill")
        if self.failing:
            raise self.failing.pop()
        self.exit_code = 137 if self.exit_code is None else self.exit_code
        tick = time.monotonic_ns()
        return Death(Mode.PIDNS, tick, tick, tick, tick, 4)

    def close(self) -> None:
        self._deed("close")


@dataclass
class World:
    """What a session is given, what the test makes of it, and what came of it."""

    agents: tuple[str, ...] = ("alice",)
    limits: Limits = LIMITS
    grace: float = 0.0
    script: Callable[["World"], None] = lambda world: None
    opening: Callable[["World"], None] = lambda world: (
        None
    )  # while the guard, which has read the chain, opens its log
    clock: HandClock = field(default_factory=HandClock)
    view: FedView = field(default_factory=FedView)
    deeds: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    entries: list[tuple[str | None, Entry, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    lives: list[FakeContainer] = field(default_factory=list)
    failing_entries: set[Entry] = field(default_factory=set)
    stuck_entries: set[Entry] = field(default_factory=set)
    failing_starts: dict[str, Exception] = field(default_factory=dict)
    kill_failures: list[Exception] = field(default_factory=list)
    on_term: Callable[[FakeContainer], None] = lambda container: None
    flush_error: GuardError | None = None
    halt_error: GuardError | None = None
    deaths: list[dict[str, object]] = field(default_factory=list)
    facts: list[tuple[bytes, dict[str, int | str]]] = field(default_factory=list)
    thread: threading.Thread | None = None
    script_error: list[BaseException] = field(default_factory=list)
    watcher: Watcher = field(init=False)
    session: Session = field(init=False)

    # ------------------------------------------------------------------------------------------------- what is given

    notes: list[str] = field(default_factory=list)
    trouble: GuardError | None = None
    flushed_for = 0.0  # seconds that the end waited for the chain at the most
    struck = False  # whether the deadman has killed

    def start_container(self, agent: str) -> FakeContainer:
        life = FakeContainer(self, agent, failing=self.kill_failures, on_term=self.on_term)
        life._deed("start")
        if error := self.failing_starts.get(agent):
            raise error
        self.lives.append(life)
        return life

    def append(self, agent: str | None, kind: Entry, content: dict[str, Any], **more: Any) -> "Future[Any]":
        self.deeds.append(f"record {kind.value}" if len(self.agents) == 1 else f"record {kind.value} {agent}")
        future: Future[Any] = Future()
        if kind in self.failing_entries:
            future.set_exception(GuardError("AG513", "The disk is full.", "Free some space."))
        elif kind not in self.stuck_entries:
            self.entries.append((agent, kind, content, more))
            future.set_result(SimpleNamespace(index=len(self.entries) - 1))
        return future

    def flush(self, timeout: float) -> None:
        self.deeds.append("anchor")
        self.flushed_for = timeout
        if self.flush_error:
            raise self.flush_error

    def find(self, agent: bytes, last: Block) -> HaltOnChain:
        self.deeds.append(
            f"look for the halt of {'the fleet' if agent == FLEET else 'the agent'} up to {last.number}"
        )
        if self.halt_error:
            raise self.halt_error
        return HaltOnChain(HALT_BLOCK, 1, 1_699_999_990)

    def sign(self, agent: bytes, facts: dict[str, int | str]) -> str:
        self.facts.append((agent, facts))
        return "signed"

    # ------------------------------------------------------------------------------------------------- what is said

    def note(self, start: int | None, container: Any) -> None:
        self.notes.append(
            f"life {start}" + (" in its container" if container else f" after {self.deeds[-1]}")
        )

    def say(self, *words: Any, **changes: Any) -> None:
        """A new word of the chain, of a later block each time; carried out by the watcher's own thread."""
        self._height = getattr(self, "_height", 7) + 1
        found = dict(pair for word in words for pair in word.items())
        changes = {"number": self._height, "fork": self._height % 256, "at": self.clock.seconds} | changes
        self.view.say(sighting(found, **changes))

    def resume(self) -> None:
        """The council has resumed whoever it halted: a later epoch, also in finalised blocks."""
        self.say(epoch=2)
        self.say(epoch=2, scope=Scope.FINALIZED)

    def hang(self) -> None:
        """The watcher looks no more, until something is dead."""
        hanging = threading.Event()

        def read(timeout: float) -> list[Any]:
            hanging.set()
            self.wait(lambda: "dead" in self.told)
            return []

        self.view.read = read  # type: ignore[method-assign]
        self.view.wake()
        assert hanging.wait(PATIENCE)

    def until(self, event: str, times: int = 1, agent: str | None = None) -> None:
        """Waits until so many such steps have been told."""

        def told() -> int:
            return len([s for s in self.steps if s["event"] == event and agent in (None, s.get("agent"))])

        self.wait(lambda: told() >= times)

    def wait(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, (self.deeds, self.told)
            time.sleep(0.002)

    def tell(self, step: dict[str, Any]) -> None:
        self.steps.append(step)
        if step["event"] == "started" and self.thread is None:
            self.thread = threading.Thread(target=self._play)
            self.thread.start()

    def _play(self) -> None:
        try:
            self.script(self)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self.script_error.append(error)
            for life in self.lives:
                life.exit_code = 99

    # --------------------------------------------------------------------------------------------------- what it does

    def run(self) -> int:
        box = BallotBox(CHAIN_ID, COUNCIL_ADDRESS)
        ids = {name: IDS[name] for name in self.agents}
        keeping = Keeping({}, lambda name, latch: None)
        self.watcher = Watcher(ids, self.view, self.limits, 0.02, box, keeping, self.clock)
        self.watcher.begin(0.0)
        self.opening(self)
        wards = [
            WardParts(
                agent=name,
                agent_id=ids[name],
                pulse=cast(Any, SimpleNamespace(beat=lambda *said: None, end=lambda: None)),
                start_container=cast(Any, lambda stdout, stderr, name=name: self.start_container(name)),
                sign_death=self.sign,
                keep_death=self.deaths.append,
                describe={"command": ["true"]},
                mode="pidns",
                was_struck=lambda since: self.struck,
                limits={"max_overrun_ms": 1},
                note_life=self.note,
                forget_life=lambda: self.notes.append("forgotten after " + self.deeds[-1]),
            )
            for name in self.agents
        ]
        deed = self.deeds.append
        parts = Parts(
            watcher=self.watcher,
            subscriptions=[cast(Any, SimpleNamespace(start=lambda: None))],
            recorder=cast(Any, self),
            anchor=cast(Any, SimpleNamespace(lag=lambda: (0, 0.0), flush=self.flush)),
            server=cast(Any, SimpleNamespace(stop=lambda: deed("stop the api"))),
            finder=cast(Any, self),
            desk=cast(Any, SimpleNamespace(start=lambda *given: None, stop=lambda: None, counts=lambda: {})),
            cosigning=cast(
                Any, SimpleNamespace(start=lambda tell: None, settle=lambda seconds: None, report=lambda: [])
            ),
            wards=wards,
            endpoints=self.view.endpoints,
            grace=self.grace,
        )
        self.session = Session(parts, self.tell)
        try:
            return self.session.run()
        finally:
            self.watcher.stop()
            if self.thread is not None:
                self.thread.join(PATIENCE)
            for error in self.script_error:
                raise error

    # ----------------------------------------------------------------------------------------------------- what came

    @property
    def told(self) -> list[str]:
        return [step["event"] for step in self.steps]

    def told_of(self, agent: str) -> list[str]:
        return [step["event"] for step in self.steps if step.get("agent") == agent]

    def step(self, event: str) -> dict[str, Any]:
        return next(step for step in self.steps if step["event"] == event)

    def recorded(self, agent: str | None = None) -> list[str]:
        return [kind.value for name, kind, _, _ in self.entries if agent in (None, name)]

    def entry(self, kind: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
        """The last entry of that kind: its content, and what else was given."""
        return next((content, more) for _, found, content, more in reversed(self.entries) if found is kind)


def council_of(*signers: str, halt: int = 2) -> Council:
    from agent_guard.types import Thresholds, Timing

    return Council(signers, Thresholds(halt, halt, halt), Timing(60, 2, 3600, 0, 0), 5)


def ends(code: int) -> Callable[[World], None]:
    """A script: the agent ends by itself."""

    def script(world: World) -> None:
        world.lives[-1].exit_code = code

    return script


def exits(code: int) -> Callable[[FakeContainer], None]:
    """What an agent does on SIGTERM: it ends with this code."""

    def term(container: FakeContainer) -> None:
        with suppress(AttributeError):
            container.exit_code = code

    return term


HALTED: dict[bytes, State] = {ALICE: State.HALTED}
