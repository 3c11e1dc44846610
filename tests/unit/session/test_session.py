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
from agent_guard.guard.memory import BY_BALLOTS
from agent_guard.guard.supervisor import DeathReceipt
from agent_guard.sandbox.container import Death
from agent_guard.sandbox.mode import Mode
from agent_guard.session import events, journal
from agent_guard.session.session import Parts, Session
from agent_guard.session.ward import WardParts
from agent_guard.types import FLEET, Block, Decision, Standing, Verdict

pytestmark = pytest.mark.unit

BLOCK = Block(70, b"\x07" * 32, 1_700_000_000)
HALT = HaltOnChain(Block(69, b"\x06" * 32, 1_699_999_999), 1, 1_699_999_990)


def standing(
    agent: str, decision: Decision, reason: str = "because", stopping: bool = False, epoch: int = 1
) -> Standing:
    state = cast(Any, SimpleNamespace(epoch=epoch))
    return Standing(agent, Verdict(decision, reason, stopping), BLOCK, state)


@dataclass
class Life:
    """A container as the session sees it. `exit_code` ends it."""

    world: "World"
    agent: str
    exit_code: int | None = None
    frozen: bool = False

    def wait(self, timeout: float | None) -> int | None:
        return self.exit_code

    def freeze(self) -> int:
        self.frozen = True
        return 0

    def still(self) -> None:
        """Begins to freeze."""

    def thaw(self) -> None:
        self.frozen = False

    def terminate(self) -> None:
        self.world.deeds.append("ask it to end")

    def kill(self) -> Death:
        self.world.deeds.append("kill")
        self.exit_code = 137
        tick = time.monotonic_ns()
        return Death(Mode.PIDNS, tick, tick, tick, tick, 4)

    def close(self) -> None:
        self.world.deeds.append("close the container")


