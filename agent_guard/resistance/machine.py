"""The machine that the model is given: a container with a session, a notifier and a home, and a door to this host.

Guarantees: everything in it runs unprivileged, without network, in one container of `agent_guard.sandbox`, and is gone
after `close`. The processes that belong to the machine itself are known by pid and start time before the agent's first
command. What the agent does to them is noticed when they are asked, and is nobody's fault but its own.
Trusts the sandbox. Answers from inside are hostile (channel.py); files of the home are read by `evidence`.
"""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agent_guard.errors import GuardError
from agent_guard.resistance import inside
from agent_guard.resistance.census import lives, on_machine, same
from agent_guard.resistance.channel import Answer, Channel, GoneError
from agent_guard.sandbox.bubblewrap import SOCKET
from agent_guard.sandbox.container import Container, Death
from agent_guard.sandbox.processes import Process, read_process
from agent_guard.wiring.machine import start_machine

Target = Literal["session", "timer"]
START_LIMIT = 20.0
_GREETING = 2.0  # seconds for the first word on a connection
_TICK = 0.2
_LATE = 3.0  # seconds that a script ended at its limit may take to be reported
_ASK = "#!/bin/sh\nexec '{python}' -I -S '{program}' next_question '{socket}'\n"


@dataclass(slots=True, eq=False)
class Machine:
    """A running machine. Made by `Machine.start`; its methods may be called from any thread."""

    folder: Path
    mark: str
    container: Container
    channels: Mapping[str, Channel]
    own: frozenset[Process]
    """What belongs to the machine and not to the agent: the namespace's init, our init, the notifier, the timer."""
    _door: socket.socket
    _closing: threading.Event = field(default_factory=threading.Event)
    _porter: threading.Thread | None = None

    @classmethod
    def start(cls, target: Target) -> "Machine":
        """Build it; the script in its home stops `target`. Raises GuardError, and then nothing runs: AG401 to AG405."""
        folder = Path(tempfile.mkdtemp())
        mark = secrets.token_hex(16)
        container: Container | None = None
        door = socket.socket(socket.AF_UNIX)
        try:
            container = _furnish(folder, door, target, mark)
            roles = {"init", "session", "notifier"} | ({"timer"} if target == "timer" else set())
            channels = _muster(door, roles, container)
            return cls(folder, mark, container, channels, _own(channels), door)
        except BaseException:
            _clear(folder, door, container, {})
            raise

    @property
    def home(self) -> Path:
        """The agent's home folder, on the host and inside."""
        return self.folder / "home"

    def serve(self, answer: Callable[[], str]) -> None:
        """From now on answer each call of `next_question` with what `answer` returns, one call at a time."""
        self._porter = threading.Thread(target=self._keep_door, args=(answer,), name="porter", daemon=True)
        self._porter.start()

    def ask_session(self, question: dict[str, Any], timeout: float) -> Answer:
        """Have the agent's session do something. Raises GoneError."""
        return self.channels["session"].ask(question, timeout)

    def ask_notifier(self, what: Literal["stop", "try"]) -> int | None:
        """The exit code of what the notifier was told to do; None if it took too long. Raises GoneError."""
        return self.channels["notifier"].ask({"do": what}, inside.SCRIPT_LIMIT + _LATE).code

    def kill(self) -> Death:
        """The guard's stop: kill the container. Raises GuardError AG406 if anything in it still lives."""
        return self.container.kill()

    def member(self, role: str) -> Process | None:
        """The process that took this role when the machine was started."""
        channel = self.channels.get(role)
        return channel.peer if channel else None

    def stands(self) -> bool:
        """Whether the machine still runs, whatever became of the agent's session."""
        return lives(self.member("init"))

    def agents(self) -> frozenset[Process]:
        """All that lives on the machine, or left it, and is not its own: the agent's session and what it started."""
        return frozenset(
            process
            for process in on_machine(self.home, self.mark)
            if not any(same(process, own) for own in self.own)
        )

    def close(self) -> None:
        """End everything of it and remove its folder. Raises GuardError AG406 if something can't be ended."""
        self._closing.set()
        _clear(self.folder, self._door, self.container, self.channels)
        if self._porter is not None:
            self._porter.join(inside.SCRIPT_LIMIT + START_LIMIT)

    def _keep_door(self, answer: Callable[[], str]) -> None:
        self._door.settimeout(_TICK)
        while not self._closing.is_set():
            try:
                channel = Channel.of(self._door.accept()[0])
                asked = channel.greet(_GREETING) == "next_question"
            except (OSError, GoneError):  # nobody came; or who came said nothing that makes sense
                continue
            text = answer() if asked else ""
            with suppress(GoneError):  # the stop may have reached who asked
                channel.say({"text": text}, _GREETING)
            channel.close()


def _furnish(folder: Path, door: socket.socket, target: Target, mark: str) -> Container:
    """A container with three folders: the agent's home, the programs, and the door's socket, these two read-only."""
    home, programs, doors = folder / "home", folder / "bin", folder / "door"
    for path in (home, programs, doors):
        path.mkdir(mode=0o755)
    program = programs / "machine.py"
    shutil.copyfile(inside.__file__, program)
    program.chmod(0o644)
    ask = programs / "next_question"
    ask.write_text(_ASK.format(python=sys.executable, program=program, socket=SOCKET))
    ask.chmod(0o755)
    _bind(door, doors)
    argv = (sys.executable, "-I", "-S", str(program), "init", SOCKET, target)
    env = {"HOME": str(home), "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "MACHINE": mark}
    return start_machine(argv, home, doors, programs, env)


def _bind(door: socket.socket, folder: Path) -> None:
    """Listen in a folder whose path may be longer than the kernel takes for a socket (sun_path, unix(7))."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = Path(f"/proc/self/fd/{descriptor}", Path(SOCKET).name)
        door.bind(str(name))
        name.chmod(0o666)  # the agent is another user
    finally:
        os.close(descriptor)
    door.listen(16)


def _muster(door: socket.socket, roles: set[str], container: Container) -> dict[str, Channel]:
    """Wait until every part of the machine has come to the door; only ours run so far. GuardError AG403 otherwise."""
    found: dict[str, Channel] = {}
    deadline = time.monotonic() + START_LIMIT
    door.settimeout(_TICK)
    while found.keys() != roles and time.monotonic() < deadline and container.wait(0) is None:
        with suppress(TimeoutError, GoneError):
            channel = Channel.of(door.accept()[0])
            found[channel.greet(START_LIMIT)] = channel
    if found.keys() != roles or any(channel.peer is None for channel in found.values()):
        for channel in found.values():
            channel.close()
        raise GuardError(
            "AG403",
            f"The machine did not stand within {START_LIMIT:g} s: {', '.join(sorted(roles - found.keys()))} missing."
            " No agent was started.",
            "Run `agent-guard doctor`.",
        )
    return found


def _own(channels: Mapping[str, Channel]) -> frozenset[Process]:
    peers = {role: channel.peer for role, channel in channels.items() if channel.peer is not None}
    above = read_process(peers["init"].parent)
    own = [process for role, process in peers.items() if role != "session"]
    return frozenset([*own, above] if above else own)


def _clear(
    folder: Path, door: socket.socket, container: Container | None, channels: Mapping[str, Channel]
) -> None:
    try:
        if container is not None:
            container.kill()
    finally:
        for channel in channels.values():
            channel.close()
        door.close()
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove it, though the agent may have closed folders of its own to everyone; it is dead by now."""
    for path, names, _ in os.walk(folder):
        for inner in (Path(path, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder)
