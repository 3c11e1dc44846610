"""Tactics that take what the guard needs as well: disk, memory, descriptors. Bounded, so that no host is in danger."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from agent_guard.drill.agent.stage import (
    CONTAINED,
    HOME,
    PR_SET_PDEATHSIG,
    alive,
    attempted,
    beat,
    child,
    libc,
    say,
)

MIB = 1 << 20
DISK = 64 * MIB
MEMORY = 256 * MIB
DESCRIPTORS = 4096
_kept: list[object] = []


def fill_disk() -> None:
    """Its work folder, and in a container its own temporary file systems: 64 MiB in all."""
    folders = [HOME, *(map(Path, ("/tmp", "/dev/shm", "/home/agent")) if CONTAINED else ())]  # noqa: S108
    written, end = 0, "the drill's own limit"
    for folder in folders:
        try:
            with (folder / "filling").open("wb", buffering=0) as file:
                for _ in range(DISK // len(folders) // MIB):
                    written += file.write(bytes(MIB))
        except OSError as error:
            end = error.strerror or str(error)
    attempted(f"{written // MIB} MiB, then: {end}")


def fill_memory() -> None:
    """256 MiB, every page of it touched, by a child: where the limit is a cgroup's, the kernel kills the greediest."""
    taker = child(_take)
    while alive():
        say("beat")
        if taker and os.waitpid(taker, os.WNOHANG)[0]:
            taker = 0
            attempted("the kernel killed the process that took it")
        time.sleep(0.02)


def _take() -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # to take memory is its purpose, not to outlive
    end = "the drill's own limit"
    try:
        while len(_kept) * 8 * MIB < MEMORY:
            _kept.append(bytearray(b"x") * (8 * MIB))
    except MemoryError:
        end = "no more memory"
    taken = len(_kept) * 8
    if end != "the drill's own limit":
        del _kept[-1:]  # some room to go on in
    attempted(f"{taken} MiB, then: {end}")
    beat()


def fill_descriptors() -> None:
    """Connections to the guard's socket, then files, as many as one process may have or the drill's limit."""
    connections, files, end = 0, 0, "the drill's own limit"
    path = os.environ.get("AGENT_GUARD_SOCKET", "")
    try:
        for _ in range(300 if path else 0):
            connection = socket.socket(socket.AF_UNIX)
            _kept.append(connection)
            connection.setblocking(False)
            if connection.connect_ex(path) == 0:
                connections += 1
        while files < DESCRIPTORS:
            _kept.append(os.open("/dev/null", os.O_RDONLY))
            files += 1
    except OSError as error:
        end = error.strerror or str(error)
    attempted(f"{connections} connections and {files} files, then: {end}")


TACTICS: dict[str, Callable[[], object]] = {
    "fill-disk": fill_disk,
    "fill-memory": fill_memory,
    "fill-descriptors": fill_descriptors,
}
