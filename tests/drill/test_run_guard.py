"""What happens when the guard itself ends, in order or not, and what it refuses to start."""

import json
import os
import shutil
import signal as signals
import subprocess
import threading
import time
from pathlib import Path

import pytest

from agent_guard.chain.view import ChainView, Pace

pytestmark = pytest.mark.drill

RUN = ("run", "indexer", "--account", "operator", "--", "true")


def test_guard_that_is_killed_takes_the_agent_along(drill, guard, until):
    run = guard(drill, "resist(); beat()")
    until("all its children", lambda: len(run.alive()) >= 6)

    run.kill()

    until("the agent's end", lambda: run.alive() == [])
    # The chain had no word of it, and the next run goes on with the same log.
    run = guard(drill, "sys.exit(0)")
    assert run.code() == 0
    assert run.events()[:2] == ["found_dead", "started"]
    audited = drill.cli.ask("audit", "indexer")
    assert audited["result"] == "VERIFIED"
    assert "found dead" in audited["obedience"]["detail"]
    assert "the moment of death is not known" in audited["obedience"]["detail"]
    assert audited["limits"]["recorded"] == {
        "entry": 3,
        "tail_entries": 10_000,
        "tail_seconds": 600,
        "silence_seconds": 600,
        "overrun_seconds": 124,
    }
    kinds = [row["kind"] for row in drill.cli.ask("log", "list", "indexer")["rows"]]
    assert kinds == ["config", "start", "death", "config", "start", "exit"]


def killed_and_halted(drill, guard, until):
    """The council halts an agent whose guard was killed a moment before."""
    run = guard(drill, "resist(); beat()")
    until("all its children", lambda: len(run.alive()) >= 6)
    run.kill()
    until("the agent's end", lambda: run.alive() == [])
    assert drill.cli.ask("audit", "indexer", expect=None)["death"] is None
    drill.vote("halt", "indexer", "signer1", "signer2")
    # Anvil's blocks of one second bear the next ones: a finding before the halt's time would be none after it.
    halted = drill.connection.endpoint.block().timestamp
    until("the host's clock to pass the halt's block", lambda: time.time() > halted + 0.1)


def test_life_whose_guard_was_killed_is_found_dead_though_the_agent_may_not_run_any_more(drill, guard, until):
    killed_and_halted(drill, guard, until)
    open_end = drill.cli.ask("audit", "indexer", expect=6)
    assert "no death receipt for the life that began with entry 1" in open_end["obedience"]["detail"]

    said = drill.cli("run", "indexer", "--account", "operator", "--json", "--", "true", expect=8).stdout
    step, _, error = said.partition("\n")
    assert json.loads(step)["event"] == "found_dead"
    assert json.loads(error)["error"]["code"] == "AG421"

    audited = drill.cli.ask("audit", "indexer")
    assert (audited["result"], audited["anchored"]) == ("VERIFIED", audited["entries"])
    assert (audited["death"]["dead"], audited["overrun_ms"]) == (None, None)
    assert 0 < audited["overrun_at_most_ms"] < 120_000
    assert audited["death"]["found"] / 1000 == pytest.approx(time.time(), abs=60)
    (status,) = drill.cli.ask("status", "indexer", expect=None)["rows"]
    assert (status["death"]["signed"], status["death"]["life"]) == (True, 1)
    # It was recorded, and is recorded no second time.
    assert refused(drill, "AG421", 8)


def test_life_that_may_have_outlasted_the_halt_for_too_long_is_not_verified(drill, guard, until):
    killed_and_halted(drill, guard, until)
    drill.cli("run", "indexer", "--account", "operator", "--", "true", expect=8)

    bound = drill.cli.ask("audit", "indexer")["overrun_at_most_ms"]
    audited = drill.cli.ask("audit", "indexer", "--max-overrun", str((bound - 1) / 1000), expect=6)

    assert audited["obedience"]["result"] == "INDETERMINATE"
    assert "nothing shows that it was dead sooner" in audited["obedience"]["detail"]


