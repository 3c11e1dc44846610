"""One agent in its container: frozen, thawed, ended, killed, and shown to be dead. `launch.py` starts it.

Guarantees: `kill` returns only when the kernel says that nothing is left (`populated 0`, and the exit of the init,
which the kernel reports after the last process of its PID namespace is gone: pid_namespaces(7)); when the guard dies,
or stands still for longer than its deadman bears, so does the agent. Trusts the kernel and bubblewrap. With `Mode.NONE`
only what is in the cgroup is sure to die.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from agent_guard.errors import GuardError
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.choice import Mode
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.keeper import Spawned, wait_exit
from agent_guard.sandbox.processes import Process, read_process, send, stop_tree, walk

BURY_SECONDS = 10.0
"""Between two strikes at what an agent that ended by itself has left behind."""
FREEZE_LIMIT = 0.25
"""Seconds that freezing may take before a kill goes on without it."""


@dataclass(frozen=True, slots=True)
class Death:
    """What the kernel did, in nanoseconds of the monotonic clock.

    `frozen_at` is None if not everything stood still in time; `dead_at` is when nothing was left; `processes` counts
    what the container held at the freeze, bubblewrap's own one or two included.
    """

    mode: Mode
    asked_at: int
    frozen_at: int | None
    killed_at: int
    dead_at: int
    processes: int


@dataclass(slots=True, eq=False)
class Container:
    """A running agent. Made by `launch.launch`; methods may be called from any thread."""

    name: str
    mode: Mode
    clock: Callable[[], int] = time.monotonic_ns
    _deadman: Deadman | None = None
    leaf: Cgroup | None = None
    exit_code: int | None = None
    frozen: bool = False
    death: Death | None = None
    _root: int = 0  # the namespace's init; without a container the agent's first process
    _launcher: int = 0
    _pidfds: list[int] = field(default_factory=list)
    _own_deadman: Deadman | None = None
    _held: int = 0
    _gone: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def freeze(self, timeout: float = 1.0) -> int:
        """Stop everything; the monotonic nanosecond by which it stood still. GuardError AG408 if something ran on.

        With a cgroup the kernel keeps it so. Without one it is done by SIGSTOP, which the keeper repeats every 20 ms.
        """
        with self._lock:
            self.frozen = True
            if self._stop(timeout):
                return self.clock()
        raise GuardError(
            "AG408",
            f"{self.name} did not stand still within {timeout} s and must be taken as running.",
            "Halt the agent: a kill does not depend on freezing.",
        )

    def still(self) -> None:
        """Have the kernel begin to freeze everything, and don't wait: so that many containers stand still at once.

        `freeze` and `kill` see to each then. Does nothing without a cgroup.
        """
        if self.leaf is not None:
            self.frozen = True
            self.leaf.begin_freezing()

    def thaw(self) -> None:
        """Let a frozen agent go on."""
        with self._lock:
            self.frozen = False
            if self.leaf is not None:
                self.leaf.thaw()
                return
            for process in self.processes():
                send(process, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask every process of the agent to end (SIGTERM), for a planned stop; a frozen agent hears it when thawed."""
        with self._lock:
            was_frozen = self.frozen
            self._stop(FREEZE_LIMIT)
            for process in self.processes():
                if self.mode is Mode.NONE or process.pid not in (self._root, self._launcher):
                    send(process, signal.SIGTERM)
            if not was_frozen:
                self.thaw()

    def kill(self, timeout: float = 10.0) -> Death:
        """Freeze, kill, and wait for the proof. The same Death every time; GuardError AG406 if anything still lives."""
        with self._lock:
            if self.death is None:
                self.death = self._kill(timeout)
            return self.death

    def wait(self, timeout: float | None = None) -> int | None:
        """The agent's exit code (128 + n after signal n) once nothing is left of it; None if that takes too long."""
        return self.exit_code if self._gone.wait(timeout) else None

    def processes(self) -> list[Process]:
        """What is in the container now, bubblewrap's own processes and zombies included."""
        if self.leaf is not None:
            found = [read_process(pid) for pid in self.leaf.pids()]
            return [process for process in found if process is not None]
        return list(walk(self._root)) if self._root and not self._gone.is_set() else []

    def close(self) -> None:
        """End whatever is there, without freeze or proof: after a failed start, and in `finally` clauses."""
        with self._lock:
            self._strike()
        if self._launcher:
            self._gone.wait(BURY_SECONDS)
        elif self.leaf is not None:
            self.leaf.remove()

    def spawned(self, child: Spawned) -> None:
        """Takes over the child that was started: bubblewrap, or without a container the agent's first process."""
        self._launcher = self._root = child.pid
        self._pidfds.append(child.pidfd)

    def contains(self, init: int) -> None:
        """Takes over the init of the namespace that bubblewrap has built."""
        self._root = init
        self._pidfds.insert(0, os.pidfd_open(init))

    def hold(self) -> None:
        """Has the deadman hold the container, before the agent's first instruction. Raises GuardError AG409."""
        if self._deadman is None and os.geteuid() != 0:
            self._deadman = self._own_deadman = Deadman(0)
        if self._deadman is not None:
            self._held = self._deadman.hold(self._pidfds[0], self.leaf.path if self.leaf else None)

    def _stop(self, timeout: float) -> bool:
        if self.leaf is not None:
            return self.leaf.freeze(timeout)
        return self._gone.is_set() or stop_tree(self._root, timeout)

    def restop(self) -> None:
        """Without a cgroup a stopped process may have arranged for its own SIGCONT: stop it again (keeper's thread)."""
        if self.frozen and self._lock.acquire(blocking=False):
            try:
                if self.frozen:
                    stop_tree(self._root, 0)
            finally:
                self._lock.release()

    def _kill(self, timeout: float) -> Death:
        asked_at = self.clock()
        self.frozen = True
        frozen_at = self.clock() if self._stop(FREEZE_LIMIT) else None
        # Looking at each of them would let a large tree wait for its death.
        processes = len(self.leaf.pids()) if self.leaf is not None else len(self.processes())
        killed_at = self.clock()
        self._strike()
        empty = self._wait_empty(timeout)
        dead_at = self.clock()
        if not empty or not self._gone.wait(timeout):
            alive = ", ".join(str(process.pid) for process in self.processes()) or "not even known"
            raise GuardError(
                "AG406",
                f"{self.name} is NOT dead {timeout} s after the kill: the processes that live are {alive}.",
                "Kill again; if it stays so, cut the host's power.",
            )
        return Death(self.mode, asked_at, frozen_at, killed_at, dead_at, processes)

    def _strike(self) -> None:
        """SIGKILL for everything: the cgroup, the namespace through its init, and bubblewrap."""
        if self._gone.is_set():  # its numbers may be another's by now
            return
        if self.leaf is not None:
            self.leaf.kill()
        elif self.mode is Mode.NONE and self._root:
            for process in self.processes():
                send(process, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.killpg(self._root, signal.SIGKILL)
        for pidfd in self._pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _wait_empty(self, timeout: float) -> bool:
        """Whether the kernel says, within `timeout` seconds each, that cgroup and namespace are empty."""
        if not all(wait_exit(pidfd, timeout) for pidfd in self._pidfds):
            return False
        if self.leaf is not None:
            return self.leaf.wait_empty(timeout)
        return self.mode is Mode.PIDNS or all(process.state == "Z" for process in self.processes())

    def bury(self, code: int) -> None:
        """Once bubblewrap is reaped: end what the agent left behind, and only then say that it is gone (keeper)."""
        self.exit_code = code if code >= 0 else 128 - code
        self._strike()
        while not self._wait_empty(BURY_SECONDS):
            self._strike()
        if self.leaf is not None:
            self.leaf.remove()
        if self._deadman is not None:
            self._deadman.release(self._held)
        if self._own_deadman is not None:
            self._own_deadman.close()
        self._gone.set()
        with self._lock:
            for pidfd in self._pidfds:
                os.close(pidfd)
            self._pidfds.clear()
