"""A process beside the guard that kills what the guard holds once the guard is gone, or stands still.

A guard that is stopped (SIGSTOP), or whose watching hangs, can't kill; and an ordinary user's agent may reach into its
namespace's init, which has its own user, and clear the parent-death signal there. This process lies outside of every
container. Guarantees: what it holds is struck by it (cgroup.kill, and SIGKILL to the init through its pidfd) when its
channel to the guard ends, or when no beat came for `limit` seconds. Trusts the kernel. Who kills or stops it and the
guard in the same moment is not held up; one that died alone is replaced at the next beat.
"""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from agent_guard.errors import GuardError

ANSWER_SECONDS = 5.0
_STRUCK = b"struck"

# Messages: "." a beat, "+KEY LEAF" (with the pidfd) hold, "-KEY" let go; answers: "KEY" held, "struck".
_PROGRAM = """
import os, select, signal, socket, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
guard, limit, held = socket.socket(fileno=0), float(sys.argv[1]), {}
def strike():
    for leaf, pidfd in held.values():
        try:
            if leaf:
                with open(leaf + b"/cgroup.kill", "w") as file:
                    file.write("1")
        except OSError:
            pass
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:
            pass
heard = time.monotonic()
while True:
    wait = max(0.0, heard + limit - time.monotonic()) if limit and held else None
    if not select.select([guard], [], [], wait)[0]:
        strike()
        heard = time.monotonic()
        try:
            guard.send(b"struck", socket.MSG_DONTWAIT)
        except OSError:
            pass
        continue
    data, pidfds, _, _ = socket.recv_fds(guard, 8192, 1)
    heard = time.monotonic()
    if not data:
        strike()
        break
    if data[:1] == b"+":
        key, _, leaf = data[1:].partition(b" ")
        held[key] = (leaf, pidfds[0])
        guard.send(key)
    elif data[:1] == b"-" and data[1:] in held:
        os.close(held.pop(data[1:])[1])
"""


class Deadman:
    """The guard's end of it; any thread may use it.

    Args:
        limit: seconds without a beat until it strikes; 0: only when the guard is gone.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._held: dict[int, tuple[int, bytes]] = {}  # pidfds of our own, and leaves
        self._keys = 0
        self._struck, self._struck_at = False, float("-inf")
        self._lock = threading.Lock()  # guards all of it
        self._start()

    def hold(self, pidfd: int, leaf: Path | None) -> int:
        """Has it hold the process behind a pidfd (the caller may close it), and a cgroup; the key to let them go.

        Raises:
            GuardError: AG409 if it does not answer; nothing is held then.
        """
        with self._lock:
            self._keys += 1
            key, path = self._keys, b"" if leaf is None else os.fsencode(leaf)
            self._held[key] = os.dup(pidfd), path
            try:
                self._hand_over(key)
            except OSError as error:
                os.close(self._held.pop(key)[0])
                raise _unanswered() from error
            return key

    def release(self, key: int) -> None:
        """Lets go of what is dead by now; does nothing a second time."""
        with self._lock:
            if key in self._held:
                os.close(self._held.pop(key)[0])
                with suppress(
                    OSError
                ):  # it is gone, or stands still: then it holds a dead process, which harms nobody
                    self._channel.send(b"-%d" % key, socket.MSG_DONTWAIT)

    def beat(self) -> bool:
        """Says that the guard lives; whether it has struck since the last beat. Replaces one that died.

        While it is being handed something it says nothing, for that is heard as well: if it stands still, that takes
        seconds, and whoever beats watches for halts.

        Raises:
            GuardError: AG409 if there is none to be had: then nothing would end the agents if the guard hung.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            try:
                with suppress(BlockingIOError):  # it stands still; its channel is full
                    self._channel.send(b".", socket.MSG_DONTWAIT)
            except OSError:
                self._replace()
            with suppress(OSError):
                self._struck |= self._channel.recv(64, socket.MSG_DONTWAIT) == _STRUCK
            struck, self._struck = self._struck, False
            if struck:
                self._struck_at = time.monotonic()
            return struck
        finally:
            self._lock.release()

    def has_struck_since(self, moment: float) -> bool:
        """Whether it is known to have struck since then (monotonic seconds)."""
        with self._lock:
            with suppress(OSError):
                self._struck |= self._channel.recv(64, socket.MSG_DONTWAIT) == _STRUCK
            return self._struck or self._struck_at >= moment

    def close(self) -> None:
        """Ends it. What it still held is struck."""
        with self._lock:
            self._channel.close()
            try:
                self._process.wait(ANSWER_SECONDS)
            except subprocess.TimeoutExpired:  # somebody stopped it
                self._process.kill()
                self._process.wait()
            for pidfd, _ in self._held.values():
                os.close(pidfd)
            self._held.clear()

    def _start(self) -> None:
        self._channel, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, str(self._limit)],
                stdin=far.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )

    def _replace(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()
        try:
            self._start()
            for key in self._held:
                self._hand_over(key)
        except OSError as error:
            raise _unanswered() from error

    def _hand_over(self, key: int) -> None:
        pidfd, leaf = self._held[key]
        socket.send_fds(self._channel, [b"+%d %s" % (key, leaf)], [pidfd], socket.MSG_DONTWAIT)
        deadline = time.monotonic() + ANSWER_SECONDS
        while select.select([self._channel], [], [], max(0.0, deadline - time.monotonic()))[0]:
            answer = self._channel.recv(64)
            if answer == b"%d" % key:
                return
            if not answer:
                break
            self._struck |= answer == _STRUCK
        raise TimeoutError("no answer")


def _unanswered() -> GuardError:
    return GuardError(
        "AG409",
        "The process that kills the agents should this guard hang does not answer. No agent was started.",
        "Run agent-guard doctor; see that nothing stops or kills the guard's own processes.",
    )
