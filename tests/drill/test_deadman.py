"""The process that kills what the guard holds once the guard is gone or silent: real processes, really killed.

What lives is asked of the kernel: a process ended when its pidfd says so, and by a signal when its parent hears that.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.sandbox import deadman as module
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.keeper import wait_exit
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.view import ContainerSpec

pytestmark = pytest.mark.drill

ROOT = Path(__file__).parents[2]
# What takes longer hangs. A limit of 3 s is one that this process, busy machine or not, does not miss by chance.
SECONDS = 60.0


class Victim:
    """A process that a deadman may hold; `alive` asks the kernel."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(command or ("sleep", "60"), start_new_session=True)
        self.pidfd = os.pidfd_open(self.process.pid)

    def killed(self, seconds: float = SECONDS) -> bool:
        return wait_exit(self.pidfd, seconds) and self.process.wait() == -signal.SIGKILL

    def lives_on(self, seconds: float) -> bool:
        return not wait_exit(self.pidfd, seconds)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.pidfd)


@pytest.fixture
def victim() -> Iterator[Callable[..., Victim]]:
    made: list[Victim] = []

    def start(*command: str) -> Victim:
        made.append(Victim(*command))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture
def deadman() -> Iterator[Callable[..., Deadman]]:
    made: list[Deadman] = []

    def start(limit: float = 0) -> Deadman:
        made.append(Deadman(limit))
        return made[-1]

    yield start
    for one in made:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one._process.pid, signal.SIGCONT)
        one.close()
        assert one._process.poll() is not None


def beating(deadman: Deadman, seconds: float) -> bool:
    """Beats for so long; whether it struck meanwhile."""
    struck, deadline = False, time.monotonic() + seconds
    while time.monotonic() < deadline:
        struck |= deadman.beat()
        time.sleep(0.05)
    return struck


