"""What the drills of `run` share: a council on a ticking chain, a guard in a process of its own, and a count of what
lives that asks neither the guard nor the container: every process of an agent bears a mark in its command line."""

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# A wait that is longer than this hangs; on a loaded machine everything takes its time, and none of that is measured.
PATIENCE = 60.0
# What agents do here: a byte more in their folder every 10 ms, for as long as they live.
BEAT = """
import os, signal, sys, time
def beat():
    while True:
        with open("beat", "ab", buffering=0) as file:
            file.write(b".")
        time.sleep(0.01)
def child(run):
    if os.fork() == 0:
        run()
        beat()
def resist():
    # children that ignore SIGTERM, leave the session, detach by a double fork, and hop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child(lambda: None)
    child(os.setsid)
    child(lambda: (os.setsid(), os.fork() and os._exit(0)))
    child(lambda: [os.fork() and os._exit(0) or os.setsid() for _ in range(5)])
"""
# One action through the SDK; says what became of it.
ACT = """
from agent_guard.sdk import Guard
def act(guard, **arguments):
    try:
        with guard.action("work.step", **arguments):
            return "done"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


class Run:
    """`agent-guard run AGENT --json -- ...` in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", mark: str, work: Path) -> None:
        self.process = process
        self.mark = mark
        self.work = work
        self.told: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._over = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def event(self, name: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next step of that name; all steps are kept in `told`."""
        deadline = time.monotonic() + seconds
        while (line := self._next(deadline)) is not None:
            if line.startswith("{") and line.rstrip().endswith("}"):
                self.told.append(json.loads(line))
                if self.told[-1].get("event") == name:
                    return self.told[-1]
            else:
                self.told.append({"said": line})
        raise AssertionError(f"no {name!r} within {seconds} s: {self.told}, {self._stderr()}")

    def told_of(self, name: str) -> dict[str, Any]:
        """The first step of that name, also if it was told already: of two agents either may come first."""
        told = [step for step in self.told if step.get("event") == name]
        return told[0] if told else self.event(name)

    def _next(self, deadline: float) -> str | None:
        """The next line; None at the end of its output, or if none has come in time."""
        if self._over:
            return None
        try:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            return None
        self._over = line is None
        return line

    def _stderr(self) -> str:
        return self.process.stderr.read() if self.process.poll() is not None and self.process.stderr else ""

    def events(self) -> list[str]:
        """Names of all steps told so far, and to the end of the process if it has ended."""
        while (
            self.process.poll() is not None and (line := self._next(time.monotonic() + PATIENCE)) is not None
        ):
            self.told.append(json.loads(line))
        return [step.get("event", "?") for step in self.told]

    def events_so_far(self) -> list[str]:
        """Names of all steps told so far."""
        while (line := self._next(time.monotonic())) is not None:
            if line.startswith("{"):
                self.told.append(json.loads(line))
        return [step.get("event", "?") for step in self.told]

    def code(self, seconds: float = PATIENCE) -> int:
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            while (line := self._next(time.monotonic() + 0.1)) is not None:
                self.told.append(json.loads(line))
            raise AssertionError(f"still running after {seconds} s: {self.told}") from None

    def beats(self) -> bool:
        """Whether the agent does anything: as soon as it has."""
        before, deadline = self.size(), time.monotonic() + PATIENCE
        while self.size() == before and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.size() > before

    def stands_still(self, seconds: float = 0.3) -> bool:
        """Whether the agent does nothing in this time."""
        before = self.size()
        time.sleep(seconds)
        return self.size() == before

    def size(self) -> int:
        path = self.work / "beat"
        return path.stat().st_size if path.exists() else 0

    def alive(self) -> list[int]:
        """Pids of all processes on this host that bear the agent's mark, the guard's own left out."""
        return [pid for pid in marked(self.mark) if pid != self.process.pid]

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)


def marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


def until(what: str, happened: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@pytest.fixture(name="until")
def until_() -> Callable[..., None]:
    return until


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's name in the 107 bytes that the kernel takes."""
    with tempfile.TemporaryDirectory(prefix="agent-guard-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def drill(ticking_anvil: Any, found: Callable[..., Any]) -> Any:
    """A town with short delays and one agent, `indexer`. A pause is long enough for all that a test does in it."""
    town = found(ticking_anvil, pause=10, resume_delay=1)
    town.register("indexer")
    return town


@pytest.fixture
def guard() -> Iterator[Callable[..., Run]]:
    """Starts a guarded run of Python code (or of `command`) and waits for the first of its steps."""
    runs: list[Run] = []

    def start(
        town: Any,
        code: str = "beat()",
        *options: object,
        command: tuple[str, ...] = (),
        wait: str = "started",
        **environ: str,
    ) -> Run:
        mark = f"mark-{time.monotonic_ns()}"
        beating = not command and "beat()" in code
        # Without site-packages Python starts at once; only the SDK needs them.
        flags = () if "agent_guard" in code else ("-I", "-S")
        command = command or (sys.executable, *flags, "-c", BEAT + code, mark)
        given = ("run", "indexer", "--account", "operator", "--json", *options, "--", *command)
        process = town.cli.start(*given, **environ)
        runs.append(Run(process, mark, town.folder / "home/devnet/agents/indexer/work"))
        if wait:
            runs[-1].event(wait)
        if wait and beating:
            until("the agent's first beat", lambda: runs[-1].size() > 0)
        return runs[-1]

    yield start
    _end(runs)


@pytest.fixture
def fleet_run() -> Iterator[Callable[..., Run]]:
    """Starts a guarded fleet from its file; its agents are told from others by `sleep 600.125`."""
    runs: list[Run] = []

    def start(town: Any, config: Path, *options: object, **environ: str) -> Run:
        process = town.cli.start(
            "run", "--config", config, "--account", "operator", "--json", *options, **environ
        )
        runs.append(Run(process, "600.125", town.folder))
        return runs[-1]

    yield start
    _end(runs)


def _end(runs: list[Run]) -> None:
    for run in runs:
        ended, left = run.process.poll(), marked(run.mark)
        if ended is None:
            run.kill()
            run.process.wait()
        if ended == -signal.SIGKILL:  # its agents die with it, and not before it
            until("the agents' end", lambda run=run: not marked(run.mark))
        else:
            assert not (ended is not None and left), f"the run had ended, and these lived: {left}"