@dataclass
class World:
    """All that a session touches, and in which order it did."""

    agents: tuple[str, ...] = ("alice",)
    grace: float = 0.0
    deeds: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    entries: list[tuple[Entry, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    whose: list[str | None] = field(default_factory=list)
    now: dict[str, Standing] = field(default_factory=dict)
    script: Callable[["World"], None] = lambda world: None
    applied: dict[str, Callable[[Standing], None]] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)
    overdue: Standing | None = None
    failing_entries: set[Entry] = field(default_factory=set)
    stuck_entries: set[Entry] = field(default_factory=set)
    flush_error: GuardError | None = None
    halt_error: GuardError | None = None
    asked: list[str] = field(default_factory=list)
    struck: bool = False

    def start_container(self, agent: str) -> Life:
        self.deeds.append("start the container")
        self.lives[agent] = Life(self, agent)
        return self.lives[agent]

    # the watcher
    def standing(self, agent: str) -> Standing:
        return self.now.get(agent, standing(agent, Decision.RUN))

    def attach(self, agent: str, apply: Callable[[Standing], None], still: Callable[[], None]) -> None:
        self.applied[agent] = apply

    def detach(self, agent: str) -> None:
        self.applied.pop(agent, None)

    def say(
        self,
        decision: Decision,
        reason: str = "because",
        agent: str = "alice",
        stopping: bool = False,
        epoch: int = 1,
    ) -> None:
        self.now[agent] = standing(agent, decision, reason, stopping, epoch)
        if agent in self.applied:
            self.applied[agent](self.now[agent])

    def ask(self, agent: str, reason: str) -> None:
        self.asked.append(reason)
        self.say(Decision.HALT, reason, agent, stopping=True)

    def end(self, code: int, agent: str = "alice") -> None:
        self.lives[agent].exit_code = code

    # the log
    def append(self, agent: str, kind: Entry, content: dict[str, Any], **more: Any) -> "Future[Any]":
        self.deeds.append(f"record {kind.value}")
        future: Future[Any] = Future()
        if kind in self.failing_entries:
            future.set_exception(GuardError("AG513", "The disk is full.", "Free some space."))
        elif kind not in self.stuck_entries:
            self.entries.append((kind, content, more))
            self.whose.append(agent)
            future.set_result(SimpleNamespace(index=len(self.entries) - 1))
        return future

    def flush(self, timeout: float) -> None:
        self.deeds.append("anchor")
        if self.flush_error:
            raise self.flush_error

    def find(self, agent: bytes, last: Block) -> HaltOnChain:
        if self.halt_error:
            raise self.halt_error
        self.deeds.append(f"look for the halt of {'the fleet' if agent == FLEET else 'the agent'}")
        return HALT

    def run(self) -> int:
        deed = self.deeds.append
        thread = threading.Thread(target=lambda: self.script(self))
        wards = [
            WardParts(
                agent=name, agent_id=name.encode().ljust(32), pulse=cast(Any, _Pulse()),
                start_container=cast(Any, lambda out, err, name=name: self.start_container(name)),
                sign_death=lambda agent, facts: "signature", keep_death=lambda facts: deed("keep the receipt"),
                describe={"command": ["true"]}, mode="pidns", was_struck=lambda since: self.struck,
            )
            for name in self.agents
        ]  # fmt: skip
        desk = SimpleNamespace(
            start=lambda journal, tell: deed("open the desk"), stop=lambda: None, counts=lambda: {}
        )
        parts = Parts(
            watcher=cast(Any, SimpleNamespace(
                standing=self.standing, attach=self.attach, detach=self.detach, start=thread.start, ask=self.ask,
                overdue=lambda agent: self.overdue, ballots=lambda agent: [10.0, 11.0],
                condemn=lambda agent, reason: self.say(Decision.HALT, reason, agent),
                stop=lambda: deed("stop watching"),
            )),
            subscriptions=[],
            recorder=cast(Any, self),
            anchor=cast(Any, SimpleNamespace(lag=lambda: (0, 0.0), flush=self.flush)),
            server=cast(Any, SimpleNamespace(stop=lambda: deed("stop the api"))),
            finder=cast(Any, self), desk=cast(Any, desk), wards=wards, grace=self.grace,
        )  # fmt: skip
        try:
            return Session(parts, self.steps.append).run()
        finally:
            if thread.ident:
                thread.join(5)

    @property
    def told(self) -> list[str]:
        return [step["event"] for step in self.steps]

    @property
    def kinds(self) -> list[Entry]:
        return [kind for kind, _, _ in self.entries]


class _Pulse:
    def beat(self, *said: object) -> None:
        """Says that the guard lives."""

    def end(self) -> None:
        """Takes that away."""


@pytest.fixture
def world() -> Iterator[World]:
    before = signal.getsignal(signal.SIGTERM)
    yield World()
    assert signal.getsignal(signal.SIGTERM) is before  # the run gave the signals back


def until(world: World, happened: Callable[[], object]) -> None:
    """Waits, in the script's thread, until the session has done something."""
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline, world.steps
        time.sleep(0.005)


def ends(code: int) -> Callable[[World], None]:
    def script(world: World) -> None:
        until(world, lambda: world.lives)
        world.end(code)

    return script


def halts(world: World) -> None:
    until(world, lambda: world.applied)
    world.say(Decision.HALT, "halted by the council")


@pytest.mark.parametrize("code", [0, 1, 42, 139])
def test_an_agent_that_ends_by_itself_ends_the_run_with_its_own_code(world: World, code: int) -> None:
    world.script = ends(code)
    assert world.run() == code
    assert world.told == ["started", "exited"]
    assert [kind for kind, _, _ in world.entries] == [Entry.CONFIG, Entry.START, Entry.EXIT]
    assert world.entries[-1][1] == {"exit_code": code}


def test_the_start_is_on_disk_before_the_agent_starts(world: World) -> None:
    world.script = ends(0)
    world.run()
    assert world.deeds[1:4] == ["record config", "record start", "start the container"]
    assert "close the container" in world.deeds


@pytest.mark.parametrize("decision", [Decision.FREEZE, Decision.HALT])
def test_an_agent_that_may_not_run_is_not_started_and_nothing_is_recorded(
    world: World, decision: Decision
) -> None:
    world.now["alice"] = standing("alice", decision, "paused by a signer")
    with pytest.raises(GuardError) as caught:
        world.run()
    assert (caught.value.code, caught.value.exit_code) == ("AG421", 8)
    assert "paused by a signer" in caught.value.message
    assert world.deeds == ["open the desk"]
    assert world.entries == []


@pytest.mark.parametrize("kind", [Entry.CONFIG, Entry.START])
def test_what_can_not_be_recorded_is_not_started(world: World, kind: Entry) -> None:
    world.failing_entries = {kind}
    with pytest.raises(GuardError) as caught:
        world.run()
    assert caught.value.code == "AG513"
    assert "start the container" not in world.deeds


def test_a_halt_ends_the_run_with_8_and_death_is_recorded_told_and_anchored_last(world: World) -> None:
    world.script = halts
    assert world.run() == 8
    assert world.told == ["started", "halted", "dead"]
    assert world.deeds[4:] == [
        "kill", "look for the halt of the agent", "record halt", "record death", "keep the receipt",
        "close the container", "stop watching", "stop the api", "anchor",
    ]  # fmt: skip
    (halt, _, where), (death, content, more) = world.entries[-2:]
    assert (halt, death) == (Entry.HALT, Entry.DEATH)
    assert where["block"].number == 69
    assert (content["survivors"], more["refers_to"]) == (0, len(world.entries) - 2)
    assert more["meta"]["vote"] == 1_699_999_990_000
    assert more["meta"]["block"] == 1_699_999_999_000
    assert more["meta"]["seen"] <= more["meta"]["frozen"] <= more["meta"]["dead"]


def test_a_freeze_and_a_thaw_are_recorded_and_told_in_order(world: World) -> None:
    def script(world: World) -> None:
        until(world, lambda: world.applied)
        world.say(Decision.FREEZE, "1 open vote(s) to halt")
        until(world, lambda: "frozen" in world.told)
        world.say(Decision.RUN)
        until(world, lambda: "thawed" in world.told)
        world.end(0)

    world.script = script
    world.run()
    assert world.told == ["started", "frozen", "thawed", "exited"]
    assert [kind for kind, _, _ in world.entries][2:] == [Entry.FREEZE, Entry.THAW, Entry.EXIT]


def test_a_watcher_that_hangs_is_overruled_from_this_thread(world: World) -> None:
    world.overdue = standing("alice", Decision.HALT, "the guard has stopped looking at the chain")
    assert world.run() == 8
    assert world.steps[1]["reason"] == "the guard has stopped looking at the chain"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_kills_the_agent_first_and_ends_the_run_with_130(
    world: World, number: signal.Signals
) -> None:
    def script(world: World) -> None:
        until(world, lambda: world.applied)
        os.kill(os.getpid(), number)

    world.script = script
    assert world.run() == 130
    assert world.deeds[4] == "kill"
    assert world.deeds.index("kill") < world.deeds.index("record death") < world.deeds.index("anchor")
    assert world.steps[1]["reason"] == "the guard was stopped"
    assert not any(deed.startswith("look for the halt") for deed in world.deeds)


@pytest.mark.parametrize("failing", [{Entry.HALT}, {Entry.DEATH}, {Entry.HALT, Entry.DEATH}])
def test_a_log_that_fails_after_the_start_keeps_no_agent_alive_and_is_told(
    world: World, failing: set[Entry]
) -> None:
    world.script, world.failing_entries = halts, failing
    assert world.run() == 8
    assert "kill" in world.deeds
    assert world.told.count("trouble") == len(failing)
    assert "dead" in world.told
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG513"] * len(
        failing
    )


