"""Planned stops and a guard that stands still: work is saved where there is time, and nothing outlives the bound."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.drill

# The limit of 2 s must have struck, not the one of 10 s that holds without a setting.
HANG_BOUND = 9.0
# A task of forty steps, each an action; what it ends with is the digest of all of them, in order. It takes its time
# until somebody hurries it, so that it is stopped in the middle on the slowest machine too.
TASK = """
import hashlib, os, time
from agent_guard.sdk import Guard
guard = Guard()
with guard.checkpoint("task.json", {"next": 0, "digest": ""}) as state:
    while state["next"] < 40:
        with guard.action("step", number=state["next"]) as action:
            time.sleep(0 if os.path.exists("hurry") else 0.5)
            action.result = state["next"]
        state["digest"] = hashlib.sha256(f"{state['digest']}{state['next']}".encode()).hexdigest()
        state["next"] += 1
        print("step", flush=True)
print("digest", state["digest"], flush=True)
"""


def said(run: Any) -> list[str]:
    run.events_so_far()
    return [step["line"] for step in run.told if step.get("event") == "said"]


def result_of(run: Any) -> str:
    (run.work / "hurry").touch()
    assert run.code() == 0
    run.events()
    (line,) = [line for line in said(run) if line.startswith("digest")]
    return line


def test_task_that_a_pause_interrupts_goes_on_from_its_checkpoint_to_the_same_result(drill, guard):
    first = guard(drill, command=(sys.executable, "-c", TASK))
    whole = result_of(first)
    (first.work / "hurry").unlink()

    run = guard(drill, "", "--grace", "30", command=(sys.executable, "-c", TASK))
    run.event("said")
    drill.vote("pause", "indexer", "signer1")

    run.event("stopping")
    assert run.event("exited")["exit_code"] == 75  # saved, not done
    run.event("waiting")
    run.event("started")  # the pause is over
    assert result_of(run) == whole
    audited = drill.cli.ask("audit", "indexer")
    assert audited["result"] == "VERIFIED"


def test_pause_freezes_an_agent_that_does_not_leave_in_its_grace_and_lets_it_go_on(drill, guard):
    run = guard(drill, "resist(); beat()", "--grace", "3")

    drill.vote("pause", "indexer", "signer1")

    run.event("stopping")
    assert run.beats()
    run.event("frozen")
    assert run.stands_still()
    run.event("thawed")
    assert run.beats()


def test_halt_with_a_grace_kills_when_it_is_over_and_one_without_at_once(drill, guard):
    run = guard(drill, "resist(); beat()", "--halt-grace", "5", AGENT_GUARD_FREEZE_ON_VOTE="false")
    began = time.monotonic()

    drill.vote("halt", "indexer", "signer1", "signer2")

    run.event("stopping")
    assert run.beats()
    dead = run.event("dead")
    assert time.monotonic() - began >= 5
    assert (run.code(), run.alive()) == (8, [])
    assert dead["reason"] == "halted by the council"


def test_agent_that_leaves_in_the_grace_of_a_halt_is_dead_on_record_and_stays_off(drill, guard):
    command = (sys.executable, "-c", TASK)
    run = guard(drill, "", "--halt-grace", "30", command=command, AGENT_GUARD_FREEZE_ON_VOTE="false")
    run.event("said")

    drill.vote("halt", "indexer", "signer1", "signer2")

    run.event("dead")
    assert run.code() == 8
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


def test_ctrl_c_grants_the_grace_and_a_second_one_none(drill, guard):
    run = guard(drill, "resist(); beat()", "--grace", "30")

    run.kill(signal.SIGINT)
    run.event("stopping")
    assert run.beats()
    began = time.monotonic()
    run.kill(signal.SIGINT)

    run.event("dead")
    assert time.monotonic() - began < 20
    assert (run.code(), run.alive()) == (130, [])


def test_guard_that_stands_still_has_its_agent_killed_within_the_limit_and_says_so_afterwards(
    drill, guard, until
):
    run = guard(drill, "resist(); beat()", AGENT_GUARD_HANG_LIMIT="2")
    until("all its children", lambda: len(run.alive()) >= 6)

    run.kill(signal.SIGSTOP)
    try:
        until("the agent's end", lambda: not run.alive(), HANG_BOUND)
    finally:
        run.kill(signal.SIGCONT)

    assert "stood still" in run.event("dead")["reason"]
    assert run.code() == 8
    assert drill.cli.ask("audit", "indexer")["death"] is not None


def test_guard_that_stands_still_for_a_moment_harms_no_healthy_work(drill, guard):
    run = guard(drill, "beat()", AGENT_GUARD_HANG_LIMIT="8")

    for _ in range(3):
        run.kill(signal.SIGSTOP)
        time.sleep(0.7)
        run.kill(signal.SIGCONT)
        time.sleep(0.3)

    assert run.beats()
    assert run.events_so_far()[-1] in ("started", "frozen", "thawed")


def test_deadman_that_is_killed_is_replaced_and_still_kills(drill, guard, until):
    run = guard(drill, "beat()", AGENT_GUARD_HANG_LIMIT="2")
    (deadman,) = deadmen(run.process.pid)

    os.kill(deadman, signal.SIGKILL)
    until("another deadman", lambda: deadmen(run.process.pid) not in ([], [deadman]))
    assert run.beats()
    run.kill(signal.SIGSTOP)
    try:
        until("the agent's end", lambda: not run.alive(), HANG_BOUND)
    finally:
        run.kill(signal.SIGCONT)


def deadmen(guard: int) -> list[int]:
    """The guard's children that hold the deadman's program."""
    children = [
        word for path in Path(f"/proc/{guard}/task").glob("*/children") for word in read(path).split()
    ]
    return [
        int(child) for child in children if b"def strike" in read(Path(f"/proc/{child.decode()}/cmdline"))
    ]


def read(path: Path) -> bytes:
    """What a file of /proc holds; nothing, if the thread or process has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


