"""Runs the demonstration's commands as a person would type them, shows them, and ends whatever it started."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent_guard.errors import GuardError

PATIENCE = 120.0


class Stage:
    """A folder in which commands run.

    Args:
        folder: their working folder.
        environ: what they get on top of this process's environment.
        show: prints a line of a command or its output.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], show: Callable[[str], None]) -> None:
        self.folder = folder
        self.environ = {**os.environ, **environ}
        self.show = show
        self._running: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Runs `agent-guard ARGUMENTS`, shows it and what it says, and returns its stdout.

        Raises:
            GuardError: AG100 if it ends with another code than `expect`.
        """
        self._typed(arguments)
        done = subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        for line in (done.stderr + done.stdout).splitlines():
            self.show(line)
        if done.returncode != expect:
            raise _unexpected(arguments, f"it ended with code {done.returncode}, not {expect}")
        return done.stdout

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Runs a reading command with --json, unseen."""
        done = subprocess.run(
            self._command((*arguments, "--json")),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
        )
        return dict(json.loads(done.stdout))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts `agent-guard ARGUMENTS` in the background; its stdout is to be read line by line."""
        self._typed((*arguments, "&"))
        process = subprocess.Popen(
            self._command(arguments), cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, text=True
        )
        self._running.append(process)
        return process

    def await_event(self, process: "subprocess.Popen[str]", event: str) -> dict[str, Any]:
        """The next JSON line of that event."""
        for line in process.stdout or ():
            step = dict(json.loads(line))
            if step.get("event") == event:
                return step
            if step.get("event") == "trouble":
                self.show(f"trouble: {step['error']['message']}")
        raise _unexpected(("run",), f"it ended before it said {event!r}")

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Waits until something has happened."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > deadline:
                raise _unexpected((what,), f"it did not happen within {PATIENCE:g} s")
            time.sleep(0.1)

    def clear(self) -> None:
        """Ends what still runs, by its process id; the guard takes its agent along."""
        for process in reversed(self._running):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout:
                process.stdout.close()

    def _typed(self, arguments: tuple[str, ...]) -> None:
        words = [argument if argument == "&" else shlex.quote(argument) for argument in arguments]
        self.show(f"$ agent-guard {' '.join(words)}")

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "agent_guard", *arguments]


def _unexpected(arguments: tuple[str, ...], why: str) -> GuardError:
    return GuardError(
        "AG100",
        f"The demonstration stopped at `agent-guard {' '.join(arguments[:3])}`: {why}.",
        "Run agent-guard doctor; what the command said stands above.",
    )
