"""The drills themselves, a part of them, once each; and that their measuring can fail: stops that are no good are seen
to be, and so is this guard when its kill does nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_guard.drill import evidence, survivors
from agent_guard.drill.catalogue import PLACEMENTS, Harm, named, placed
from agent_guard.drill.exercise import Plan, exercise, plan
from agent_guard.drill.host import ROOT, USER
from agent_guard.drill.result import Result, Trial
from agent_guard.sandbox.processes import read_process

pytestmark = pytest.mark.drill

OUTLIVING = [
    "replace-script",
    "ignore-sigterm",
    "new-session",
    "double-fork",
    "fork-hop",
    "fork-storm",
    "respawn",
]
MEDDLING = ["stop-guard", "write-settings", "write-log", "read-key", "replace-socket"]
ASKING = ["forge-calls", "flood-log", "leave-cgroup", "trace-init"]
JOBS = 2
# A guard that freezes, says that it killed, and did not: the mistake that the drills must be able to see.
BROKEN = """
from agent_guard.drill import post
from agent_guard.sandbox.container import Container, Death
Container.kill = lambda self, timeout=10.0: Death(self.mode, 1, 2, 3, 4, 9)
post.main()
"""


def take(planned: Plan, post: tuple[str, ...] = ("-s", "-m", "agent_guard.drill.post")) -> Result:
    result = exercise(planned, JOBS, lambda trial: None, post)
    assert [trial for trial in result.trials if trial.failure] == []
    return result


def only(planned: Plan, user: str) -> Plan:
    """The same trials, all with this user's guard."""
    if user not in planned.means.users:
        pytest.skip(f"no guard of {user} can be had here")
    trials = [(drill, place, user) for drill, place, _ in planned.trials if not place.two_users]
    return Plan(planned.n, planned.host, planned.means, trials, planned.skips)


def by_drill(result: Result, placement: str) -> dict[str, Trial]:
    return {trial.drill: trial for trial in result.trials if trial.placement == placement}


@pytest.fixture(scope="module")
def outliving() -> Result:
    """Every stop against the tactics that outlive stops."""
    return take(plan(named(OUTLIVING), PLACEMENTS, 1))


@pytest.mark.parametrize("placement", ["pidns", "guard"])
def test_nothing_outlives_this_guard(outliving: Result, placement: str) -> None:
    trials = by_drill(outliving, placement)
    assert [name for name, trial in trials.items() if trial.survived] == []
    assert {name for name, trial in trials.items() if trial.attempted} == {*OUTLIVING} - {"replace-script"}
    assert outliving.failure() is None


def test_a_signal_is_outlived_by_whoever_is_not_that_process(outliving: Result) -> None:
    survived = {name for name, trial in by_drill(outliving, "signal").items() if trial.survived}
    assert survived == {"new-session", "double-fork", "fork-hop", "fork-storm", "respawn"}


def test_a_survivor_is_found_by_its_mark_and_heard_by_its_beat(outliving: Result) -> None:
    trial = by_drill(outliving, "signal")["double-fork"]
    assert trial.alive == 1
    assert trial.beats > 0
    # A hop takes two milliseconds: a look at /proc may miss it, the pipe does not.
    assert by_drill(outliving, "signal")["fork-hop"].beats > 0


@pytest.mark.parametrize(
    ("leaf", "left"), [("0::", False), ("agent-guard.1.1.no-such-leaf", True), ("", None)]
)
def test_a_process_outside_of_its_agents_cgroup_is_seen(leaf: str, left: bool | None) -> None:
    own = read_process(os.getpid())
    assert own is not None
    assert evidence.before_stop(Harm.CGROUP, False, leaf, [own]) is left


def test_a_script_in_the_agents_hands_stops_no_agent_that_replaced_it(outliving: Result) -> None:
    trial = by_drill(outliving, "script")["replace-script"]
    assert trial.survived
    assert trial.stop == "the script ended with code 0"


def test_another_users_kill_is_outlived_by_who_is_nobodys_child(outliving: Result) -> None:
    trials = by_drill(outliving, "other-user")
    if not trials:
        pytest.skip("needs root")
    assert trials["double-fork"].survived
    assert trials["fork-hop"].survived
    assert not trials["new-session"].survived


def test_a_storm_ends_at_the_limit_of_processes_in_a_container(outliving: Result) -> None:
    assert "the drill's own limit" in by_drill(outliving, "signal")["fork-storm"].words
    for placement in ("pidns", "guard"):
        words = by_drill(outliving, placement)["fork-storm"].words
        assert "Resource temporarily unavailable" in words
        assert 30 < int(words.split()[0]) < 64


@pytest.mark.parametrize("user", [ROOT, USER])
def test_what_is_the_guards_is_reached_by_its_own_user_and_never_in_this_guard(user: str) -> None:
    result = take(only(plan(named(MEDDLING), placed(["signal", "guard"]), 1), user))
    assert {name for name, trial in by_drill(result, "signal").items() if trial.reached} == {*MEDDLING}
    guarded = by_drill(result, "guard").values()
    assert [trial.drill for trial in guarded if trial.reached or trial.survived] == []
    assert all(trial.attempted for trial in guarded)


@pytest.mark.parametrize("user", [ROOT, USER])
def test_forging_flooding_and_moving_out_reach_nothing_in_this_guard(user: str) -> None:
    result = take(only(plan(named(ASKING), placed(["guard"]), 1), user))
    trials = by_drill(result, "guard")
    assert [name for name, trial in trials.items() if trial.reached or trial.survived] == []
    assert all(trial.attempted for trial in trials.values())
    assert "28 answers" in trials["forge-calls"].words


