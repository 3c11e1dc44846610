"""The order of one run: recorded before started, dead before anything else, told and anchored at the end."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.session import journal
from agent_guard.types import FLEET, Silence, State
from tests.unit.guard.chain import ALICE, sighting
from tests.unit.guard.words import LIMITS
from tests.unit.session.world import HALTED, World, ends, exits

pytestmark = pytest.mark.unit


def halts(world: World) -> None:
    world.say(HALTED)


# --- an agent that ends by itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 42, 139])
def test_an_agent_that_ends_by_itself_ends_the_run_with_its_own_code(world: World, code: int) -> None:
    world.script = ends(code)
    assert world.run() == code
    assert world.told == ["started", "exited"]
    assert world.recorded() == ["config", "start", "exit"]
    assert world.entry(Entry.EXIT)[0] == {"exit_code": code}
    assert all(step["agent"] == "alice" for step in world.steps)


def test_a_life_is_noted_before_its_container_is_built_and_forgotten_once_its_end_is_in_the_log(
    world: World,
) -> None:
    world.script = ends(0)
    world.run()
    assert world.notes == [
        "life 1 after record start",
        "life 1 in its container",
        "forgotten after record exit",
    ]


def test_a_killed_life_is_forgotten_once_its_death_is_in_the_log(world: World) -> None:
    world.script = halts
    world.run()
    assert world.notes[2:] == ["forgotten after record death"]


@pytest.mark.parametrize(("script", "end"), [(ends(0), Entry.EXIT), (halts, Entry.DEATH)])
def test_a_life_whose_end_could_not_be_recorded_stays_noted(
    world: World, script: Callable[[World], None], end: Entry
) -> None:
    world.failing_entries = {end}
    world.script = script
    world.run()
    assert len(world.notes) == 2


def test_a_life_that_could_not_begin_has_an_end_on_record_and_is_forgotten(world: World) -> None:
    world.failing_starts["alice"] = GuardError("AG402", "No container can be built.", "Mend it.")
    with pytest.raises(GuardError, match="AG402"):
        world.run()
    assert world.recorded() == ["config", "start", "exit"]
    assert world.entry(Entry.EXIT)[0] == {"not_started": "AG402"}
    assert world.notes == ["life 1 after record start", "forgotten after record exit"]


def test_an_agent_that_the_deadman_killed_is_dead_on_record_and_not_merely_ended(world: World) -> None:
    world.struck = True
    world.script = ends(137)
    assert world.run() == 8
    assert world.recorded()[-2:] == ["halt", "death"]
    assert "stood still" in world.entry(Entry.HALT)[0]["reason"]


def test_the_start_is_on_disk_before_the_agent_starts_and_names_the_block_that_allowed_it(
    world: World,
) -> None:
    world.script = ends(0)
    world.run()
    assert world.deeds[:3] == ["record config", "record start", "start"]
    assert world.entry(Entry.START)[1]["block"] == sighting().block
    assert world.entry(Entry.CONFIG)[1]["meta"] == {"max_overrun_ms": 1}
    assert world.deeds[-1] == "anchor"
    assert world.deeds.count("close") == 1


@pytest.mark.parametrize("word", [{ALICE: State.PAUSED}, {ALICE: State.HALTED}, {FLEET: State.PAUSED}])
def test_an_agent_that_may_not_run_is_not_started_and_nothing_is_recorded(word: dict[bytes, State]) -> None:
    world = World()
    world.view.say(sighting(word))
    with pytest.raises(GuardError) as caught:
        world.run()
    assert (caught.value.code, caught.value.exit_code) == ("AG421", 8)
    assert "Nothing was started" in caught.value.message
    assert world.deeds == []


@pytest.mark.parametrize("kind", [Entry.CONFIG, Entry.START])
def test_what_can_not_be_recorded_is_not_started(world: World, kind: Entry) -> None:
    world.failing_entries = {kind}
    with pytest.raises(GuardError) as caught:
        world.run()
    assert caught.value.code == "AG513"
    assert "start" not in world.deeds


def test_an_agent_that_can_not_be_started_ends_the_run_with_why(world: World) -> None:
    world.failing_starts = {"alice": GuardError("AG405", "No such command.", "Install it.")}
    with pytest.raises(GuardError) as caught:
        world.run()
    assert caught.value.code == "AG405"
    assert "anchor" not in world.deeds


# --- a halt ----------------------------------------------------------------------------------------------------------


def test_a_halt_ends_the_run_with_8_and_death_is_recorded_told_and_anchored_last(world: World) -> None:
    world.script = halts
    assert world.run() == 8
    assert world.told == ["started", "halted", "dead"]
    assert world.deeds[3:] == [
        "kill", "look for the halt of the agent up to 8", "record halt", "record death", "close", "stop the api",
        "anchor",
    ]  # fmt: skip
    (_, halt_kind, content, halt_more), (_, death_kind, _, _) = world.entries[-2:]
    assert (halt_kind, death_kind) == (Entry.HALT, Entry.DEATH)
    assert content == {"reason": "halted by the council"}
    assert halt_more["block"].number == 69
    content, more = world.entry(Entry.DEATH)
    assert (content, more["refers_to"]) == (
        {"reason": "halted by the council", "survivors": 0},
        len(world.entries) - 2,
    )


def test_the_death_receipt_has_its_stages_is_signed_and_kept_for_status(world: World) -> None:
    world.script = halts
    world.run()
    meta = world.entry(Entry.DEATH)[1]["meta"]
    assert (meta["vote"], meta["quorum"], meta["block"]) == (1_699_999_990_000, *[1_699_999_999_000] * 2)
    assert meta["seen"] <= meta["frozen"] <= meta["dead"]
    assert (meta["epoch"], meta["mode"], meta["processes"]) == (1, "pidns", 4)
    ((agent, facts),) = world.facts
    assert agent == ALICE
    assert {name: meta[name] for name in facts} == facts
    assert meta == facts | {"signature": "signed"}
    assert world.deaths == [{**facts, "reason": "halted by the council", "signature": "signed"}]
    assert world.step("dead")["signature"] == "signed"


def test_a_halt_of_the_fleet_is_looked_for_in_the_fleets_history(world: World) -> None:
    world.script = lambda world: world.say({FLEET: State.HALTED})
    assert world.run() == 8
    assert "look for the halt of the fleet up to 8" in world.deeds
    assert world.step("dead")["reason"] == "the whole fleet is halted by the council"


def test_a_freeze_and_a_thaw_are_recorded_and_told_in_order(world: World) -> None:
    def script(world: World) -> None:
        world.say(halt_votes=1)
        world.until("frozen")
        world.say()
        world.until("thawed")
        ends(0)(world)

    world.script = script
    world.run()
    assert world.told == ["started", "frozen", "thawed", "exited"]
    assert world.recorded()[2:] == ["freeze", "thaw", "exit"]
    assert world.step("frozen")["reason"] == "1 open vote to halt"


def test_a_chain_that_falls_silent_freezes_and_then_kills_without_any_word(world: World) -> None:
    def script(world: World) -> None:
        world.clock.seconds = 61.0
        world.view.say(Silence("node", "refused"))
        world.until("frozen")
        world.clock.seconds = 92.0

    world.script = script
    assert world.run() == 8
    assert world.told == ["started", "frozen", "halted", "dead"]
    assert "for 30 s" in world.step("dead")["reason"]


def test_a_guard_that_takes_its_time_to_open_its_log_looks_again_before_it_starts_anything(
    world: World,
) -> None:
    def opening(world: World) -> None:
        world.clock.seconds = 61.0
        world.say()

    world.opening, world.script = opening, ends(0)
    assert world.run() == 0
    assert world.told == ["started", "exited"]


def test_a_guard_that_took_its_time_starts_nothing_on_an_old_word(world: World) -> None:
    def opening(world: World) -> None:
        world.clock.seconds = 61.0

    world.opening = opening
    with pytest.raises(GuardError, match="no fresh word from the chain"):
        world.run()
    assert world.lives == []


def test_a_watcher_that_hangs_is_overruled_by_a_second_thread(world: World) -> None:
    def script(world: World) -> None:
        world.hang()
        world.clock.seconds = 61.0
        world.until("frozen")
        world.clock.seconds = 91.0

    world.script = script
    assert world.run() == 8
    assert world.step("dead")["reason"] == "the guard has stopped looking at the chain"


# --- what fails ------------------------------------------------------------------------------------------------------


def test_a_kill_that_fails_is_told_and_tried_again_until_it_is_proven(world: World) -> None:
    world.script = halts
    world.kill_failures = [GuardError("AG406", "It is NOT dead.", "Kill again.")] * 2
    assert world.run() == 8
    assert world.told == ["started", "trouble", "trouble", "halted", "dead"]
    assert world.deeds.count("kill") == 3


def test_a_kill_that_fails_in_a_way_nobody_foresaw_is_tried_again_and_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.script = halts
    world.kill_failures = [OSError("the cgroup is gone") for _ in range(3)]
    assert world.run() == 8
    assert world.deeds.count("kill") == 4
    assert [record.message for record in caplog.records if "cgroup is gone" in record.message] == [
        "alice: the guard failed (OSError: the cgroup is gone); halting"
    ] * 3
    assert world.step("dead")["reason"] == "halted by the council"


def test_a_kill_that_goes_on_failing_is_tried_at_every_look_and_takes_no_processor_for_itself(
    world: World,
) -> None:
    """At once and for ever, it would take the processor from every other kill."""

    def script(world: World) -> None:
        kill, fails_until = world.lives[-1].kill, time.monotonic() + 0.4

        def failing() -> object:
            if time.monotonic() < fails_until:
                world.deeds.append("try")
                raise OSError("the cgroup is gone")
            return kill()

        world.lives[-1].kill = failing  # type: ignore
        halts(world)

    world.script = script
    assert world.run() == 8
    assert 2 < world.deeds.count("try") < 100  # the world's watcher looks every 20 ms


def test_a_freeze_that_fails_in_a_way_nobody_foresaw_kills_the_agent(world: World) -> None:
    def script(world: World) -> None:
        world.lives[-1].freeze = lambda: 1 / 0  # type: ignore
        world.say(halt_votes=1)

    world.script = script
    assert world.run() == 8
    assert world.step("dead")["reason"] == "the guard failed: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("failing", [{Entry.HALT}, {Entry.DEATH}, {Entry.HALT, Entry.DEATH}])
def test_a_log_that_fails_after_the_start_keeps_no_agent_alive_and_is_told(
    world: World, failing: set[Entry]
) -> None:
    world.script, world.failing_entries = halts, failing
    assert world.run() == 8
    assert "kill" in world.deeds
    assert "dead" in world.told
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG513"] * len(
        failing
    )
    if Entry.HALT in failing and Entry.DEATH not in failing:
        assert world.entry(Entry.DEATH)[1]["refers_to"] is None


def test_a_disk_that_never_answers_is_told_and_not_waited_for_endlessly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 0.05)
    world.script, world.stuck_entries = halts, {Entry.DEATH}
    assert world.run() == 8
    assert [step["error"]["code"] for step in world.steps if step["event"] == "trouble"] == ["AG521"]


AWAY = GuardError("AG551", "Could not store 1 entries: the server can't be reached.", "See that it runs.")


def test_a_log_whose_server_is_away_is_waited_for_once_and_not_for_each_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "AWAY_SECONDS", 0.3)
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 3_600.0)

    def goes_away(world: World) -> None:
        world.trouble = AWAY
        world.until("trouble")
        world.stuck_entries = {Entry.HALT, Entry.DEATH}
        halts(world)

    world.script = goes_away
    assert world.run() == 8
    told = [step["error"]["message"] for step in world.steps if step["event"] == "trouble"]
    assert [message.split(":")[0] for message in told] == [
        "Could not store 1 entries",
        "The halt entry is not in the log yet, and is lost if the guard ends before",
        "The death entry is not in the log yet, and is lost if the guard ends before",
    ]
    assert world.flushed_for == 0.3
    assert "kill" in world.deeds


def test_an_outage_of_the_log_is_told_once_and_so_is_its_end(world: World) -> None:
    def comes_back(world: World) -> None:
        world.trouble = AWAY
        world.until("trouble")
        time.sleep(0.3)
        world.trouble = None
        world.until("recording")
        world.lives[0].exit_code = 0

    world.script = comes_back
    assert world.run() == 0
    assert world.told == ["started", "trouble", "recording", "exited"]
    assert world.flushed_for == journal.FLUSH_SECONDS


def test_a_disk_that_never_answers_before_the_start_lets_no_agent_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 0.05)
    world.stuck_entries = {Entry.START}
    with pytest.raises((TimeoutError, GuardError)):
        world.run()
    assert "start" not in world.deeds


def test_a_chain_that_falls_silent_after_the_kill_costs_only_the_stage_times(world: World) -> None:
    world.script, world.halt_error = halts, GuardError("AG201", "no answer.", "Wait.")
    assert world.run() == 8
    dead = world.steps[-1]
    assert (dead["stages_ms"]["vote"], dead["stages_ms"]["block"]) == (None, None)
    assert dead["stages_ms"]["dead"] >= dead["stages_ms"]["seen"]
    assert "vote" not in world.entry(Entry.DEATH)[1]["meta"]


def test_an_anchor_that_fails_at_the_end_is_told_and_changes_no_exit_code(world: World) -> None:
    world.script, world.flush_error = halts, GuardError("AG531", "Not in time.", "Run it again.")
    assert world.run() == 8
    assert world.steps[-1]["error"]["code"] == "AG531"


def test_whatever_goes_wrong_in_the_session_the_container_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_guard.session.session.Session._tick", lambda session: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.run()
    assert world.deeds[-1] == "close"


# --- the operator's own stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_kills_the_agent_first_and_ends_the_run_with_130(
    world: World, number: signal.Signals
) -> None:
    world.script = lambda world: os.kill(os.getpid(), number)
    assert world.run() == 130
    assert world.deeds[3:5] == ["kill", "record halt"]
    assert world.step("dead")["reason"] == "the guard was stopped"
    assert not any(deed.startswith("look for") for deed in world.deeds)
    assert world.told == ["started", "halted", "dead"]
    assert [agent.phase for agent in world.session.report().agents] == ["ended"]


def interrupt(world: World) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_with_a_grace_the_agent_is_told_and_killed_when_the_grace_is_over(world: World) -> None:
    def script(world: World) -> None:
        interrupt(world)
        world.until("stopping")
        assert world.watcher.standing("alice").stopping
        world.clock.seconds = 30.0

    world.script, world.grace, world.limits = script, 30.0, replace(LIMITS, grace=30.0)
    assert world.run() == 130
    assert world.told == ["started", "stopping", "halted", "dead"]
    assert world.deeds[3:6] == ["terminate", "record stopping", "kill"]


@pytest.mark.parametrize("code", [0, 143])
def test_an_agent_that_ends_in_the_grace_of_a_ctrl_c_still_gets_a_death_receipt(
    world: World, code: int
) -> None:
    world.script, world.on_term = interrupt, exits(code)
    world.grace, world.limits = 30.0, replace(LIMITS, grace=30.0)
    assert world.run() == 130
    assert world.told == ["started", "stopping", "halted", "dead"]
    assert world.step("dead")["reason"] == "the guard was stopped"


def test_a_second_ctrl_c_waits_for_no_grace(world: World) -> None:
    def script(world: World) -> None:
        interrupt(world)
        world.until("stopping")
        interrupt(world)

    world.script, world.grace, world.limits = script, 3_000.0, replace(LIMITS, grace=3_000.0)
    assert world.run() == 130
    assert world.told == ["started", "stopping", "halted", "dead"]


def test_a_grace_that_the_watcher_does_not_keep_is_ended_by_the_sessions_own_clock(world: World) -> None:
    """A watcher that hangs must not turn a grace into a life."""

    def script(world: World) -> None:
        world.hang()
        interrupt(world)

    world.script, world.grace, world.limits = script, 0.2, replace(LIMITS, grace=3_000.0)
    assert world.run() == 130
    assert world.step("dead")["reason"] == "the guard was stopped"


def test_a_halt_that_comes_in_the_grace_of_a_ctrl_c_kills_at_once(world: World) -> None:
    def script(world: World) -> None:
        interrupt(world)
        world.until("stopping")
        halts(world)

    world.script, world.grace, world.limits = script, 3_000.0, replace(LIMITS, grace=3_000.0)
    assert world.run() == 8
    assert world.step("dead")["reason"] == "halted by the council"


def test_ctrl_c_while_the_last_entries_wait_for_the_chain_leaves_them_and_says_so(world: World) -> None:
    def flush(timeout: float) -> None:
        interrupt(world)
        raise AssertionError("the wait was not ended")

    world.script, world.flush = ends(0), flush  # type: ignore[method-assign]
    assert world.run() == 0
    assert world.steps[-1]["error"]["code"] == "AG531"


# --- planned stops ---------------------------------------------------------------------------------------------------

PAUSED = {ALICE: State.PAUSED}


def test_a_pause_with_a_grace_is_announced_the_agent_exits_waits_and_starts_again_when_it_may(
    world: World,
) -> None:
    def script(world: World) -> None:
        world.say(PAUSED)
        world.until("waiting")
        assert "start" not in world.deeds[3:]
        world.say()
        world.until("started", times=2)
        ends(0)(world)

    world.script, world.on_term, world.limits = script, exits(143), replace(LIMITS, grace=30.0)
    assert world.run() == 0
    assert world.told == ["started", "stopping", "exited", "waiting", "started", "exited"]
    assert world.recorded() == ["config", "start", "stopping", "exit", "start", "exit"]
    exit_content = world.entries[3][2]
    assert exit_content["exit_code"] == 143
    assert exit_content["stopping"].startswith("paused by a signer")
    assert [deed for deed in world.deeds if deed in ("start", "terminate", "kill", "close")] == [
        "start", "terminate", "close", "start", "close",
    ]  # fmt: skip
    assert len(world.lives) == 2


def test_an_agent_that_is_done_in_the_grace_of_a_pause_is_not_started_again(world: World) -> None:
    world.script, world.on_term = lambda world: world.say(PAUSED), exits(0)
    world.limits = replace(LIMITS, grace=30.0)
    assert world.run() == 0
    assert world.told == ["started", "stopping", "exited"]


def test_an_agent_that_takes_no_notice_of_its_grace_is_frozen_and_goes_on_afterwards(world: World) -> None:
    def script(world: World) -> None:
        world.say(PAUSED)
        world.until("stopping")
        world.clock.seconds = 30.0
        world.until("frozen")
        world.say()
        world.until("thawed")
        ends(0)(world)

    world.script, world.limits = script, replace(LIMITS, grace=30.0)
    assert world.run() == 0
    assert world.told == ["started", "stopping", "frozen", "thawed", "exited"]
    assert len(world.lives) == 1


def test_a_halt_while_an_agent_waits_does_not_start_it_until_the_council_resumes_it(world: World) -> None:
    def script(world: World) -> None:
        world.say(PAUSED)
        world.until("waiting")
        world.say(HALTED)
        world.wait(lambda: world.watcher.standing("alice").verdict.reason == "halted by the council")
        world.say()  # a reorg
        world.resume()
        world.until("started", times=2)
        ends(0)(world)

    world.script, world.on_term, world.limits = script, exits(143), replace(LIMITS, grace=30.0)
    assert world.run() == 0
    assert world.told.count("started") == 2


def test_ctrl_c_while_an_agent_waits_ends_the_run(world: World) -> None:
    def script(world: World) -> None:
        world.say(PAUSED)
        world.until("waiting")
        interrupt(world)

    world.script, world.on_term, world.limits = script, exits(143), replace(LIMITS, grace=30.0)
    assert world.run() == 130
    assert world.told == ["started", "stopping", "exited", "waiting"]


def test_a_start_after_a_planned_stop_that_fails_ends_the_run_with_its_exit_code(world: World) -> None:
    def script(world: World) -> None:
        world.say(PAUSED)
        world.until("waiting")
        world.failing_starts = {"alice": GuardError("AG405", "No such command.", "Install it.")}
        world.say()

    world.script, world.on_term, world.limits = script, exits(143), replace(LIMITS, grace=30.0)
    assert world.run() == GuardError("AG405", "x", "y").exit_code
    assert world.steps[-1]["error"]["code"] == "AG405"


def test_a_halt_with_a_grace_kills_with_a_receipt_though_the_agent_ended_in_it(world: World) -> None:
    """A stop is complete only with a death receipt."""
    world.script, world.on_term = halts, exits(143)
    world.limits = replace(LIMITS, halt_grace=30.0)
    assert world.run() == 8
    assert world.told == ["started", "stopping", "halted", "dead"]
    assert world.step("dead")["reason"] == "halted by the council"
