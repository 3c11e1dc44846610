"""Many agents under one guard: one that is halted holds no other up, and returns on the council's resume alone."""

import os
import signal
import time

import pytest

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.session import session as module
from agent_guard.types import FLEET, Silence, State
from tests.unit.guard.chain import ALICE, BOB, FedView, sighting
from tests.unit.guard.words import TWO
from tests.unit.session.world import HALTED, World

pytestmark = pytest.mark.unit

EVERYBODY = {FLEET: State.HALTED}


@pytest.fixture
def fleet() -> World:
    world = World(agents=("alice", "bob"))
    world.view.say(sighting())
    return world


def end(world: World, agent: str, code: int = 0) -> None:
    next(life for life in reversed(world.lives) if life.agent == agent).exit_code = code


def test_both_are_started_and_each_ends_for_itself(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        end(world, "alice")
        world.until("exited", agent="alice")
        end(world, "bob")

    fleet.script = script
    assert fleet.run() == 0
    assert fleet.told_of("alice") == fleet.told_of("bob") == ["started", "exited"]
    assert fleet.recorded("alice") == fleet.recorded("bob") == ["config", "start", "exit"]


@pytest.mark.parametrize(("codes", "code"), [((0, 0), 0), ((0, 3), 1), ((7, 7), 1)])
def test_a_fleet_ends_with_0_if_all_did_and_else_with_1(
    fleet: World, codes: tuple[int, int], code: int
) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        end(world, "alice", codes[0])
        end(world, "bob", codes[1])

    fleet.script = script
    assert fleet.run() == code


def test_one_that_is_halted_dies_alone_and_the_run_ends_with_8_when_the_others_have_ended(
    fleet: World,
) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.say(HALTED)
        world.until("dead")
        world.say({ALICE: State.HALTED, BOB: State.RUNNING})
        assert world.watcher.standing("bob").verdict.decision.value == "run"
        end(world, "bob")

    fleet.script = script
    assert fleet.run() == 8
    assert fleet.told_of("bob") == ["started", "exited"]
    assert fleet.told_of("alice") == ["started", "halted", "dead"]
    assert "kill bob" not in fleet.deeds


def test_a_halt_of_the_fleet_kills_all(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.say(EVERYBODY)

    fleet.script = script
    assert fleet.run() == 8
    assert sorted(deed for deed in fleet.deeds if deed.startswith("kill")) == ["kill alice", "kill bob"]
    assert {step["reason"] for step in fleet.steps if step["event"] == "dead"} == {
        "the whole fleet is halted by the council"
    }


def test_one_that_was_resumed_is_started_again_and_its_resume_is_recorded_first(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.say(HALTED)
        world.until("dead")
        world.resume()
        world.until("started", times=3)
        end(world, "alice")
        end(world, "bob")

    fleet.script = script
    assert fleet.run() == 0
    assert fleet.recorded("alice") == ["config", "start", "halt", "death", "resume", "start", "exit"]
    resumed = [
        deed for deed in fleet.deeds if deed.endswith("alice") and deed.startswith(("record resume", "start"))
    ]
    assert resumed == ["start alice", "record resume alice", "start alice"]
    assert fleet.entry(Entry.RESUME)[1]["block"] == fleet.entry(Entry.START)[1]["block"]


def test_a_resume_that_is_not_final_yet_starts_nobody(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.say(HALTED)
        world.until("dead")
        world.say(epoch=2)
        reads = world.view.reads
        world.wait(lambda: world.view.reads > reads + 20)
        end(world, "bob")

    fleet.script = script
    assert fleet.run() == 8
    assert fleet.told.count("started") == 2


def test_one_that_was_killed_on_doubt_is_not_started_again_because_the_doubt_is_over(fleet: World) -> None:
    """Only the council's resume returns what was killed: else who cries wolf would kill and start it for ever."""

    def script(world: World) -> None:
        world.until("started", times=2)
        for seconds in (0.0, 30.0):  # one endpoint alone says that alice is halted
            world.clock.seconds = seconds
            world.view.say(*(sighting(at=seconds, endpoint=node) for node in ("one", "two")))
            world.view.say(sighting(HALTED, at=seconds, endpoint="three"))
            world.wait(lambda: world.view._words.empty())
        world.until("dead")
        world.view.say(*(sighting(at=seconds, endpoint=node) for node in ("one", "two", "three")))
        world.wait(lambda: world.watcher.standing("alice").verdict.decision.value == "run")
        reads = world.view.reads
        world.wait(lambda: world.view.reads > reads + 20)
        end(world, "bob")

    fleet.view, fleet.limits, fleet.script = FedView(("one", "two", "three")), TWO, script
    fleet.view.say(*(sighting(endpoint=node) for node in ("one", "two", "three")))
    assert fleet.run() == 8
    assert fleet.told_of("alice")[-1] == "dead"
    assert fleet.told.count("started") == 2


def test_one_whose_kill_was_the_guards_own_failure_is_not_started_again(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.watcher.condemn("alice", "the guard failed: OSError: no memory")
        world.until("dead")
        reads = world.view.reads
        world.wait(lambda: world.view.reads > reads + 20)
        end(world, "bob")

    fleet.script = script
    assert fleet.run() == 8
    assert fleet.told.count("started") == 2


def test_one_that_may_not_run_yet_waits_while_others_run_and_starts_when_it_may() -> None:
    world = World(agents=("alice", "bob"))
    world.view.say(sighting({BOB: State.PAUSED}))

    def script(world: World) -> None:
        world.until("trouble")
        assert world.step("trouble")["error"]["code"] == "AG421"
        world.say()
        world.until("started", agent="bob")
        end(world, "alice")
        end(world, "bob")

    world.script = script
    assert world.run() == 0
    assert world.recorded("bob") == ["config", "start", "exit"]


def test_one_that_never_was_let_run_holds_up_no_end_and_the_run_ends_with_8() -> None:
    world = World(agents=("alice", "bob"))
    world.view.say(sighting({BOB: State.PAUSED}))
    world.script = lambda world: end(world, "alice")
    assert world.run() == 8
    assert world.recorded("bob") == []


def test_where_none_may_run_nothing_is_started() -> None:
    world = World(agents=("alice", "bob"))
    world.view.say(sighting(EVERYBODY))
    with pytest.raises(GuardError) as caught:
        world.run()
    assert caught.value.code == "AG421"
    assert world.deeds == []


def test_one_that_can_not_be_started_is_told_and_the_others_run(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("trouble")
        end(world, "alice")

    fleet.failing_starts = {"bob": GuardError("AG405", "No such command.", "Install it.")}
    fleet.script = script
    assert fleet.run() == 1
    assert fleet.told_of("bob") == ["trouble"]
    assert fleet.told_of("alice") == ["started", "exited"]


def test_a_slow_kill_of_one_delays_no_other(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        alice, bob = world.lives
        kill = alice.kill

        def slow() -> object:
            world.wait(lambda: bob.exit_code is not None)
            return kill()

        alice.kill = slow  # type: ignore
        world.say(EVERYBODY)

    fleet.script = script
    assert fleet.run() == 8
    assert [deed for deed in fleet.deeds if deed.startswith("kill")] == ["kill bob", "kill alice"]


def test_a_ctrl_c_kills_all_and_ends_with_130(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        os.kill(os.getpid(), signal.SIGINT)

    fleet.script = script
    assert fleet.run() == 130
    assert sorted(deed for deed in fleet.deeds if deed.startswith("kill")) == ["kill alice", "kill bob"]
    assert fleet.deeds[-2:] == ["stop the api", "anchor"]


def test_a_ctrl_c_ends_with_130_though_the_council_had_halted_one_before(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.say(HALTED)
        world.until("dead")
        os.kill(os.getpid(), signal.SIGINT)

    fleet.script = script
    assert fleet.run() == 130
    reasons = {step["agent"]: step["reason"] for step in fleet.steps if step["event"] == "dead"}
    assert reasons == {"alice": "halted by the council", "bob": "the guard was stopped"}


def test_a_ctrl_c_starts_none_of_those_that_wait_though_they_may_run_by_now() -> None:
    world = World(agents=("alice", "bob"))
    world.view.say(sighting({BOB: State.PAUSED}))

    def script(world: World) -> None:
        world.until("trouble")
        alice, kill = world.lives[0], world.lives[0].kill

        def slow() -> object:  # the session ticks on meanwhile
            world.say()
            world.wait(lambda: world.watcher.standing("bob").verdict.decision.value in ("run", "halt"))
            time.sleep(0.3)
            return kill()

        alice.kill = slow  # type: ignore
        os.kill(os.getpid(), signal.SIGINT)

    world.script = script
    assert world.run() == 130
    assert world.told_of("bob") == ["trouble"]


def test_a_ctrl_c_before_all_have_started_starts_no_more_and_kills_the_first(fleet: World) -> None:
    start = fleet.start_container

    def interrupting(agent: str) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return start(agent)

    fleet.start_container = interrupting  # type: ignore
    assert fleet.run() == 130
    assert [deed for deed in fleet.deeds if deed.startswith("start")] == ["start alice"]
    assert "kill alice" in fleet.deeds


def test_a_chain_that_falls_silent_kills_all_when_the_grace_is_over(fleet: World) -> None:
    def script(world: World) -> None:
        world.until("started", times=2)
        world.clock.seconds = 61.0
        world.view.say(Silence("node", "refused"))
        world.until("frozen", times=2)
        world.clock.seconds = 92.0

    fleet.script = script
    assert fleet.run() == 8
    assert fleet.told.count("dead") == 2


# --- endpoints that differ -------------------------------------------------------------------------------------------


def test_endpoints_that_differ_for_long_enough_are_recorded_and_told_once_and_so_is_their_agreement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DISSENT_SECONDS", 0.05)
    world = World(agents=("alice",), limits=TWO, view=FedView(("one", "two", "three")))
    world.view.say(*(sighting(endpoint=node) for node in ("one", "two", "three")))

    def script(world: World) -> None:
        world.view.say(sighting(endpoint="three", epoch=9))
        world.until("dissent")
        world.view.say(sighting(endpoint="three"))
        world.until("dissent", times=2)
        world.lives[-1].exit_code = 0

    world.script = script
    assert world.run() == 0
    told = [step["endpoints"] for step in world.steps if step["event"] == "dissent"]
    assert [set(named) for named in told] == [{"three"}, set()]
    assert "RUNNING in epoch 9" in told[0]["three"]
    assert [kind for _, kind, _, _ in world.entries].count(Entry.DISSENT) == 2
    assert world.session.report().dissents == {"three": 1}


def test_a_difference_that_does_not_last_is_not_recorded() -> None:
    world = World(agents=("alice",), limits=TWO, view=FedView(("one", "two", "three")))
    world.view.say(*(sighting(endpoint=node) for node in ("one", "two", "three")))

    def script(world: World) -> None:
        world.view.say(sighting(endpoint="three", epoch=9))
        reads = world.view.reads
        world.wait(lambda: world.view.reads > reads + 10)
        world.view.say(sighting(endpoint="three"))
        world.wait(lambda: world.view.reads > reads + 20)
        world.lives[-1].exit_code = 0

    world.script = script
    assert world.run() == 0
    assert "dissent" not in world.told
