"""The order of one run: recorded before started, dead before anything else, told and anchored at the end.

Chain, container and log are fakes, for what is tried here is what happens when each of them fails; the drills run the
same session with real ones.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent_guard.chain.history import HaltOnChain
from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.guard.supervisor import DeathReceipt
from agent_guard.sandbox.container import Death
from agent_guard.sandbox.mode import Mode
from agent_guard.session import events
from agent_guard.session import session as module
from agent_guard.session.session import Parts, Session
from agent_guard.types import Block, Decision, Standing, Verdict

pytestmark = pytest.mark.unit

BLOCK = Block(70, b"\x07" * 32, 1_700_000_000)


def standing(decision: Decision, reason: str = "because") -> Standing:
    return Standing("alice", Verdict(decision, reason), BLOCK, None)


@dataclass
class World:
    """All that one run touches, and in which order it did."""

    deeds: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    entries: list[tuple[Entry, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    now: Standing = field(default_factory=lambda: standing(Decision.RUN))
    script: Callable[["World"], None] = lambda world: None
    apply: Callable[[Standing], None] = lambda standing: None
    exit_code: int | None = None
    overdue: Standing | None = None
    failing_entries: set[Entry] = field(default_factory=set)
    stuck_entries: set[Entry] = field(default_factory=set)
    flush_error: GuardError | None = None
    halt_error: GuardError | None = None

    # the container
    frozen = False

    def start_container(self, stdout: int, stderr: int) -> "World":
        self.deeds.append("start the container")
        return self

    def wait(self, timeout: float | None) -> int | None:
        return self.exit_code

    def freeze(self) -> int:
        self.frozen = True
        return 0

    def thaw(self) -> None:
        self.frozen = False

    def kill(self) -> Death:
        self.deeds.append("kill")
        self.exit_code = 137
        tick = time.monotonic_ns()
        return Death(Mode.PIDNS, tick, tick, tick, tick, 4)

    def close(self) -> None:
        self.deeds.append("close the container")

    # the watcher
    def standing(self, agent: str) -> Standing:
        return self.now

    def attach(self, agent: str, apply: Callable[[Standing], None]) -> None:
        self.apply = apply

    def say(self, decision: Decision, reason: str = "because") -> None:
        self.now = standing(decision, reason)
        self.apply(self.now)

    # the log
    def append(self, agent: str, kind: Entry, content: dict[str, Any], **more: Any) -> "Future[Any]":
        self.deeds.append(f"record {kind.value}")
        future: Future[Any] = Future()
        if kind in self.failing_entries:
            future.set_exception(GuardError("AG513", "The disk is full.", "Free some space."))
        elif kind not in self.stuck_entries:
            self.entries.append((kind, content, more))
            future.set_result(SimpleNamespace(index=len(self.entries) - 1))
        return future

    def flush(self, timeout: float) -> None:
        self.deeds.append("anchor")
        if self.flush_error:
            raise self.flush_error

    def run(self, monkeypatch: pytest.MonkeyPatch) -> int:
        def latest_halt(contract: Any, agents: Any, first: int, last: Block) -> HaltOnChain:
            if self.halt_error:
                raise self.halt_error
            self.deeds.append(f"look for the halt from {first} to {last.number}")
            return HaltOnChain(Block(69, b"\x06" * 32, 1_699_999_999), 1, 1_699_999_990)

        monkeypatch.setattr(module, "latest_halt", latest_halt)
        deed = self.deeds.append
        thread = threading.Thread(target=lambda: self.script(self))
        parts = Parts(
            agent="alice", agent_id=b"a" * 32, contract=cast(Any, None), deploy_block=5,
            watcher=cast(Any, SimpleNamespace(
                standing=self.standing, attach=self.attach, start=thread.start,
                overdue=lambda agent: self.overdue,
                condemn=lambda agent, reason: self.say(Decision.HALT, reason), stop=lambda: deed("stop watching"),
            )),
            subscription=cast(Any, SimpleNamespace(start=lambda: None)),
            recorder=cast(Any, self),
            anchor=cast(Any, SimpleNamespace(lag=lambda: (0, 0.0), flush=self.flush)),
            server=cast(Any, SimpleNamespace(stop=lambda: deed("stop the api"))),
            pulse=cast(Any, SimpleNamespace(beat=lambda *said: None)),
            start_container=cast(Any, self.start_container), describe={"command": ["true"]}, mode="pidns",
        )  # fmt: skip
        try:
            return Session(parts, self.steps.append).run()
        finally:
            if thread.ident:
                thread.join(5)

    @property
    def told(self) -> list[str]:
        return [step["event"] for step in self.steps]


@pytest.fixture
def world() -> Iterator[World]:
    before = signal.getsignal(signal.SIGTERM)
    yield World()
    assert signal.getsignal(signal.SIGTERM) is before  # the run gave the signals back


def ends(code: int) -> Callable[[World], None]:
    return lambda world: setattr(world, "exit_code", code)


def halts(world: World) -> None:
    world.say(Decision.HALT, "halted by the council")


@pytest.mark.parametrize("code", [0, 1, 42, 139])
def test_an_agent_that_ends_by_itself_ends_the_run_with_its_own_code(
    world: World, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    world.script = ends(code)
    assert world.run(monkeypatch) == code
    assert world.told == ["started", "exited"]
    assert [kind for kind, _, _ in world.entries] == [Entry.CONFIG, Entry.START, Entry.EXIT]
    assert world.entries[-1][1] == {"exit_code": code}


def test_the_start_is_on_disk_before_the_agent_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.script = ends(0)
    world.run(monkeypatch)
    assert world.deeds[:3] == ["record config", "record start", "start the container"]
    assert world.deeds[-1] == "close the container"


@pytest.mark.parametrize("decision", [Decision.FREEZE, Decision.HALT])
def test_an_agent_that_may_not_run_is_not_started_and_nothing_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, decision: Decision
) -> None:
    world.now = standing(decision, "paused by a signer")
    with pytest.raises(GuardError) as caught:
        world.run(monkeypatch)
    assert (caught.value.code, caught.value.exit_code) == ("AG421", 8)
    assert "paused by a signer" in caught.value.message
    assert world.deeds == []


@pytest.mark.parametrize("kind", [Entry.CONFIG, Entry.START])
def test_what_can_not_be_recorded_is_not_started(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: Entry
) -> None:
    world.failing_entries = {kind}
    with pytest.raises(GuardError) as caught:
        world.run(monkeypatch)
    assert caught.value.code == "AG513"
    assert "start the container" not in world.deeds


def test_a_halt_ends_the_run_with_8_and_death_is_recorded_told_and_anchored_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.script = halts
    assert world.run(monkeypatch) == 8
    assert world.told == ["started", "halted", "dead"]
    assert world.deeds[3:] == [
        "kill", "stop watching", "look for the halt from 5 to 70", "record halt", "record death", "stop the api",
        "anchor", "close the container",
    ]  # fmt: skip
    (halt, _, where), (death, content, more) = world.entries[-2:]
    assert (halt, death) == (Entry.HALT, Entry.DEATH)
    assert where["block"].number == 69
    assert (content["survivors"], more["refers_to"]) == (0, len(world.entries) - 2)
    assert more["meta"]["vote"] == 1_699_999_990_000
    assert more["meta"]["block"] == 1_699_999_999_000
    assert more["meta"]["seen"] <= more["meta"]["frozen"] <= more["meta"]["dead"]


def test_a_freeze_and_a_thaw_are_recorded_and_told_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(world: World) -> None:
        world.say(Decision.FREEZE, "1 open vote(s) to halt")
        world.say(Decision.RUN)
        time.sleep(0.2)
        world.exit_code = 0

    world.script = script
    world.run(monkeypatch)
    assert world.told == ["started", "frozen", "thawed", "exited"]
    assert [kind for kind, _, _ in world.entries][2:] == [Entry.FREEZE, Entry.THAW, Entry.EXIT]


def test_a_watcher_that_hangs_is_overruled_from_this_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.overdue = standing(Decision.HALT, "the guard has stopped looking at the chain")
    assert world.run(monkeypatch) == 8
    assert world.steps[1]["reason"] == "the guard has stopped looking at the chain"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_kills_the_agent_first_and_ends_the_run_with_130(
    world: World, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    world.script = lambda world: os.kill(os.getpid(), number)
    assert world.run(monkeypatch) == 130
    assert world.deeds[3:5] == ["kill", "stop watching"]
    assert world.steps[1]["reason"] == "the guard was stopped"
    assert not any(deed.startswith("look for the halt") for deed in world.deeds)


@pytest.mark.parametrize("failing", [{Entry.HALT}, {Entry.DEATH}, {Entry.HALT, Entry.DEATH}])
def test_a_log_that_fails_after_the_start_keeps_no_agent_alive_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, failing: set[Entry]
) -> None:
    world.script, world.failing_entries = halts, failing
    assert world.run(monkeypatch) == 8
    assert "kill" in world.deeds
    assert world.told.count("trouble") == len(failing)
    assert "dead" in world.told
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG513"] * len(
        failing
    )


def test_a_disk_that_never_answers_is_told_and_not_waited_for_endlessly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.05)
    world.script, world.stuck_entries = halts, {Entry.DEATH}
    assert world.run(monkeypatch) == 8
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG521"]


def test_a_chain_that_falls_silent_after_the_kill_costs_only_the_stage_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.script, world.halt_error = halts, GuardError("AG201", "no answer.", "Wait.")
    assert world.run(monkeypatch) == 8
    dead = world.steps[-1]
    assert (dead["stages_ms"]["vote"], dead["stages_ms"]["block"]) == (None, None)
    assert dead["stages_ms"]["dead"] >= dead["stages_ms"]["seen"]


def test_an_anchor_that_fails_at_the_end_is_told_and_changes_no_exit_code(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.script, world.flush_error = halts, GuardError("AG531", "Not in time.", "Run it again.")
    assert world.run(monkeypatch) == 8
    assert world.steps[-1]["error"]["code"] == "AG531"
    assert world.deeds[-1] == "close the container"


def test_whatever_goes_wrong_in_telling_the_container_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "attach", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.run(monkeypatch)
    assert world.deeds[-1] == "close the container"


# --- the values that are told ----------------------------------------------------------------------------------------

RECEIPT = DeathReceipt("halted", 3, BLOCK, 100, 101, 105, "pidns", 4)


def test_a_death_without_a_halt_on_chain_has_no_times_of_the_chain() -> None:
    times = events.stages(RECEIPT, None)
    assert events.dead(RECEIPT, times)["stages_ms"] == {
        "vote": None, "block": None, "seen": 100, "frozen": 101, "dead": 105,
    }  # fmt: skip
    assert times.as_meta(RECEIPT) == {
        "seen": 100, "frozen": 101, "dead": 105, "epoch": 3, "mode": "pidns", "processes": 4,
    }  # fmt: skip


def test_an_unknown_first_vote_is_left_out_and_not_the_year_1970() -> None:
    assert events.stages(RECEIPT, HaltOnChain(BLOCK, 3, 0)).vote is None