def says_that_it_struck(deadman: Deadman) -> bool:
    """Whether a beat soon says so: it kills first, and says it then."""
    deadline = time.monotonic() + SECONDS
    while not (struck := deadman.beat()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return struck


# --- it strikes ------------------------------------------------------------------------------------------------------


def test_a_guard_that_is_killed_takes_what_was_held_along(victim: Callable[..., Victim]) -> None:
    held = victim()
    code = (
        "import os, sys, time; from agent_guard.sandbox.deadman import Deadman\n"
        f"it = Deadman(0); it.hold(os.pidfd_open({held.process.pid}), None); print('held', flush=True); time.sleep(60)"
    )
    guard = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert guard.stdout is not None
    assert guard.stdout.readline() == b"held\n"
    assert held.lives_on(0.1)
    guard.kill()
    guard.wait()
    guard.stdout.close()
    assert held.killed()


def test_silence_kills_what_is_held_and_the_next_beat_says_so_once(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(1.0), [victim() for _ in range(20)]
    for one in held:
        watching.hold(one.pidfd, None)
    assert all(one.killed() for one in held)
    assert says_that_it_struck(watching)
    assert not watching.beat()


def test_beats_keep_what_is_held_alive_and_silence_after_them_kills(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(3.0), victim()
    watching.hold(held.pidfd, None)
    assert not beating(watching, 4.5)
    assert held.lives_on(0)
    assert held.killed()


def test_without_a_limit_silence_kills_nobody(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    watching.hold(held.pidfd, None)
    assert held.lives_on(1.5)
    assert not watching.beat()


def test_a_guard_that_holds_nothing_may_be_silent(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching = deadman(3.0)
    time.sleep(3.5)
    held = victim()
    watching.hold(held.pidfd, None)  # counts as having been heard
    assert held.lives_on(0.5)
    assert not watching.beat()


def test_closing_kills_what_is_still_held(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    watching.hold(held.pidfd, None)
    watching.close()
    assert held.killed()


def test_the_caller_may_close_its_own_pidfd(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    own = os.dup(held.pidfd)
    watching.hold(own, None)
    os.close(own)
    watching.close()
    assert held.killed()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP]
)
def test_a_signal_to_end_or_to_stand_still_does_not_disarm_it(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim], number: signal.Signals
) -> None:
    """They reach it with everything else of a session; only SIGKILL and SIGSTOP can't be ignored."""
    watching, held = deadman(0), victim()
    watching.hold(held.pidfd, None)
    os.kill(watching._process.pid, number)
    time.sleep(0.1)
    watching.close()
    assert held.killed()


# --- and lets go -----------------------------------------------------------------------------------------------------


def test_what_is_released_is_not_killed(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, gone, held = deadman(0), victim(), victim()
    key = watching.hold(gone.pidfd, None)
    watching.hold(held.pidfd, None)
    watching.release(key)
    watching.release(key)
    watching.close()
    assert held.killed()
    assert gone.lives_on(0.2)


def test_a_process_that_has_ended_meanwhile_keeps_no_other_alive(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, ended, held = deadman(0), victim("true"), victim()
    watching.hold(ended.pidfd, Path("/sys/fs/cgroup/that-is-not-there"))
    watching.hold(held.pidfd, None)
    ended.process.wait()
    watching.close()
    assert held.killed()


# --- who strikes at it -----------------------------------------------------------------------------------------------


def test_one_that_is_killed_is_replaced_at_the_next_beat_and_still_protects(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held, released = deadman(3.0), victim(), victim()
    key = watching.hold(released.pidfd, None)
    watching.hold(held.pidfd, None)
    watching.release(key)
    before = watching._process.pid
    os.kill(before, signal.SIGKILL)
    watching._process.wait()
    assert not beating(watching, 0.3)
    assert watching._process.pid != before
    assert held.killed()
    assert says_that_it_struck(watching)
    assert released.lives_on(0)


def test_one_that_was_killed_takes_no_new_agent_until_it_is_replaced(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    os.kill(watching._process.pid, signal.SIGKILL)
    watching._process.wait()
    with pytest.raises(GuardError) as caught:
        watching.hold(held.pidfd, None)
    assert caught.value.code == "AG409"
    watching.beat()
    watching.hold(held.pidfd, None)
    watching.close()
    assert held.killed()


def test_one_that_can_not_be_replaced_is_an_error_which_halts(
    deadman: Callable[..., Deadman], monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = deadman(0)
    os.kill(watching._process.pid, signal.SIGKILL)
    watching._process.wait()

    def no_more(*arguments: object, **more: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(module.subprocess, "Popen", no_more)
        with pytest.raises(GuardError) as caught:
            watching.beat()
    assert caught.value.code == "AG409"
    watching.beat()  # tried again


def test_one_that_stands_still_blocks_no_beat_and_no_release(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    key = watching.hold(held.pidfd, None)
    os.kill(watching._process.pid, signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(5_000):  # far more than its channel holds
        watching.beat()
    watching.release(key)
    assert time.monotonic() - began < SECONDS


def test_one_that_stands_still_lets_no_agent_start_and_the_watching_does_not_wait_for_it(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 6.0)
    watching, held = deadman(0), victim()
    os.kill(watching._process.pid, signal.SIGSTOP)
    failures: list[str] = []

    def hold() -> None:
        try:
            watching.hold(held.pidfd, None)
        except GuardError as error:
            failures.append(error.code)

    starting = threading.Thread(target=hold)
    starting.start()
    time.sleep(0.1)
    began = time.monotonic()
    assert not watching.beat()
    assert time.monotonic() - began < 3
    starting.join(SECONDS)
    assert failures == ["AG409"]


def test_one_that_goes_on_after_it_stood_still_holds_what_it_held(
    deadman: Callable[..., Deadman], victim: Callable[..., Victim]
) -> None:
    watching, held = deadman(0), victim()
    watching.hold(held.pidfd, None)
    os.kill(watching._process.pid, signal.SIGSTOP)
    for _ in range(100):
        watching.beat()
    os.kill(watching._process.pid, signal.SIGCONT)
    watching.close()
    assert held.killed()


# --- with a real container -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
@pytest.mark.parametrize("mode", ["cgroup+pidns", "pidns"])
def test_a_container_of_a_silent_guard_is_killed_with_all_in_it(
    deadman: Callable[..., Deadman], tmp_path: Path, mode: str, frozen: bool
) -> None:
    choice = choose_mode(mountinfo="" if mode == "pidns" else None)
    if choice.mode.value != mode:
        pytest.skip(choice.why)
    watching = deadman(3.0)
    code = "import os, time; [os.fork() or (os.setsid(), time.sleep(60)) for _ in range(3)]; time.sleep(60)"
    argv = (sys.executable, "-I", "-S", "-c", code)
    container = launch(ContainerSpec(argv, tmp_path), choice, deadman=watching)
    try:
        watching.beat()
        if frozen:
            container.freeze()
        assert container.wait(0) is None
        assert container.wait(SECONDS) == 128 + signal.SIGKILL
        assert container.processes() == []
        assert says_that_it_struck(watching)
    finally:
        container.close()


def test_a_container_that_ended_is_let_go(deadman: Callable[..., Deadman], tmp_path: Path) -> None:
    watching = deadman(0)
    container = launch(ContainerSpec(("true",), tmp_path), choose_mode(), deadman=watching)
    assert container.wait(SECONDS) == 0
    assert watching._held == {}
    container.close()


def test_without_a_deadman_that_answers_no_instruction_of_the_agent_runs(
    deadman: Callable[..., Deadman], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    watching = deadman(0)
    os.kill(watching._process.pid, signal.SIGSTOP)
    with pytest.raises(GuardError) as caught:
        launch(ContainerSpec(("touch", "ran"), tmp_path), choose_mode(), deadman=watching)
    assert caught.value.code == "AG409"
    assert not (tmp_path / "ran").exists()
