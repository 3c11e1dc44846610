"""Real containers, real kills. What lives is not asked of the code under test: every process of an agent holds one
pipe, whose end comes only when all are gone."""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.sandbox import container as container_module
from agent_guard.sandbox import probe as probe_module
from agent_guard.sandbox.bubblewrap import gated
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.launch import launch as start
from agent_guard.sandbox.leftovers import remove_stale
from agent_guard.sandbox.mode import Choice, Mode, choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.sandbox.processes import read_process
from agent_guard.sandbox.view import ContainerSpec

pytestmark = pytest.mark.drill

_PRELUDE = """
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
def child(run):
    if os.fork() == 0:
        run()
        os._exit(0)
def beat():
    while True:
        os.write(1, b".")
        time.sleep(0.01)
def hop():
    while os.fork() == 0:
        os.write(1, b".")
def spawn():
    for _ in range(30):
        child(beat)
        time.sleep(0.02)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
"""
TACTICS = {
    "ignores_sigterm": "signal.signal(signal.SIGTERM, signal.SIG_IGN); beat()",
    "setsid": "child(lambda: (os.setsid(), beat())); beat()",
    "double_fork": "child(lambda: child(lambda: (os.setsid(), beat()))); beat()",
    "fork_hop": "child(hop); beat()",
    "clears_pdeathsig": "child(lambda: (libc.prctl(1, 0), os.setsid(), beat())); libc.prctl(1, 0); beat()",
    "threads": "import threading; threading.Thread(target=beat).start(); libc.pthread_exit(None)",
    "spawns_during_kill": "[child(spawn), child(spawn), child(spawn)]; beat()",
    "fork_storm": "[child(beat) for _ in range(200)]; beat()",
}


# What takes longer hangs; how fast a kill is, the benchmark measures.
PATIENCE = 60.0


class Agent:
    """A container running `code`, and the pipe that all its processes hold."""

    def __init__(self, choice: Choice, folder: Path, code: str) -> None:
        self.pipe, write_end = os.pipe()
        argv = (sys.executable, "-I", "-S", "-c", _PRELUDE + code)
        try:
            self.container = start(ContainerSpec(argv, folder), choice, stdout=write_end)
        finally:
            os.close(write_end)

    def beats(self, seconds: float = PATIENCE) -> bool:
        return bool(select.select([self.pipe], [], [], seconds)[0]) and os.read(self.pipe, 65536) != b""

    def drain(self) -> None:
        while select.select([self.pipe], [], [], 0)[0] and os.read(self.pipe, 65536):
            pass

    def ends(self, seconds: float = PATIENCE) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([self.pipe], [], [], 0.05)[0] and os.read(self.pipe, 65536) == b"":
                return True
        return False


@pytest.fixture(params=["cgroup+pidns", "pidns"])
def choice(request: pytest.FixtureRequest) -> Choice:
    found = choose_mode(mountinfo="" if request.param == "pidns" else None)
    if found.mode.value != request.param:
        pytest.skip(found.why)
    return found


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[Choice, str], Agent]]:
    agents: list[Agent] = []

    def start(choice: Choice, code: str) -> Agent:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        agents.append(Agent(choice, folder, code))
        assert agents[-1].beats()
        return agents[-1]

    yield start
    for agent in agents:
        agent.container.close()
        os.close(agent.pipe)


@pytest.mark.parametrize("tactic", TACTICS)
def test_kill_leaves_nothing_whatever_the_agent_tries(
    tactic: str, choice: Choice, launch: Callable[..., Agent]
) -> None:
    agent = launch(choice, TACTICS[tactic])
    time.sleep(0.1)
    death = agent.container.kill()
    assert agent.ends()
    assert agent.container.processes() == []
    assert death.asked_at <= death.killed_at <= death.dead_at
    assert death.processes >= 2
    assert agent.container.wait(0) == 137


def test_kill_in_no_container_ends_what_is_in_the_cgroup(launch: Callable[..., Agent]) -> None:
    choice = choose_mode("none")
    if choice.parent is None:
        pytest.skip(choice.why)
    agent = launch(choice, TACTICS["double_fork"])
    assert agent.container.kill().mode is Mode.NONE
    assert agent.ends()


