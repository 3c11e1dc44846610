"""Starting a child that dies with the guard, and outliving it.

Guarantees: the child's parent is a thread that lives until the child is reaped. A parent-death signal fires when the
*thread* that started the child ends, not the process (prctl(2), PR_SET_PDEATHSIG): started from a passing thread, a
healthy agent would be killed; so each child gets a keeper, a daemon thread that ends only after it or with the guard.
"""

import os
import select
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from agent_guard.errors import GuardError

Stream = int | IO[bytes] | None
Streams = tuple[Stream, Stream, Stream]
_TICK = 0.02


@dataclass(frozen=True, slots=True)
class Child:
    """A command line, the descriptors it inherits, and its environment besides PATH.

    `env` is empty for bubblewrap: the agent may read the environment of its namespace's init, which is bubblewrap's.
    """

    command: list[str]
    fds: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started child: its pid, and its pidfd, which the caller closes."""

    pid: int
    pidfd: int


def spawn(
    child: Child, streams: Streams, tick: Callable[[], None] | None, done: Callable[[int], None]
) -> Spawned:
    """Start the child on a keeper thread of its own.

    `streams` are its standard input, output and error, as in `subprocess`. The keeper calls `tick` every 20 ms while
    the child lives, and `done` with its return code after reaping it. GuardError AG403 if it can't be started.
    """
    started: Future[Spawned] = Future()
    keep = partial(_keep, partial(_popen, child, *streams), started, tick, done)
    threading.Thread(target=keep, name="keeper", daemon=True).start()
    try:
        return started.result()
    except OSError as error:
        message = f"{child.command[0]} can't be started: {error}. No agent was started."
        raise GuardError("AG403", message, "Run `agent-guard doctor`.") from error


def wait_exit(pidfd: int, timeout: float | None) -> bool:
    """Wait until the process behind the pidfd has ended; False if it still lives after `timeout` seconds."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(None if timeout is None else max(0, int(timeout * 1000))))


def _keep(
    start: Callable[[], subprocess.Popen[bytes]],
    started: Future[Spawned],
    tick: Callable[[], None] | None,
    done: Callable[[int], None],
) -> None:
    try:
        process = start()
        pidfd = os.pidfd_open(process.pid)
        started.set_result(Spawned(process.pid, os.dup(pidfd)))
    except BaseException as error:  # noqa: BLE001 - raised again in `spawn`; nothing was started
        started.set_exception(error)
        return
    while not wait_exit(pidfd, _TICK if tick else None):
        if tick:
            tick()
    os.close(pidfd)
    done(process.wait())


def _popen(child: Child, stdin: Stream, stdout: Stream, stderr: Stream) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child.command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=child.fds,
        env={"PATH": os.environ.get("PATH", os.defpath), **child.env},
        cwd="/",
        start_new_session=True,
    )