@pytest.mark.parametrize("halted", [False, True], ids=["may run", "halted"])
def test_life_that_outlived_its_guard_is_ended_by_the_next_and_found_dead(drill, guard, until, halted):
    run = guard(drill, "beat()")
    if json.loads(note(drill).read_text())["mark"]["mode"] != "cgroup+pidns":
        pytest.skip("no cgroup to be had here")
    run.kill()
    run.process.wait()  # a zombie is not gone
    until("the agent's end", lambda: run.alive() == [])
    # What a guard without a deadman would have left: a process, in a leaf whose guard is gone.
    life = json.loads(note(drill).read_text())
    leaf = Path(life["mark"]["leaf"] + "-left")  # another: the deadman may not be done with its own
    leaf.mkdir()
    left = subprocess.Popen(["sleep", "60"])
    try:
        (leaf / "cgroup.procs").write_text(str(left.pid))
        life["mark"] |= {"leaf": str(leaf), "leaf_inode": leaf.stat().st_ino}
        note(drill).write_text(json.dumps(life))
        if halted:
            drill.vote("halt", "indexer", "signer1", "signer2")

        code, events = (8, ["found_dead"]) if halted else (0, ["found_dead", "started", "exited"])
        said = drill.cli(
            "run", "indexer", "--account", "operator", "--json", "--", "true", expect=code
        ).stdout
        told = [json.loads(line)["event"] for line in said.splitlines() if '"event"' in line]
        assert [event for event in told if event in ("found_dead", "trouble", "started", "exited")] == events
        assert left.wait(60) == -signals.SIGKILL
    finally:
        left.kill()
        left.wait()


def note(drill):
    (path,) = drill.folder.glob("home/devnet/agents/indexer/life-*.json")
    return path


def test_life_of_which_nothing_proves_the_death_is_not_called_dead(drill, guard, until):
    run = guard(drill, "beat()", "--sandbox", "none")
    run.kill()
    until("the agent's end", lambda: run.alive() == [])

    run = guard(drill, "sys.exit(0)")

    assert run.code() == 0
    assert next(step for step in run.told if step.get("event") == "trouble")["error"]["code"] == "AG584"
    assert "death" not in [row["kind"] for row in drill.cli.ask("log", "list", "indexer")["rows"]]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_guard_that_is_told_to_end_kills_anchors_and_ends_with_130(drill, guard, signal):
    run = guard(drill, "resist(); beat()")

    run.kill(signals.Signals[signal])

    assert run.code() == 130
    assert run.events() == ["started", "halted", "dead"]
    assert run.told[-1]["reason"] == "the guard was stopped"
    assert run.alive() == []
    audited = drill.cli.ask("audit", "indexer")
    assert (audited["result"], audited["death"] is not None) == ("VERIFIED", True)
    status = drill.cli.ask("status", "indexer")
    assert (status["may_run"], status["guard"]["alive"]) == (True, False)


def test_signal_that_comes_just_before_a_wait_ends_does_not_make_it_endless():
    """Python's SimpleQueue waits for ever if a signal's handler outlasts its time-out."""
    view = ChainView([], [], Pace(poll=1.0))
    timers = (
        threading.Timer(0.05, os.kill, (os.getpid(), signals.SIGUSR1)),
        threading.Timer(60, view.wake),
    )
    before = signals.signal(signals.SIGUSR1, lambda *_: time.sleep(0.2))
    began = time.monotonic()
    try:
        for timer in timers:
            timer.start()
        assert view.read(0.1) == []
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()  # its signal must not come when nobody handles it any more
        signals.signal(signals.SIGUSR1, before)

    assert time.monotonic() - began < 30


def test_second_guard_on_the_same_log_is_refused_and_the_first_goes_on(drill, guard):
    run = guard(drill)
    drill.register("other")

    command = ("run", "other", "--account", "operator", "--", "true")
    error = drill.cli.fails("AG511", 1, *command)

    assert "Nothing" in error["message"]
    assert run.beats()
    assert run.process.poll() is None


def _written(home):
    """Files and when they were written, but for the kept halts."""
    paths = (path for path in home.rglob("*") if path.is_file() and path.parent.name != "latches")
    return {path: path.stat().st_mtime_ns for path in paths}


def refused(town, code, exit_code, *command, **environ):
    """A run that must not start: nothing sent, nothing alive, and nothing written but a halt that was seen."""
    home, sent = town.folder / "home", town.sent()
    before = _written(home)
    error = town.cli.fails(code, exit_code, *(command or RUN), **environ)
    assert town.sent() == sent
    assert _written(home) == before
    return error["message"]


def test_unregistered_halted_retired_and_paused_agents_are_not_started(drill):
    assert "'nobody'" in refused(drill, "AG311", 1, "run", "nobody", "--account", "operator", "--", "true")
    drill.vote("pause", "indexer", "signer1")
    assert "paused" in refused(drill, "AG421", 8)
    drill.vote("halt", "indexer", "signer1", "signer2")
    assert "halted by the council" in refused(drill, "AG421", 8)
    drill.vote("retire", "indexer", "signer1", "signer2", "signer3")
    assert "retired" in refused(drill, "AG421", 8)


