"""The stops that others use, built as well as they can be: a script in the agent's home, a signal, another user's kill.

They are here to be compared with, and take no part in the guard. Each kills only what it started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from agent_guard.sandbox.processes import Process, read_process, send, walk
from agent_guard.session.drilling import Placed
from agent_guard.session.scene import Scene

GRACE = 0.3
"""Seconds from SIGTERM to SIGKILL."""
LIMIT = 2.0
"""Seconds that a stop goes on trying."""
SCRIPT = f'#!/bin/sh\nkill -s TERM "$1"\nsleep {GRACE}\nkill -s KILL "$1" 2>/dev/null\nexit 0\n'


@contextmanager
def script(scene: Scene, stdout: int, stderr: int) -> Iterator[Placed]:
    """shutdown.sh in the agent's home, run by its own user."""
    path = scene.home / "shutdown.sh"
    path.write_text(SCRIPT)
    path.chmod(0o755)

    def stop(agent: subprocess.Popen[bytes]) -> str:
        quiet = subprocess.DEVNULL
        command = [str(path), str(agent.pid)]
        try:
            done = subprocess.run(
                command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the script did not run: {error}"
        return f"the script ended with code {done.returncode}"

    with _started(scene, stdout, stderr) as agent:
        yield Placed("script", lambda: stop(agent))


@contextmanager
def signalled(scene: Scene, stdout: int, stderr: int) -> Iterator[Placed]:
    """SIGTERM, then SIGKILL, to the agent's pid."""

    def stop(agent: subprocess.Popen[bytes]) -> str:
        agent.terminate()
        with suppress(subprocess.TimeoutExpired):
            agent.wait(GRACE)
        agent.kill()
        try:
            return f"the process ended with code {agent.wait(LIMIT)}"
        except subprocess.TimeoutExpired:
            return "the process did not end"

    with _started(scene, stdout, stderr) as agent:
        yield Placed("signal", lambda: stop(agent))


@contextmanager
def other_user(scene: Scene, stdout: int, stderr: int) -> Iterator[Placed]:
    """Root kills the agent's pid, its group, and all below it that it ever saw."""
    with _started(scene, stdout, stderr, scene.uid) as agent:
        yield Placed("other-user", lambda: _kill_tree(agent))


def _kill_tree(agent: subprocess.Popen[bytes]) -> str:
    seen: dict[int, Process] = {}
    _look(agent.pid, seen)
    _strike(agent, seen, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        agent.wait(GRACE)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        for pid in (agent.pid, *(process.pid for process in list(seen.values()) if _lives(process))):
            _look(pid, seen)
        _strike(agent, seen, signal.SIGKILL)
        agent.poll()
        if not any(map(_lives, seen.values())):
            return f"{len(seen)} processes, none left"
    return f"{sum(map(_lives, seen.values()))} of {len(seen)} processes did not end"


def _look(pid: int, seen: dict[int, Process]) -> None:
    seen.update({process.pid: process for process in walk(pid)})


def _strike(agent: subprocess.Popen[bytes], seen: dict[int, Process], signum: signal.Signals) -> None:
    for process in seen.values():
        send(process, signum)
    if agent.poll() is None:  # its pid is no other's group yet
        with suppress(ProcessLookupError):
            os.killpg(agent.pid, signum)


def _lives(process: Process) -> bool:
    now = read_process(process.pid)
    return now is not None and now.started == process.started and now.state not in "ZX"


@contextmanager
def _started(
    scene: Scene, stdout: int, stderr: int, uid: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The agent without any container, in its own home, in a session of its own."""
    user: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    agent = subprocess.Popen(
        scene.argv,
        cwd=scene.home,
        env=dict(scene.env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        **user,
    )
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()


PLACES: dict[str, Callable[[Scene, int, int], AbstractContextManager[Placed]]] = {
    "script": script,
    "signal": signalled,
    "other-user": other_user,
}
