"""A real, timed kill of a dummy tree: the evidence that this host can contain, before an agent is trusted to it.

Guarantees: every process of the tree holds one pipe and writes to it without pause. Silence while frozen and the end of
the file after the kill are the kernel's word, independent of the code that froze and killed. Trusts only the pipe.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent_guard.errors import GuardError
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Choice, Mode
from agent_guard.sandbox.view import FIRST_UID, ContainerSpec

TACTICS = {
    "t": "ignores SIGTERM",
    "s": "new session",
    "d": "double fork",
    "p": "clears its parent-death signal",
    "h": "forks and exits without end",
}
_TREE = """
import ctypes, os, signal, time
def beat(letter):
    while True:
        os.write(1, letter)
        time.sleep(0.005)
def child(run):
    if os.fork() == 0:
        run()
        os._exit(0)
def hop():
    while os.fork() == 0:
        os.write(1, b"h")
        time.sleep(0.002)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child(lambda: (os.setsid(), beat(b"s")))
child(lambda: child(lambda: beat(b"d")))
child(lambda: (ctypes.CDLL(None).prctl(1, 0), beat(b"p")))
child(hop)
beat(b"t")
"""
_LIMIT = 30.0  # seconds for the tree to stand
_END = 10.0  # seconds for the pipe to end, after the kill said that it was done
_SILENCE = 0.05  # seconds without a byte that show a frozen tree: ten times the longest pause between two


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was seen. Times in milliseconds: asked to frozen, and killed to nothing left."""

    mode: Mode
    why: str
    bubblewrap: str
    processes: int
    freeze_ms: float
    kill_ms: float
    survivors: int = 0


def probe(choice: Choice, uid: int = FIRST_UID) -> ProbeResult:
    """Start, freeze, thaw and kill a tree that resists, in exactly this mode.

    Raises GuardError: AG407 if anything ran while frozen or outlived the kill, or if the mode contains nothing; AG403
    with bubblewrap's own words if the container can't be built; else as `launch`.
    """
    _require(choice.mode is not Mode.NONE, choice, "this mode contains nothing")
    with (
        tempfile.TemporaryDirectory(prefix="agent-guard-probe-") as folder,
        tempfile.TemporaryFile() as words,
    ):
        argv = (sys.executable, "-I", "-S", "-c", _TREE)
        spec = ContainerSpec(argv, Path(folder), uid=uid, name="probe")
        try:
            return _trial(spec, choice, words)
        except GuardError as error:
            words.seek(0)
            said = words.read().decode(errors="replace").strip()
            if error.code != "AG403" or not said:
                raise
            raise GuardError(error.code, f"{error.message} It said: {said}", error.remedy) from error


def bubblewrap_version() -> str:
    """What `bwrap --version` says, such as "bubblewrap 0.8.0"."""
    answer = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, timeout=5, check=False)
    return answer.stdout.strip()


def _trial(spec: ContainerSpec, choice: Choice, words: IO[bytes]) -> ProbeResult:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        beats = _Beats(pipe)
        try:
            container = launch(spec, choice, stdout=write_end, stderr=words)
        finally:
            os.close(write_end)
        with closing(container):
            _require(beats.hear_all(), choice, "not every process of the tree ran")
            began = time.monotonic_ns()
            frozen_at = container.freeze()
            _require(beats.fall_silent(), choice, "something ran while the tree was frozen")
            container.thaw()
            _require(beats.hear_all(), choice, "the tree did not go on after the thaw")
            death = container.kill()
            _require(beats.end(), choice, f"of {death.processes} processes some outlived the kill")
            freeze_ms, kill_ms = (frozen_at - began) / 1e6, (death.dead_at - death.killed_at) / 1e6
            version = bubblewrap_version()
            return ProbeResult(choice.mode, choice.why, version, death.processes, freeze_ms, kill_ms)


def _require(true: bool, choice: Choice, otherwise: str) -> None:
    if not true:
        raise GuardError(
            "AG407",
            f"The trial kill in mode {choice.mode.value} failed: {otherwise}. No agent was started.",
            "Run the guard as root on a host with cgroup v2, then `agent-guard doctor` again.",
        )


@dataclass(frozen=True, slots=True)
class _Beats:
    """The read end of the pipe that the whole tree holds. Each method waits `_LIMIT` seconds at most."""

    pipe: IO[bytes]

    def hear_all(self) -> bool:
        """Whether every tactic's process writes."""
        deadline, missing = time.monotonic() + _LIMIT, set("".join(TACTICS))
        while missing and time.monotonic() < deadline:
            heard = self._read(_LIMIT)
            if heard == b"":
                return False
            missing -= set((heard or b"").decode())
        return not missing

    def fall_silent(self) -> bool:
        """Whether nothing more comes than what was written before."""
        deadline = time.monotonic() + _LIMIT
        while self._read(0) and time.monotonic() < deadline:
            pass
        return self._read(_SILENCE) is None

    def end(self) -> bool:
        """Whether the end of the file comes: no process holds the other end any more."""
        deadline = time.monotonic() + _END
        while (heard := self._read(_END)) and time.monotonic() < deadline:
            pass
        return heard == b""

    def _read(self, timeout: float) -> bytes | None:
        """What was written; empty at the end of the file; None if nothing comes in time."""
        poller = select.poll()
        poller.register(self.pipe, select.POLLIN)
        return self.pipe.read(65536) if poller.poll(timeout * 1000) else None
