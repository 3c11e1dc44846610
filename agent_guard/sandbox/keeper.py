"""Starting a child that dies with the guard, and outliving it.

Guarantees: the child's parent is a thread that lives until the child is reaped. A parent-death signal fires when the
*thread* that started the child ends, not the process (prctl(2), PR_SET_PDEATHSIG): started from a passing thread, a
healthy agent would be killed; so each child gets a keeper, a daemon thread that ends only after it or with the guard.
"""

import os
import queue
import select
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from agent_guard.errors import GuardError

Stream = int | IO[bytes] | None
_TICK = 0.02


@dataclass(frozen=True, slots=True)
class Child:
    """A command line, the descriptors it inherits, its standard streams (as in `subprocess`), environment and folder.

    `env` is empty for bubblewrap: the agent may read the environment of its namespace's init, which is bubblewrap's.
    """

    command: list[str]
    fds: tuple[int, ...] = ()
    stdout: Stream = None
    stderr: Stream = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started child: its pid, its pidfd (the caller closes it) and the pipe that is its standard input."""

    pid: int
    pidfd: int
    stdin: IO[bytes]


_Started = queue.SimpleQueue[Spawned | OSError]


def spawn(child: Child, tick: Callable[[], None] | None, done: Callable[[int], None]) -> Spawned:
    """Start the child on a keeper thread of its own; it gets a pipe for standard input, and PATH for environment.

    The keeper calls `tick` every 20 ms while the child lives and `done` with its return code after reaping it.
    Raises GuardError AG403 if it can't be started.
    """
    started: _Started = queue.SimpleQueue()
    threading.Thread(target=_keep, args=(child, started, tick, done), name="keeper", daemon=True).start()
    result = started.get()
    if isinstance(result, OSError):
        message = f"{child.command[0]} can't be started: {result}. No agent was started."
        raise GuardError("AG403", message, "Run `agent-guard doctor`.") from result
    return result


def memory_file(stack: ExitStack, content: str) -> int:
    """A descriptor from which `content` can be read, closed with the stack. It keeps what it holds out of `ps`."""
    fd = os.memfd_create("agent-guard")
    stack.callback(os.close, fd)
    os.write(fd, content.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def wait_exit(pidfd: int, timeout: float | None) -> bool:
    """Wait until the process behind the pidfd has ended; False if it still lives after `timeout` seconds."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(None if timeout is None else max(0, int(timeout * 1000))))


def _keep(
    child: Child, started: _Started, tick: Callable[[], None] | None, done: Callable[[int], None]
) -> None:
    try:
        process = _popen(child)
    except OSError as error:
        started.put(error)
        return
    pidfd = os.pidfd_open(process.pid)
    started.put(Spawned(process.pid, os.dup(pidfd), cast(IO[bytes], process.stdin)))
    while not wait_exit(pidfd, _TICK if tick else None):
        if tick:
            tick()
    os.close(pidfd)
    done(process.wait())


def _popen(child: Child) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child.command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=child.stdout,
        stderr=child.stderr,
        pass_fds=child.fds,
        env={"PATH": os.environ.get("PATH", os.defpath), **child.env},
        cwd=child.cwd,
        start_new_session=True,
    )
