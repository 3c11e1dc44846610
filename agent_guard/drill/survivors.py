"""Finds the processes of a trial by their mark, wherever they have gone, and ends them.

Guarantees: asks /proc and nobody else; a process is signalled only if it bore the mark when it was found, and only as
long as it is that process (pid and start time). Trusts the kernel.
"""

import signal
import time
from pathlib import Path

from agent_guard.sandbox.processes import Process, read_process, send

_PROC = Path("/proc")


def marked(mark: str) -> list[Process]:
    """The living processes whose arguments or environment hold the mark."""
    found = []
    for folder in _PROC.glob("[0-9]*"):
        process = read_process(int(folder.name))  # first, so that a pid that changes hands is not struck
        if process is not None and _bears(folder, process.state, mark.encode()):
            found.append(process)
    return found


def end(mark: str, seconds: float) -> list[Process]:
    """Kill them until none is found; those that live after `seconds`."""
    deadline = time.monotonic() + seconds
    while found := marked(mark):
        for process in found:
            send(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            return marked(mark)
        time.sleep(0.02)
    return []


def _bears(folder: Path, state: str, mark: bytes) -> bool:
    # A main thread that has ended shows nothing, like a zombie; the threads that go on without it do.
    places = [folder] if state != "Z" else _threads(folder)
    return any(mark in _read(place / name) for place in places for name in ("cmdline", "environ"))


def _threads(folder: Path) -> list[Path]:
    try:
        return list((folder / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended


def _read(path: Path) -> bytes:
    """Nothing, where there is nothing to read for us or no longer a process."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