def test_kill_in_no_container_and_no_cgroup_ends_the_session(launch: Callable[..., Agent]) -> None:
    agent = launch(choose_mode("none", mountinfo=""), "child(beat); beat()")
    agent.container.kill()
    assert agent.ends()


def test_kill_twice_gives_the_same_death(choice: Choice, launch: Callable[..., Agent]) -> None:
    agent = launch(choice, "beat()")
    assert agent.container.kill() is agent.container.kill()


def test_kill_of_an_agent_that_ended_by_itself_finds_nothing(choice: Choice, tmp_path: Path) -> None:
    container = start(ContainerSpec(("/bin/sh", "-c", "exit 7"), tmp_path), choice)
    assert container.wait(PATIENCE) == 7
    assert container.kill().processes == 0


def test_what_the_command_left_behind_ends_with_it(choice: Choice, launch: Callable[..., Agent]) -> None:
    agent = launch(
        choice, "child(lambda: (os.setsid(), libc.prctl(1, 0), beat())); time.sleep(0.2); sys.exit(3)"
    )
    assert agent.container.wait(PATIENCE) == 3
    assert agent.ends()


def test_kill_that_does_nothing_is_reported_as_not_dead(
    choice: Choice, launch: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = launch(choice, "beat()")
    with monkeypatch.context() as patch:
        patch.setattr(Container, "_strike", lambda self: None)
        with pytest.raises(GuardError) as error:
            agent.container.kill(timeout=0.2)
    assert error.value.code == "AG406"
    assert str(agent.container.processes()[0].pid) in error.value.message
    assert agent.container.kill().processes >= 1


def test_kill_goes_on_without_a_freeze(
    choice: Choice, launch: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Container, "_stop", lambda self, timeout: False)
    agent = launch(choice, "beat()")
    assert agent.container.kill().frozen_at is None
    assert agent.ends()


@pytest.mark.parametrize("tactic", ["threads", "fork_hop", "fork_storm"])
def test_frozen_agent_stands_still_and_goes_on_when_thawed(
    tactic: str, choice: Choice, launch: Callable[..., Agent]
) -> None:
    agent = launch(choice, TACTICS[tactic])
    time.sleep(0.3)
    agent.container.freeze(timeout=PATIENCE)
    agent.drain()
    assert not agent.beats(0.2)
    agent.container.thaw()
    assert agent.beats()


def test_agent_that_wakes_itself_by_a_timer_is_stopped_again(launch: Callable[..., Agent]) -> None:
    """Without a cgroup: a timer of its own sends it SIGCONT every 100 ms."""
    wake = """
class Spec(ctypes.Structure):
    int, pad = ctypes.c_int, ctypes.c_long * 8
    _fields_ = [("value", int * 2), ("signo", int), ("notify", int), ("pad", pad)]
signal.signal(signal.SIGCONT, lambda *_: None)
timer, rt = ctypes.c_void_p(), ctypes.CDLL("librt.so.1")
event = Spec(signo=signal.SIGCONT, notify=0)
assert rt.timer_create(1, ctypes.byref(event), ctypes.byref(timer)) == 0
assert rt.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 100_000_000, 0, 100_000_000), None) == 0
beat()
"""
    agent = launch(choose_mode(mountinfo=""), wake)
    agent.container.freeze()
    time.sleep(0.3)

    def heard_in_a_second() -> int:
        agent.drain()
        time.sleep(1)
        return len(os.read(agent.pipe, 65536)) if select.select([agent.pipe], [], [], 0)[0] else 0

    # An agent that runs on writes a hundred in a second; one that can't wake, none. Who stops it may be late at times.
    assert any(0 < heard_in_a_second() < 50 for _ in range(10))
    assert agent.container.kill()
    assert agent.ends()


def test_terminate_lets_the_agent_save_its_work(
    choice: Choice, launch: Callable[..., Agent], tmp_path: Path
) -> None:
    code = "signal.signal(15, lambda *_: (open('saved', 'w').write('all'), os._exit(0))); beat()"
    agent = launch(choice, code)
    agent.container.terminate()
    assert agent.container.wait(PATIENCE) == 0
    assert (tmp_path / "work/saved").read_text() == "all"


def test_frozen_agent_can_be_killed(choice: Choice, launch: Callable[..., Agent]) -> None:
    agent = launch(choice, TACTICS["double_fork"])
    agent.container.freeze()
    agent.container.kill()
    assert agent.ends()


def test_agent_outlives_the_thread_that_started_it(choice: Choice, launch: Callable[..., Agent]) -> None:
    started: list[Agent] = []
    thread = threading.Thread(target=lambda: started.append(launch(choice, "beat()")))
    thread.start()
    thread.join()
    time.sleep(0.2)
    started[0].drain()
    assert started[0].beats()


@pytest.mark.parametrize(("word", "opens"), [(b"go\n", True), (b"", False), (b"no\n", False), (b"go", False)])
def test_gate_opens_for_go_and_for_nothing_else(word: bytes, opens: bool, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate = subprocess.Popen(gated(tmp_path, ["/bin/sh", "-c", "pwd > here"]), stdin=theirs.fileno())
        theirs.close()
        assert ours.recv(9) == b"up\n"
        assert not (tmp_path / "here").exists()
        ours.sendall(word)
    gate.wait(PATIENCE)
    assert (tmp_path / "here").exists() is opens


_GUARD = """
import sys, time
from pathlib import Path
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.view import ContainerSpec
choice = choose_mode(mountinfo="" if sys.argv[1] == "pidns" else None)
agent = launch(ContainerSpec((sys.executable, "-I", "-S", "-c", sys.argv[3]), Path(sys.argv[2])), choice)
if sys.argv[4] == "frozen":
    time.sleep(0.3)
    agent.freeze()
print("up", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_killed_guard_takes_the_agent_with_it(state: str, choice: Choice, tmp_path: Path) -> None:
    pipe, write_end = os.pipe()
    code = _PRELUDE + TACTICS["clears_pdeathsig"]
    argv = [sys.executable, "-c", _GUARD, choice.mode.value, str(tmp_path), code, state]
    root = str(Path(container_module.__file__).parents[2])
    guard = subprocess.Popen(
        argv, stdout=write_end, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    os.close(write_end)
    assert guard.stderr is not None
    assert guard.stderr.readline() == b"up\n"
    guard.kill()
    began = time.monotonic()
    guard.wait()
    agent = Agent.__new__(Agent)
    agent.pipe = pipe
    assert agent.ends(), "the agent outlived its guard"
    print(f"guard killed to agent dead ({state}): {(time.monotonic() - began) * 1000:.1f} ms")  # noqa: T201
    os.close(pipe)
    guard.stderr.close()
    deadline = time.monotonic() + PATIENCE
    while choice.parent is not None and list(choice.parent.glob(f"agent-guard.{guard.pid}.*")):
        remove_stale(choice.parent)  # the pipe ends shortly before the kernel calls the leaf empty
        assert time.monotonic() < deadline


def test_leaf_of_a_guard_that_died_and_is_not_waited_for_is_removed(tmp_path: Path) -> None:
    choice = choose_mode()
    if choice.parent is None:
        pytest.skip(choice.why)
    argv = [
        sys.executable,
        "-c",
        _GUARD,
        choice.mode.value,
        str(tmp_path),
        "import time; time.sleep(60)",
        "running",
    ]
    root = str(Path(container_module.__file__).parents[2])
    guard = subprocess.Popen(argv, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root})
    assert guard.stderr is not None
    assert guard.stderr.readline() == b"up\n"
    named = f"agent-guard.{guard.pid}.*"
    (leaf,) = choice.parent.glob(named)
    remove_stale(choice.parent)
    assert leaf.exists(), "the leaf of a living guard was taken"
    guard.kill()
    os.waitid(os.P_PID, guard.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie from here on
    try:
        dead = read_process(guard.pid)
        assert dead is not None
        assert dead.state == "Z"
        deadline = time.monotonic() + 10
        while leaf.exists():
            remove_stale(choice.parent)
            assert time.monotonic() < deadline, "a zombie was taken for a living guard"
    finally:
        guard.wait()
        guard.stderr.close()


def test_leaf_of_a_living_guard_is_left_alone(launch: Callable[..., Agent]) -> None:
    choice = choose_mode()
    if choice.parent is None:
        pytest.skip(choice.why)
    agent = launch(choice, "beat()")
    assert agent.container.leaf is not None
    remove_stale(choice.parent)
    assert agent.container.leaf.path.exists()
    agent.container.kill()
    assert not agent.container.leaf.path.exists()


def test_probe_reports_what_it_saw(choice: Choice) -> None:
    result = probe(choice)
    assert result.mode is choice.mode
    assert result.survivors == 0
    assert result.processes >= len(probe_module.TACTICS)
    assert result.bubblewrap.startswith("bubblewrap ")
    assert result.freeze_ms > 0
    assert result.kill_ms > 0


def test_probe_goes_red_when_the_kill_does_nothing(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    death = container_module.Death(choice.mode, 1, 2, 3, 4, 9)
    monkeypatch.setattr(Container, "kill", lambda self: death)
    monkeypatch.setattr(probe_module, "_END", 0.2)
    with pytest.raises(GuardError) as error:
        probe(choice)
    assert error.value.code == "AG407"
    assert "outlived" in error.value.message


def test_probe_goes_red_when_the_freeze_does_nothing(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Container) -> int:
        monkeypatch.setattr(probe_module, "_LIMIT", 0.5)  # for the silence that does not come
        return time.monotonic_ns()

    monkeypatch.setattr(Container, "freeze", none)
    with pytest.raises(GuardError) as error:
        probe(choice)
    assert error.value.code == "AG407"
    assert "frozen" in error.value.message


def test_probe_refuses_a_mode_that_contains_nothing() -> None:
    with pytest.raises(GuardError) as error:
        probe(choose_mode("none"))
    assert error.value.code == "AG407"


def test_probe_passes_on_what_bubblewrap_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(GuardError) as error:
        probe(choose_mode())
    assert error.value.code == "AG403"
    assert "No permissions to create new namespace" in error.value.message


def test_missing_bubblewrap_is_an_error_and_no_weaker_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GuardError) as error:
        choose_mode(search=str(tmp_path))
    assert error.value.code == "AG401"
    spec, choice = ContainerSpec(("/bin/true",), tmp_path), choose_mode()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GuardError) as error:
        start(spec, choice)
    assert error.value.code == "AG401"


def test_host_without_cgroup2_gives_the_pid_namespace_and_says_why() -> None:
    choice = choose_mode(mountinfo="")
    assert choice.mode is Mode.PIDNS
    assert "cgroup v2" in choice.why


def test_mode_is_never_lowered_in_silence(tmp_path: Path) -> None:
    with pytest.raises(GuardError) as error:
        start(ContainerSpec(("/bin/true",), tmp_path), Choice(Mode.CGROUP, "wanted", None))
    assert error.value.code == "AG402"
    with pytest.raises(GuardError) as error:
        start(ContainerSpec(("/bin/true",), tmp_path), Choice(Mode.CGROUP, "wanted", tmp_path))
    assert error.value.code == "AG402"


def test_bare_cgroup_freezes_and_tells_populated(tmp_path: Path) -> None:
    choice = choose_mode()
    if choice.parent is None:
        pytest.skip(choice.why)
    leaf = Cgroup.create(choice.parent, f"agent-guard.{os.getpid()}.0.test")
    process = subprocess.Popen(["/bin/sleep", "30"])
    leaf.procs.write_text(str(process.pid))
    assert leaf.populated()
    assert leaf.freeze(PATIENCE)
    assert not leaf.wait_empty(0.05)
    assert not leaf.remove()
    leaf.kill()
    assert leaf.wait_empty(1)
    process.wait()
    assert leaf.remove()
    assert leaf.remove()
    assert leaf.pids() == []
    assert not leaf.populated()