# ------------------------------------------------------------------------------------------------------------- fleets


def fleet(town: Any, agents: dict[str, list[str]]) -> Any:
    lines = [f"[agents.{name}]\ncommand = {command!r}\n" for name, command in agents.items()]
    path = town.folder / "fleet.toml"
    path.write_text("\n".join(lines))
    return path


def test_one_guard_holds_a_fleet_and_each_agent_has_its_own_fate(drill, fleet_run, until):
    for name in ("alpha", "beta"):
        drill.register(name)
    run = fleet_run(
        drill, fleet(drill, {name: ["sleep", "600.125"] for name in ("indexer", "alpha", "beta")})
    )
    for _ in range(3):
        run.event("started")

    drill.vote("halt", "alpha", "signer1", "signer2")
    assert run.event("dead")["agent"] == "alpha"
    assert drill.cli.ask("status", "beta")["guard"]["verdict"] == "run"

    # The others go on, so a resume that is final lets it live again, in the same guard.
    drill.vote("resume", "alpha", "signer1", "signer2")
    resume = ("vote", "resume", "alpha", "--account", "signer1", "--yes")
    until("the resume's delay", lambda: drill.cli(*resume, expect=None).code == 0)
    assert run.event("started")["agent"] == "alpha"

    drill.vote("halt", "--all", "signer1", "signer2")
    dead = {run.event("dead")["agent"] for _ in range(3)}
    assert dead == {"indexer", "alpha", "beta"}
    assert run.code() == 8
    assert run.alive() == []
    kinds = [row["kind"] for row in drill.cli.ask("log", "list", "alpha")["rows"]]
    assert [kind for kind in kinds if kind != "freeze"][-4:] == ["resume", "start", "halt", "death"]
    for name in ("indexer", "alpha", "beta"):
        assert drill.cli.ask("audit", name)["result"] == "VERIFIED"


def test_fleet_of_which_one_agent_may_not_run_starts_the_others_and_waits_with_it(drill, fleet_run):
    drill.register("alpha")
    drill.vote("halt", "alpha", "signer1", "signer2")
    run = fleet_run(drill, fleet(drill, {"indexer": ["sleep", "600.125"], "alpha": ["sleep", "600.125"]}))

    assert run.told_of("started")["agent"] == "indexer"
    assert run.told_of("trouble")["error"]["code"] == "AG421"
    run.kill(signal.SIGINT)
    assert run.code() == 130
    assert run.alive() == []


def test_fleets_file_with_problems_names_them_all_and_starts_nothing(drill):
    path = drill.folder / "fleet.toml"
    path.write_text('[agents.a]\ncommand = []\n[agents.b]\nnet = "moon"\nwhat = 1\n')
    message = drill.cli.fails("AG102", 2, "run", "--config", path, "--account", "operator")["message"]
    for problem in ("agents.a.command", "agents.b.command", "agents.b.net", "agents.b.what"):
        assert problem in message


@pytest.mark.timeout(900)
def test_two_hundred_real_agents_are_held_by_one_guard_and_one_vote_stops_them_all(drill, fleet_run, until):
    names = [f"agent-{number}" for number in range(200)]
    for name in names:
        drill.register(name)
    run = fleet_run(drill, fleet(drill, {name: ["sleep", "600.125"] for name in names}))
    started = {run.event("started")["agent"] for _ in names}
    assert started == set(names)
    until("all of them", lambda: len(run.alive()) >= 200)

    drill.vote("halt", "--all", "signer1", "signer2")

    until("the end of all of them", lambda: not run.alive(), 120)
    dead = [run.event("dead") for _ in names]
    assert {one["agent"] for one in dead} == set(names)
    assert {one["survivors"] for one in dead} == {0}
    assert run.code(120) == 8