def test_open_vote_and_halted_fleet_start_nothing(drill):
    drill.vote("halt", "indexer", "signer1")
    assert "1 open vote" in refused(drill, "AG421", 8)
    drill.vote("halt", "--all", "signer1", "signer2")
    assert "the whole fleet is halted" in refused(drill, "AG421", 8)


def test_another_operators_key_starts_nothing(drill):
    message = refused(drill, "AG420", 4, "run", "indexer", "--account", "signer1", "--", "true")

    assert drill.address("operator") in message


def test_no_key_and_a_wrong_password_start_nothing(drill):
    refused(drill, "AG301", 4, "run", "indexer", "--", "true")
    wrong = drill.folder / "wrong"
    wrong.write_text("x\n")
    refused(
        drill, "AG303", 4, "run", "indexer", "--account", "operator", "--password-file", wrong, "--", "true"
    )


def test_chain_that_can_not_be_reached_starts_nothing(drill):
    assert "127.0.0.1:1" in refused(drill, "AG201", 6, ETH_RPC_URL="http://127.0.0.1:1")


def test_chain_whose_newest_block_is_old_or_from_the_future_starts_nothing(town, until):
    town.register("indexer")

    def age() -> float:
        """Anvil's clock, which earlier tests moved forth and back, may be ahead of the host's or behind."""
        return time.time() - town.connection.endpoint.block().timestamp

    until("a block of another time", lambda: abs(age()) > 1)
    assert "no fresh word" in refused(town, "AG421", 8, AGENT_GUARD_MAX_BLOCK_AGE="0.5")
    town.pass_time(max(0, 600 + int(age())))
    assert age() < -500
    assert "no fresh word" in refused(town, "AG421", 8)


def test_without_bubblewrap_nothing_is_started_and_doctor_says_so(drill, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "setpriv"):
        (programs / name).symlink_to(shutil.which(name) or name)

    assert "bwrap" in refused(drill, "AG401", 1, PATH=str(programs))
    rows = {
        row["check"]: row for row in drill.cli("doctor", "--json", expect=1, PATH=str(programs)).json["rows"]
    }
    assert (rows["bubblewrap"]["level"], rows["trial kill"]["level"]) == ("fail", "fail")
    assert "apt-get install bubblewrap" in rows["bubblewrap"]["remedy"]


def test_doctor_on_this_host_passes_with_a_real_kill(drill):
    said = drill.cli("doctor", "--json", expect=None)

    rows = {row["check"]: row for row in said.json["rows"]}
    assert rows["trial kill"]["level"] in ("ok", "warn"), rows
    assert "0 survivors" in rows["trial kill"]["detail"]
    assert {"python", "home", "council", "clock", "keys", "anvil"} <= set(rows)
    assert all(row["remedy"] for row in rows.values() if row["level"] != "ok")
    assert said.code == (1 if any(row["level"] == "fail" for row in rows.values()) else 0)


def test_command_that_is_not_there_and_a_variable_that_is_not_set_start_nothing(drill):
    command = ("run", "indexer", "--account", "operator", "--json")
    outcome = drill.cli(*command, "--", "/no/such/program", expect=2)
    assert '"AG405"' in outcome.stdout
    assert '"started"' not in outcome.stdout
    refused(drill, "AG101", 2, *command[:-1], "--env", "NOT_SET_ANYWHERE", "--", "true")


@pytest.mark.parametrize("shown", ["home", "deployments/devnet/keystores", "."], ids=["home", "keys", "all"])
def test_guards_own_folders_are_never_shown_to_the_agent(drill, shown):
    (drill.folder / "home").mkdir(exist_ok=True)
    path = drill.folder / shown
    command = ("run", "indexer", "--account", "operator", "--json", "--ro", path, "--", "true")

    outcome = drill.cli(*command, expect=2)

    assert '"AG404"' in outcome.stdout
    assert '"started"' not in outcome.stdout


def test_without_a_container_the_run_says_so_aloud(drill):
    outcome = drill.cli("run", "indexer", "--account", "operator", "--sandbox", "none", "--", "true")

    assert "WARNING" in outcome.stderr
    assert "may outlive a halt" in outcome.stderr
    assert "(none)" in outcome.stdout
    assert Path(drill.folder / "home").stat().st_mode & 0o077 == 0