def test_a_disk_that_never_answers_is_told_and_not_waited_for_endlessly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 0.05)
    world.script, world.stuck_entries = halts, {Entry.DEATH}
    assert world.run() == 8
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG521"]


def test_a_chain_that_falls_silent_after_the_kill_costs_only_the_stage_times(world: World) -> None:
    world.script, world.halt_error = halts, GuardError("AG201", "no answer.", "Wait.")
    assert world.run() == 8
    dead = world.steps[-1]
    assert (dead["stages_ms"]["vote"], dead["stages_ms"]["block"]) == (None, None)
    assert dead["stages_ms"]["dead"] >= dead["stages_ms"]["seen"]


def test_an_anchor_that_fails_at_the_end_is_told_and_changes_no_exit_code(world: World) -> None:
    world.script, world.flush_error = halts, GuardError("AG531", "Not in time.", "Run it again.")
    assert world.run() == 8
    assert world.steps[-1]["error"]["code"] == "AG531"
    assert "close the container" in world.deeds


def test_whatever_goes_wrong_in_telling_the_container_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "attach", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.run()
    assert "close the container" in world.deeds


# --- planned stops ---------------------------------------------------------------------------------------------------


def leaves_in_the_grace(code: int, then: Callable[[World], None]) -> Callable[[World], None]:
    """A planned stop is announced, the agent ends with this code, and then something happens."""

    def script(world: World) -> None:
        until(world, lambda: world.applied)
        world.say(Decision.FREEZE, "paused by a signer", stopping=True)
        until(world, lambda: "stopping" in world.told)
        world.end(code)
        until(world, lambda: "exited" in world.told)
        then(world)

    return script


