"""What of a machine lives, counted on the host from /proc, without a word from the container that holds it.

Guarantees: a process is counted if it bears one of the machine's marks: the folder mounted as its home, which every
process of its mount namespace and of those made from it shows; the machine's mark in the environment; or a mark that
is an argument of its own. Zombies and processes that the caller may not look into are not counted. Trusts /proc.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from agent_guard.sandbox.processes import Process, read_process

_PROC = Path("/proc")
_DEAD = frozenset("ZXx")


def on_machine(home: Path, mark: str) -> frozenset[Process]:
    """Every living process that sees `home` as a mount of its own, or has `mark` in its environment."""
    mounted, named = f" {home} ".encode(), mark.encode()
    return frozenset(
        _living(lambda process: mounted in _text(process, "mountinfo") or named in _text(process, "environ"))
    )


def with_argument(mark: str) -> frozenset[Process]:
    """Every living process one of whose arguments is `mark`, and nothing else than it."""
    return frozenset(_living(lambda process: mark.encode() in _text(process, "cmdline").split(b"\0")))


def lives(process: Process | None) -> bool:
    """Whether exactly this process (pid and start time) still lives."""
    now = read_process(process.pid) if process else None
    return now is not None and process is not None and same(now, process) and now.state not in _DEAD


def stands_still(process: Process) -> bool:
    """Whether exactly this process was stopped by a signal or a tracer."""
    now = read_process(process.pid)
    return now is not None and same(now, process) and now.state in "Tt"


def same(one: Process, other: Process) -> bool:
    """A pid may be taken over by another process; pid and start time together may not."""
    return (one.pid, one.started) == (other.pid, other.started)


def _living(bears: Callable[[int], bool]) -> Iterator[Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and bears(int(entry.name)):
            process = read_process(int(entry.name))
            if process is not None and process.state not in _DEAD:
                yield process


def _text(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:  # it ended meanwhile, or is another user's
        return b""