def test_a_guard_whose_kill_does_nothing_is_found_out(tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text(BROKEN)
    planned = plan(named(["ignore-sigterm", "double-fork"]), placed(["guard"]), 1)

    result = take(planned, ("-s", str(program)))

    assert [trial.survived for trial in result.trials] == [True, True]
    assert all("9 processes, none left" in trial.stop for trial in result.trials), "it says that all is well"
    failure = result.failure()
    assert failure is not None
    assert failure.code == "AG450"


def test_a_guard_that_cannot_start_its_agent_shows_nothing(tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text("import sys; sys.exit('no guard today')")
    planned = plan(named(["ignore-sigterm"]), placed(["guard"]), 1)

    result = exercise(planned, JOBS, lambda trial: None, ("-s", str(program)))

    assert "no guard today" in result.trials[0].failure
    failure = result.failure()
    assert failure is not None
    assert failure.code == "AG454"


# ----------------------------------------------------------------------------------------------- leaving nothing behind


def bearing(word: str) -> list[int]:
    """Processes that have this in their arguments or environment, this one left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in text and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def until(happened: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process_behind(socket_folder: Path, signum: int) -> None:
    folder = socket_folder
    folder.chmod(0o755)  # agents of other users must get through
    command = [sys.executable, "-m", "agent_guard", "drill", "run", "fork-storm"]
    process = subprocess.Popen(
        [
            *command,
            "--placement",
            "signal",
            "--placement",
            "guard",
            "--n",
            "20",
            "-o",
            str(folder / "result.json"),
        ],
        env={**os.environ, "TMPDIR": str(folder), "AGENT_GUARD_HOME": str(folder / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(lambda: len(bearing("DRILL_DEADLINE")) > 20 and len(bearing(str(folder))) > 20)

    process.send_signal(signum)

    assert process.wait(120) == (130 if signum == signal.SIGINT else -signal.SIGKILL)
    until(lambda: bearing(f"{folder}/agent-guard-drill") == [], 5 if signum == signal.SIGINT else 60)
    assert not (folder / "result.json").exists()
    if signum == signal.SIGINT:
        assert list(folder.glob("agent-guard-drill-*")) == []


def test_a_process_whose_main_thread_has_ended_is_found_and_ended() -> None:
    mark = f"mark-{time.monotonic_ns()}"
    code = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(30,)).start()\n"
    process = subprocess.Popen([sys.executable, "-c", code + "ctypes.CDLL(None).pthread_exit(None)", mark])
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: ") Z " in stat.read_text())
    try:
        assert [found.pid for found in survivors.marked(mark)] == [process.pid]
        assert survivors.end(mark, 60) == []
    finally:
        process.kill()
        process.wait()


def test_a_mark_in_the_environment_alone_is_found_and_another_is_not() -> None:
    mark = f"mark-{time.monotonic_ns()}"
    process = subprocess.Popen(["/bin/sleep", "30"], env={"MARK": mark})
    try:
        until(lambda: [found.pid for found in survivors.marked(mark)] == [process.pid])
        assert survivors.marked(mark + "0") == []
    finally:
        process.kill()
        process.wait()
    assert survivors.marked(mark) == []


# ------------------------------------------------------------------------------- services that most test hosts have not


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[str]]:
    """What one of the tactics that delegate says, with this in front of it."""

    def go(tactic: str, before: str = "", **environ: str) -> list[str]:
        code = f"from agent_guard.drill.agent import delegating, striking\n{before}\n{tactic}()"
        told = {**os.environ, "DRILL_DEADLINE": str(time.monotonic() + 30), **environ}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=told,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.splitlines()

    return go


def test_docker_is_reached_where_its_socket_takes_a_connection(
    ask: Callable[..., list[str]], socket_folder: Path
) -> None:
    import socket

    path = socket_folder / "docker.sock"
    assert ask("delegating.docker", f"delegating.DOCKER_SOCKETS = ({str(path)!r},)")[0].startswith(
        "attempted"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        said = ask("delegating.docker", f"delegating.DOCKER_SOCKETS = ({str(path)!r},)")
    assert said[0] == f"reached {path}"


def test_sshd_is_reached_where_it_says_its_name(ask: Callable[..., list[str]]) -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = f"delegating.SSH = {listener.getsockname()!r}"
        answer = threading.Thread(target=lambda: listener.accept()[0].sendall(b"SSH-2.0-Test\r\n"))
        answer.start()
        assert ask("delegating.ssh", before)[0].startswith("reached")
        answer.join()
    assert ask("delegating.ssh", before)[0].startswith("attempted")


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        ("echo 'no crontab for agent' >&2; exit 1", True),
        ("exit 0", True),
        ("echo 'not allowed' >&2; exit 1", False),
    ],
)
def test_cron_is_reached_where_crontab_would_take_a_table(
    ask: Callable[..., list[str]], tmp_path: Path, answer: str, reached: bool
) -> None:
    (tmp_path / "crontab").write_text(f'#!/bin/sh\n[ "$*" = -l ] || touch {tmp_path}/installed\n{answer}\n')
    (tmp_path / "crontab").chmod(0o755)
    said = ask("delegating.cron", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert said[0].startswith("reached") is reached
    assert said[-1].startswith("attempted")
    assert not (tmp_path / "installed").exists()


def test_json_of_a_run_is_one_object_with_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    command = [
        sys.executable,
        "-m",
        "agent_guard",
        "drill",
        "run",
        "ignore-sigterm",
        "--placement",
        "guard",
        "--n",
        "1",
    ]
    done = subprocess.run(
        [*command, "-o", str(path), "--json"], capture_output=True, text=True, timeout=240, check=True
    )
    said = json.loads(done.stdout)
    assert (said["rows"][0]["attempted"], said["rows"][0]["survived"], said["file"]) == (1, 0, str(path))
    assert done.stderr == ""
