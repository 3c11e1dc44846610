"""Processes as /proc shows them, and stopping a whole tree of them by signals.

Guarantees: a signal reaches only the process that was seen (pid and start time, through a pidfd), never one that took
over its pid. Trusts /proc. Inside a PID namespace the tree below its init is complete: an orphan's new parent is that
init (pid_namespaces(7)). Source of the fields: proc_pid_stat(5).
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DEAD = frozenset("ZXx")  # zombie, dead
_STANDING = _DEAD | {"T", "t"}  # stopped, stopped by a tracer
_RESTING = _STANDING | {"D"}  # D: in the kernel with our SIGSTOP pending; it won't come back to its own code


@dataclass(frozen=True, slots=True)
class Process:
    """`started` in clock ticks since boot; `state` is the letter of proc_pid_stat(5), of the main thread."""

    pid: int
    parent: int
    started: int
    state: str


def parse_stat(text: str) -> Process:
    """Parse /proc/PID/stat. The command's name may hold spaces, newlines and brackets: the last one closes it."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        started=int(fields[19]),
        state=fields[0],
    )


def read_process(pid: int) -> Process | None:
    """The process with that pid, or None if there is none."""
    return _read(_PROC / str(pid) / "stat")


def lives(pid: int, started: int) -> bool:
    """Whether the process that had this pid and start time is still alive: a zombie, not waited for yet, is not.

    It is while any thread of it is, also where the main one has ended.
    """
    now = read_process(pid)
    return now is not None and now.started == started and not _thread_states(pid) <= _DEAD


def walk(root: int) -> Iterator[Process]:
    """The process `root` and all below it, parents first; each is yielded before its children are looked up."""
    waiting, seen = [root], set()
    while waiting:
        process = read_process(waiting.pop())
        if process is not None and process.pid not in seen:
            seen.add(process.pid)
            yield process
            waiting += _children(process.pid)


def send(process: Process, signum: signal.Signals) -> None:
    """Send a signal to exactly this process; nothing happens if it is gone or another user's."""
    with suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(process.pid)
        try:
            now = read_process(process.pid)
            if now is not None and now.started == process.started:
                signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)


def stop_tree(root: int, timeout: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """SIGSTOP everything in the tree, again and again until two looks in a row find all at rest and nobody new.

    False if something new kept coming for `timeout` seconds. Weaker than a frozen cgroup: a process may have arranged
    beforehand for a SIGCONT to itself (a timer, say), so whoever wants it to stay stopped calls this again.
    """
    deadline = clock() + timeout
    before: list[Process] | None = None
    while True:
        now, rests = [], True
        for process in walk(root):
            now.append(process)
            states = _thread_states(process.pid)
            rests = rests and states <= _RESTING
            if not states <= _STANDING:
                send(process, signal.SIGSTOP)
        if rests and now == before:
            return True
        before = now if rests else None
        if clock() >= deadline:
            return False


def _children(pid: int) -> list[int]:
    """Children of all threads: proc_tid_children(5). Complete only once the parent stands still."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _thread_states(pid: int) -> set[str]:
    """The states of all threads: the main one may have ended (a zombie) while others go on."""
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = [_read(path / "stat") for path in (_PROC / str(pid) / "task").iterdir()]
        return {thread.state for thread in threads if thread is not None}
    return set()


def _read(path: Path) -> Process | None:
    try:
        return parse_stat(path.read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None
