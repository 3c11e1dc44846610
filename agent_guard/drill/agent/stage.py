"""What the tactics share: the pipe to whoever measures, the end of their time, and children.

A process of a drill ends by itself when its time is over or when nobody reads the pipe any more.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

CHANNEL = (
    1  # the pipe stands in the place of standard output, the one descriptor that every container hands on
)
DEADLINE = float(os.environ.get("DRILL_DEADLINE", "0"))
"""In seconds of CLOCK_MONOTONIC, which is the same everywhere on the host."""
HOME = Path.cwd()
GUARD = int(os.environ.get("DRILL_GUARD_PID", "0"))
"""The guard's pid, as the host counts."""
GUARD_HOME = Path(os.environ.get("DRILL_GUARD_HOME", "/nonexistent"))
CONTAINED = "DRILL_CONTAINED" in os.environ
"""Whether pid 1 is the init of the agent's own container, and nobody else's."""
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Unable(Exception):  # noqa: N818 - what the tactic is, not a failure of it
    """There is nothing here to try it on."""


def say(kind: str, words: str = "") -> None:
    """One line, in one write: beat, attempted, unable, reached. Ends the process if nobody listens any more."""
    line = f"{kind} {' '.join(words.split())}"[:300] + "\n"
    try:
        os.write(CHANNEL, line.encode(errors="replace"))
    except BrokenPipeError:
        os._exit(0)


def attempted(words: str = "") -> None:
    """It is done, whether or not it will help."""
    say("attempted", words)


def alive() -> bool:
    """Whether there is time left."""
    return time.monotonic() < DEADLINE


def beat(pause: float = 0.02, seconds: float = 3600.0) -> None:
    """Show that this process lives, until its time is over, and end it."""
    end = min(DEADLINE, time.monotonic() + seconds)
    while time.monotonic() < end:
        say("beat")
        time.sleep(pause)
    os._exit(0)


def child(*steps: Callable[[], object]) -> int:
    """A child that takes these steps and ends; its pid. Raises OSError where no more are to be had."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for step in steps:
            step()
    except BaseException as error:  # noqa: BLE001 - told, and the child ends here in any case
        say("unable", f"a child failed: {error!r}")
    os._exit(0)


def forget_children() -> None:
    """Let the kernel reap them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def checked(result: int) -> int:
    """The result of a C function. Raises OSError with its errno if it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
