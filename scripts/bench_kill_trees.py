"""The trees of processes that the kill benchmark stops, how they are counted, and what plain kills do to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from agent_guard.sandbox.processes import walk

PATIENCE = 30.0
# A tree of N processes that wait; half of them have left the session, as daemons do.
TREE = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
            if os.fork():
                os._exit(0)
        break
while True:
    signal.pause()
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured stage: milliseconds at the median and the 99th percentile, and the design's targets, if any."""

    stage: str
    processes: int
    n: int
    p50: float
    p99: float
    target50: float | None = None
    target99: float | None = None
    survivors: int = 0

    @property
    def met(self) -> bool:
        fast = self.target50 is None or self.p50 <= self.target50
        return fast and (self.target99 is None or self.p99 <= self.target99)


def row(stage: str, processes: int, times: Sequence[float], **more: float) -> Row:
    cuts = quantiles(times, n=100, method="inclusive") if len(times) > 1 else list(times) * 99
    return Row(stage, processes, len(times), round(cuts[49], 2), round(cuts[98], 2), **more)  # type: ignore[arg-type]


def argv(processes: int, mark: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", TREE, str(processes), mark)


def marked(mark: str) -> list[int]:
    """Living processes that bear the mark, whoever holds them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


def await_tree(count: Callable[[], int], processes: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while count() < processes:
        if time.monotonic() > deadline:
            raise SystemExit(f"the tree of {processes} processes did not stand within {PATIENCE:g} s")
        time.sleep(0.005)


def plain(processes: int, n: int) -> list[Row]:
    """What is usually done instead, to the same tree without a container: time, and who outlives it."""
    return [
        _plain("kill -9 of the pid", processes, n, lambda pid: os.kill(pid, signal.SIGKILL)),
        _plain("kill -9 of the process group", processes, n, lambda pid: os.killpg(pid, signal.SIGKILL)),
        _plain("kill -9 down the process tree", processes, n, _walk),
    ]


def _plain(stage: str, processes: int, n: int, stop: Callable[[int], None]) -> Row:
    times, survivors = [], 0
    for number in range(n):
        mark = f"plain-{os.getpid()}-{number}-{processes}-{stage.split()[-1]}"
        root = subprocess.Popen(argv(processes, mark), start_new_session=True)
        await_tree(lambda mark=mark: len(marked(mark)), processes)
        began = time.monotonic_ns()
        stop(root.pid)
        root.wait()
        times.append((time.monotonic_ns() - began) / 1e6)
        left = marked(mark)
        survivors += len(left)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        while marked(mark):
            time.sleep(0.005)
    return row(stage, processes, times, survivors=survivors)


def _walk(root: int) -> None:
    for process in list(walk(root)):
        os.kill(process.pid, signal.SIGKILL)
