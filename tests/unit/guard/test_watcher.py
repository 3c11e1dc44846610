"""The watcher with real threads: what it says when the chain fails, hangs, or says stop, and in which order."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent_guard.chain.view import ChainView
from agent_guard.errors import GuardError
from agent_guard.guard.verdict import Clock, Limits
from agent_guard.guard.watcher import Watcher
from agent_guard.types import FLEET, AgentState, Block, Decision, Head, Sighting, Standing, State

pytestmark = pytest.mark.unit

ALICE, BOB = b"a" * 32, b"b" * 32
AGENTS = {"alice": ALICE, "bob": BOB}
NOW = 1_700_000_000
NEVER = 3_600.0  # a poll that does not come within a test
Words = dict[bytes, State]


def state_of(agent: bytes, state: State, epoch: int = 1) -> AgentState:
    head = Head(0, bytes(32))
    return AgentState(
        agent, state, state is State.RUNNING, epoch, 0, 0, 0, 0, 0, 0, 0, "0x" + "Aa" * 20, head, 0
    )


def sighting(words: Words | None = None, at: float = 0.0, node: str = "node", epoch: int = 1) -> Sighting:
    """What a node says of alice, bob and the fleet; those not named run."""
    said = {ALICE: State.RUNNING, BOB: State.RUNNING, FLEET: State.RUNNING} | (words or {})
    states = {agent: state_of(agent, state, epoch) for agent, state in said.items()}
    return Sighting(node, Block(7, b"\x07" * 32, NOW + int(at)), states, at)


@dataclass
class Chain:
    """Stands in for the chain view: the test says what the next readings are."""

    clock: "HandClock"
    words: Words = field(default_factory=dict)
    epoch: int = 1
    error: Exception | None = None
    silent: bool = False
    reads: int = 0

    def read(self) -> tuple[list[Sighting], list[GuardError]]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        if self.silent:
            return [], [GuardError("AG201", "the node is silent.", "Wait.")]
        return [sighting(self.words, self.clock.seconds, epoch=self.epoch)], []


@dataclass
class HandClock:
    seconds: float = 0.0

    def __call__(self) -> Clock:
        return Clock(self.seconds, NOW + self.seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def chain(clock: HandClock) -> Chain:
    return Chain(clock)


@pytest.fixture
def watch(chain: Chain, clock: HandClock, limits: Limits) -> Iterator[Callable[..., Watcher]]:
    started: list[Watcher] = []

    def make(poll: float = NEVER, read: Any = None) -> Watcher:
        watcher = Watcher(AGENTS, read or chain.read, limits, poll, clock)
        started.append(watcher)
        return watcher

    yield make
    for watcher in started:
        watcher.stop()


def decisions(watcher: Watcher) -> dict[str, str]:
    return {name: watcher.standing(name).verdict.decision.value for name in AGENTS}


def wait_until(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def test_before_the_first_look_every_agent_is_frozen(watch: Callable[..., Watcher]) -> None:
    assert decisions(watch()) == {"alice": "freeze", "bob": "freeze"}


def test_each_agent_gets_its_own_verdict_from_one_reading(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    chain.words = {BOB: State.PAUSED}
    watcher = watch()
    watcher.look()
    assert decisions(watcher) == {"alice": "run", "bob": "freeze"}
    assert chain.reads == 1


def test_a_halted_fleet_halts_every_agent(watch: Callable[..., Watcher], chain: Chain) -> None:
    chain.words = {FLEET: State.HALTED}
    watcher = watch()
    watcher.look()
    assert decisions(watcher) == {"alice": "halt", "bob": "halt"}


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), KeyError("x"), MemoryError(), OSError(24, "no file")]
)
def test_an_exception_in_reading_halts_every_agent_and_says_why(
    watch: Callable[..., Watcher], chain: Chain, error: Exception
) -> None:
    watcher, applied = watch(), dict[str, list[Standing]](alice=[], bob=[])
    watcher.look()
    for name in AGENTS:
        watcher.attach(name, applied[name].append)
    chain.error = error
    watcher.start()
    wait_until(lambda: all(len(got) == 2 for got in applied.values()))
    for name in AGENTS:
        last = applied[name][-1]
        assert last.verdict.decision is Decision.HALT
        assert type(error).__name__ in last.verdict.reason
        assert watcher.standing(name) == last


def test_an_exception_while_killing_one_agent_halts_the_others_too_and_is_tried_again(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    watcher, alice, bob = watch(poll=0.01), list[Standing](), list[Standing]()

    def fails(standing: Standing) -> None:
        alice.append(standing)
        if standing.verdict.decision is Decision.HALT:
            raise OSError("the cgroup is gone")

    watcher.look()
    watcher.attach("alice", fails)
    watcher.attach("bob", bob.append)
    chain.words = {ALICE: State.HALTED}
    watcher.start()
    wait_until(lambda: len(alice) > 6)
    assert bob[-1].verdict.decision is Decision.HALT
    assert {standing.verdict.decision for standing in alice[1:]} == {Decision.HALT}


def test_a_failed_endpoint_is_no_exception_but_doubt_that_freezes_then_halts(
    watch: Callable[..., Watcher], chain: Chain, clock: HandClock
) -> None:
    watcher = watch()
    watcher.look()
    chain.silent = True
    found = []
    for seconds in (0, 59, 61, 90, 91):  # blocks may be 60 s old, and doubt may last 30 s
        clock.seconds = float(seconds)
        watcher.look()
        found.append(decisions(watcher)["alice"])
    assert found == ["run", "run", "freeze", "freeze", "halt"]


def test_the_gate_sees_the_halt_of_every_agent_before_the_first_kill_begins(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    watcher, seen = watch(), list[dict[str, str]]()
    watcher.look()
    watcher.attach("alice", lambda standing: seen.append(decisions(watcher)))
    chain.words = {FLEET: State.HALTED}
    watcher.look()
    assert seen == [{"alice": "run", "bob": "run"}, {"alice": "halt", "bob": "halt"}]


def test_the_gate_goes_on_answering_halt_while_a_kill_takes_its_time(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    watcher, dying, dead = watch(), threading.Event(), threading.Event()

    def kill(standing: Standing) -> None:
        if standing.verdict.decision is Decision.HALT:
            dying.set()
            assert dead.wait(10)

    watcher.look()
    watcher.attach("alice", kill)
    chain.words = {ALICE: State.HALTED}
    watcher.start()
    assert dying.wait(5)
    assert watcher.standing("alice").verdict.decision is Decision.HALT
    dead.set()


def test_a_condemned_agents_standing_never_gets_better_again(
    watch: Callable[..., Watcher], chain: Chain, clock: HandClock
) -> None:
    """A halt for silence, whose kill failed, and then the chain is back: the gate must not open again."""
    watcher, applied = watch(), list[Standing]()
    watcher.look()
    watcher.attach("alice", applied.append)
    chain.silent = True
    for clock.seconds in (61.0, 92.0):
        watcher.look()
    chain.silent = False
    watcher.look()
    assert decisions(watcher) == {"alice": "halt", "bob": "run"}
    assert applied[-1].verdict == applied[-2].verdict
    assert applied[-1].block is not None


def test_a_halt_once_seen_outlasts_a_reorg_that_takes_it_back(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    watcher = watch()
    chain.words = {ALICE: State.HALTED}
    watcher.look()
    chain.words = {}
    watcher.look()
    assert decisions(watcher) == {"alice": "halt", "bob": "run"}
    chain.epoch = 2
    watcher.look()
    assert decisions(watcher) == {"alice": "run", "bob": "run"}


def test_a_poke_reads_at_once_however_long_the_poll(watch: Callable[..., Watcher], chain: Chain) -> None:
    watcher = watch(poll=NEVER)
    watcher.start()
    wait_until(lambda: chain.reads == 1)
    poked = time.monotonic()
    watcher.poke()
    wait_until(lambda: chain.reads == 2)
    assert time.monotonic() - poked < 1.0


def test_a_poke_during_a_reading_is_not_lost(watch: Callable[..., Watcher], chain: Chain) -> None:
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def read() -> tuple[list[Sighting], list[GuardError]]:
        begun.release()
        assert go_on.acquire(timeout=10)
        return chain.read()

    watcher = watch(read=read)
    watcher.start()
    assert begun.acquire(timeout=5)
    watcher.poke()
    go_on.release(3)
    assert begun.acquire(timeout=5), "the poke was lost"


def test_without_pokes_it_reads_at_every_poll(watch: Callable[..., Watcher], chain: Chain) -> None:
    watch(poll=0.005).start()
    wait_until(lambda: chain.reads > 3)


def test_stop_ends_the_thread_at_once(watch: Callable[..., Watcher], chain: Chain) -> None:
    watcher = watch()
    watcher.start()
    wait_until(lambda: chain.reads == 1)
    began = time.monotonic()
    watcher.stop()
    assert time.monotonic() - began < 1.0
    assert "watcher" not in {thread.name for thread in threading.enumerate()}


def test_a_watcher_that_hangs_is_no_reason_to_run_on(
    watch: Callable[..., Watcher], chain: Chain, clock: HandClock
) -> None:
    watcher = watch()
    watcher.look()
    found = []
    for clock.seconds in (
        60.0,
        60.1,
        90.0,
        90.1,
    ):  # no look any more: blocks may be 60 s old, doubt may last 30 s
        late = watcher.overdue("alice")
        assert late is None or late.verdict == watcher.standing("alice").verdict
        found.append(decisions(watcher)["alice"])
    assert found == ["run", "freeze", "freeze", "halt"]


def test_a_watcher_that_hangs_does_not_hide_that_an_agent_is_halted(
    watch: Callable[..., Watcher], chain: Chain, clock: HandClock
) -> None:
    chain.words = {ALICE: State.HALTED}
    watcher = watch()
    watcher.look()
    clock.seconds = 61.0
    assert watcher.standing("alice").verdict.reason == "halted by the council"


def test_attaching_carries_out_the_present_standing(watch: Callable[..., Watcher], chain: Chain) -> None:
    watcher, applied = watch(), list[Standing]()
    chain.words = {ALICE: State.PAUSED}
    watcher.look()
    watcher.attach("alice", applied.append)
    assert [standing.verdict.decision for standing in applied] == [Decision.FREEZE]


def test_who_is_condemned_from_outside_is_seen_halted_before_the_kill_and_stays_so(
    watch: Callable[..., Watcher], chain: Chain
) -> None:
    watcher, seen_during_kill = watch(), list[Decision]()
    watcher.look()
    watcher.attach("alice", lambda _: seen_during_kill.append(watcher.standing("alice").verdict.decision))
    watcher.condemn("alice", "the guard was stopped")
    assert seen_during_kill == [Decision.RUN, Decision.HALT]
    watcher.look()  # the chain still says that it may run
    assert watcher.standing("alice").verdict.reason == "the guard was stopped"


# --- with the real chain view ----------------------------------------------------------------------------------------


class Node:
    """A council behind an endpoint that can hang. Fake, because a real one that hangs would need a socket."""

    def __init__(self, name: str, clock: HandClock) -> None:
        self.name, self.clock, self.words, self.asked = name, clock, Words(), 0
        self.answering = threading.Event()
        self.answering.set()
        self.endpoint = self

    def block(self, which: str) -> Block:
        self.asked += 1
        assert self.answering.wait(20)
        return Block(7, b"\x07" * 32, NOW + int(self.clock.seconds))

    def snapshot(self, agents: tuple[bytes, ...], block: Block) -> dict[bytes, AgentState]:
        return {agent: state_of(agent, self.words.get(agent, State.RUNNING)) for agent in agents}


@pytest.fixture
def nodes(clock: HandClock) -> Iterator[tuple[Node, Node]]:
    pair = Node("one", clock), Node("two", clock)
    yield pair
    for node in pair:
        node.answering.set()


def view_of(clock: HandClock, *nodes: Node, timeout: float = 0.05) -> ChainView:
    return ChainView(nodes, [ALICE, BOB], timeout, lambda: clock.seconds)  # type: ignore[arg-type]


def test_the_only_endpoint_hangs_the_agent_is_frozen_and_then_halted(
    watch: Callable[..., Watcher], clock: HandClock, nodes: tuple[Node, Node]
) -> None:
    node = nodes[0]
    watcher = watch(read=view_of(clock, node).read)
    watcher.look()
    assert decisions(watcher)["alice"] == "run"
    node.answering.clear()
    found = []
    for clock.seconds in (1.0, 61.0, 90.0, 91.0):
        watcher.look()
        found.append(decisions(watcher)["alice"])
    assert found == ["run", "freeze", "freeze", "halt"]


def test_a_hanging_endpoint_delays_one_reading_and_not_the_next(
    clock: HandClock, nodes: tuple[Node, Node]
) -> None:
    hanging, healthy = nodes
    hanging.answering.clear()
    view = view_of(clock, hanging, healthy, timeout=1.0)
    first, failures = view.read()
    assert [seen.endpoint for seen in first] == ["two"]
    assert [failure.code for failure in failures] == ["AG201"]
    began = time.monotonic()
    for _ in range(5):
        sightings, failures = view.read()
        assert [seen.endpoint for seen in sightings] == ["two"]
        assert "one has not answered" in failures[0].message
    assert time.monotonic() - began < 0.5
    assert (hanging.asked, healthy.asked) == (1, 6)


def test_an_endpoint_that_hung_is_heard_and_asked_again_once_it_answers(
    clock: HandClock, nodes: tuple[Node, Node]
) -> None:
    hanging, healthy = nodes
    hanging.answering.clear()
    view = view_of(clock, hanging, healthy)
    view.read()
    hanging.answering.set()
    wait_until(lambda: len(view.read()[0]) == 2)
    view.read()
    assert hanging.asked >= 2


def test_a_halt_is_heard_from_the_healthy_endpoint_while_another_hangs(
    watch: Callable[..., Watcher], clock: HandClock, nodes: tuple[Node, Node]
) -> None:
    hanging, healthy = nodes
    watcher = watch(read=view_of(clock, hanging, healthy).read)
    hanging.answering.clear()
    watcher.look()
    healthy.words = {ALICE: State.HALTED}
    watcher.look()
    assert decisions(watcher) == {"alice": "halt", "bob": "run"}


def test_a_reading_that_fails_in_a_way_nobody_foresaw_is_raised_to_the_watcher(
    watch: Callable[..., Watcher], clock: HandClock, nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes[0], "snapshot", lambda agents, block: 1 / 0)
    watcher = watch(read=view_of(clock, nodes[0]).read)
    watcher.start()
    wait_until(lambda: decisions(watcher) == {"alice": "halt", "bob": "halt"})
    assert "ZeroDivisionError" in watcher.standing("alice").verdict.reason