def test_an_agent_that_saved_its_work_is_started_again_when_the_council_lets_it_run(world: World) -> None:
    def resumed(world: World) -> None:
        assert world.deeds.count("start the container") == 1
        world.say(Decision.RUN)
        until(world, lambda: world.told.count("started") == 2)
        world.end(0)

    world.script = leaves_in_the_grace(75, resumed)
    assert world.run() == 0
    assert world.told == ["started", "stopping", "exited", "waiting", "started", "exited"]
    assert world.kinds == [
        Entry.CONFIG, Entry.START, Entry.STOPPING, Entry.EXIT, Entry.START, Entry.EXIT
    ]  # fmt: skip
    assert world.entries[3][1] == {"exit_code": 75, "stopping": "paused by a signer"}
    assert "ask it to end" in world.deeds


def test_an_agent_whose_task_is_done_in_the_grace_is_not_started_again(world: World) -> None:
    world.script = leaves_in_the_grace(0, lambda world: None)
    assert world.run() == 0
    assert world.told[-1] == "exited"


def test_an_agent_that_waits_is_given_up_when_its_operator_ends_the_run(world: World) -> None:
    world.script = leaves_in_the_grace(75, lambda world: os.kill(os.getpid(), signal.SIGTERM))
    assert world.run() == 130
    assert world.deeds.count("start the container") == 1


def test_an_agent_that_leaves_in_the_grace_of_a_halt_gets_its_death_receipt(world: World) -> None:
    def script(world: World) -> None:
        until(world, lambda: world.applied)
        world.say(Decision.HALT, "halted by the council", stopping=True)
        until(world, lambda: "stopping" in world.told)
        world.end(75)

    world.script = script
    assert world.run() == 8
    assert world.kinds[-2:] == [Entry.HALT, Entry.DEATH]


def test_ctrl_c_with_a_grace_asks_first_and_a_second_one_kills(world: World) -> None:
    world.grace = 60.0

    def script(world: World) -> None:
        until(world, lambda: world.applied)
        os.kill(os.getpid(), signal.SIGINT)
        until(world, lambda: "stopping" in world.told)
        assert "kill" not in world.deeds
        os.kill(os.getpid(), signal.SIGINT)

    world.script = script
    assert world.run() == 130
    assert set(world.asked) == {"the guard was stopped"}
    assert world.deeds.index("ask it to end") < world.deeds.index("kill")


# --- fleets ----------------------------------------------------------------------------------------------------------


def test_of_a_fleet_a_halted_agent_is_started_again_on_its_resume_while_others_live(world: World) -> None:
    world.agents = ("alice", "bob")

    def script(world: World) -> None:
        until(world, lambda: len(world.applied) == 2)
        world.say(Decision.HALT, "halted by the council")
        until(world, lambda: "dead" in world.told)
        world.say(Decision.RUN, epoch=2)
        until(world, lambda: world.told.count("started") == 3)
        world.end(0)
        world.end(0, "bob")

    world.script = script
    assert world.run() == 0
    assert [kind for kind, agent in zip(world.kinds, world.whose, strict=True) if agent == "alice"] == [
        Entry.CONFIG, Entry.START, Entry.HALT, Entry.DEATH, Entry.RESUME, Entry.START, Entry.EXIT
    ]  # fmt: skip


def test_of_a_fleet_an_agent_killed_on_doubt_stays_off_when_the_chain_is_back(world: World) -> None:
    world.agents = ("alice", "bob")

    def script(world: World) -> None:
        until(world, lambda: len(world.applied) == 2)
        world.say(Decision.HALT, "no fresh word from the chain for 60 s")
        until(world, lambda: "dead" in world.told)
        world.say(Decision.RUN)
        time.sleep(0.4)
        world.end(0, "bob")

    world.script = script
    assert world.run() == 8
    assert world.deeds.count("start the container") == 2
    assert Entry.RESUME not in world.kinds


def test_an_agent_that_the_deadman_killed_is_dead_on_record(world: World) -> None:
    world.struck = True
    world.script = ends(137)
    assert world.run() == 8
    assert world.kinds[-2:] == [Entry.HALT, Entry.DEATH]
    assert "stood still" in world.entries[-1][1]["reason"]


def test_a_fleet_ends_with_8_once_nothing_lives_and_one_is_halted(world: World) -> None:
    world.agents = ("alice", "bob")

    def script(world: World) -> None:
        until(world, lambda: len(world.applied) == 2)
        world.end(0, "bob")
        world.say(Decision.HALT, "halted by the council")

    world.script = script
    assert world.run() == 8


def test_a_fleet_of_which_all_ended_gives_0_or_1(world: World) -> None:
    world.agents = ("alice", "bob")

    def script(world: World) -> None:
        until(world, lambda: len(world.applied) == 2)
        world.end(0)
        world.end(3, "bob")

    world.script = script
    assert world.run() == 1


def test_a_fleets_halt_is_looked_for_as_the_fleets(world: World) -> None:
    def script(world: World) -> None:
        until(world, lambda: world.applied)
        world.say(Decision.HALT, "the whole fleet is halted by the council")

    world.script = script
    assert world.run() == 8
    assert "look for the halt of the fleet" in world.deeds


def test_an_agent_of_a_fleet_that_may_not_run_waits_and_the_others_start(world: World) -> None:
    world.agents = ("alice", "bob")
    world.now["bob"] = standing("bob", Decision.HALT, "halted by the council")

    def script(world: World) -> None:
        until(world, lambda: "alice" in world.applied)
        world.end(0)

    world.script = script
    assert world.run() == 8
    assert list(world.lives) == ["alice"]
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG421"]


def test_a_death_by_ballots_has_the_times_at_which_they_came_and_no_block(world: World) -> None:
    def script(world: World) -> None:
        until(world, lambda: world.applied)
        world.say(Decision.HALT, BY_BALLOTS)

    world.script = script
    assert world.run() == 8
    meta = world.entries[-1][2]["meta"]
    assert (meta["vote"], meta["quorum"], "block" in meta) == (10_000, 11_000, False)
    assert not any(deed.startswith("look") for deed in world.deeds)


# --- the values that are told ----------------------------------------------------------------------------------------

RECEIPT = DeathReceipt("halted", 3, BLOCK, 100, 101, 105, "pidns", 4)


def test_a_death_without_a_halt_on_chain_has_no_times_of_the_chain() -> None:
    times = events.stages(RECEIPT, None)
    assert events.dead(RECEIPT, times, "signature")["stages_ms"] == {
        "vote": None, "quorum": None, "block": None, "seen": 100, "frozen": 101, "dead": 105,
    }  # fmt: skip
    assert times.facts(RECEIPT) == {
        "seen": 100, "frozen": 101, "dead": 105, "epoch": 3, "mode": "pidns", "processes": 4,
    }  # fmt: skip


def test_an_unknown_first_vote_is_left_out_and_not_the_year_1970() -> None:
    assert events.stages(RECEIPT, HaltOnChain(BLOCK, 3, 0)).vote is None
