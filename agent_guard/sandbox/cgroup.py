"""A leaf of the cgroup v2 tree: it holds an agent's processes, freezes them and kills them, however they forked.

Guarantees: `kill` reaches every process in the leaf, also one forked meanwhile; `wait_empty` is True only when the
kernel says `populated 0`. Trusts the kernel, and that nobody in the leaf may write to the cgroup file system.
Source: Linux Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files".
"""

import errno
import os
import re
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_guard.errors import GuardError

_RECHECK_MS = (
    1  # the kernel announces changes of cgroup.events at most every 10 ms: look again sooner than that
)


def find_cgroup2(mountinfo: str) -> Path | None:
    """Where the cgroup v2 tree is mounted, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        if source.split(" ", 1)[0] == "cgroup2":
            return Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount.split(" ")[4]))
    return None


def own_cgroup(mount: Path, membership: str) -> Path | None:
    """The folder of the cgroup this process is in, from the text of /proc/self/cgroup (cgroups(7)).

    None if the process sees only a part of the tree that its own cgroup lies outside of.
    """
    for line in membership.splitlines():
        if line.startswith("0::/"):
            relative = line.removeprefix("0::/")
            return None if ".." in relative.split("/") else mount / relative
    return None


def leaf_name(pid: int, started: int, label: str) -> str:
    """The name of a leaf: whose it is (the guard's pid and start time, clock ticks since boot) and what it holds."""
    return f"agent-guard.{pid}.{started}.{re.sub('[^A-Za-z0-9_-]', '-', label)[:64] or '-'}"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One leaf. Times in seconds; `clock` is monotonic."""

    path: Path
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def create(cls, parent: Path, name: str) -> "Cgroup":
        """Make the leaf `parent/name`. Raises GuardError AG402 if the guard may not, or the kernel is too old."""
        leaf = cls(parent / name)
        try:
            leaf.path.mkdir()
            if not (leaf.path / "cgroup.kill").exists() or not (leaf.path / "cgroup.freeze").exists():
                leaf.path.rmdir()
                raise OSError("the kernel offers no cgroup.kill (it came with Linux 5.14)")
        except OSError as error:
            raise GuardError(
                "AG402",
                f"No cgroup could be made under {parent}: {error}. Nothing was started.",
                "Run as root or under `systemd-run --user --scope -p Delegate=yes`.",
            ) from error
        return leaf

    @property
    def procs(self) -> Path:
        """The file to which a process writes its pid to join."""
        return self.path / "cgroup.procs"

    def pids(self) -> list[int]:
        """The processes in the leaf, zombies included; empty once the leaf is removed."""
        with _removed_is_empty():
            return [int(line) for line in self.procs.read_text().split()]
        return []

    def limit(self, controller: str, most: int) -> bool:
        """Bound what the leaf may hold, of `pids` or `memory` (bytes); False if that controller is not enabled here."""
        file = self.path / f"{controller}.max"
        enabled = file.exists()
        if enabled:
            file.write_text(str(most))
        return enabled

    def begin_freezing(self) -> None:
        """Stop every process, without waiting until all stand still."""
        self._write("cgroup.freeze", "1")

    def freeze(self, timeout: float) -> bool:
        """Stop every process; True once the kernel says that all stand still."""
        self.begin_freezing()
        return self._wait("frozen 1", timeout)

    def thaw(self) -> None:
        """Let them go on."""
        self._write("cgroup.freeze", "0")

    def kill(self) -> None:
        """Send SIGKILL to everything in the leaf, frozen or not."""
        self._write("cgroup.kill", "1")

    def populated(self) -> bool:
        """Whether a living process is in the leaf (zombies don't count)."""
        return not self._wait("populated 0", 0)

    def wait_empty(self, timeout: float) -> bool:
        """Wait until nothing in the leaf lives; False if something still does after `timeout`."""
        return self._wait("populated 0", timeout)

    def remove(self) -> bool:
        """Remove the leaf; False if something is still in it."""
        try:
            with _removed_is_empty():
                self.path.rmdir()
        except OSError:
            return False
        return True

    def _write(self, name: str, value: str) -> None:
        with _removed_is_empty():
            file = os.open(self.path / name, os.O_WRONLY)
            try:
                os.write(file, value.encode())
            finally:
                os.close(file)

    def _wait(self, line: str, timeout: float) -> bool:
        deadline = self.clock() + timeout
        with _removed_is_empty(), (self.path / "cgroup.events").open("rb", buffering=0) as events:
            poller = select.poll()
            poller.register(events, select.POLLPRI)
            while line.encode() not in os.pread(events.fileno(), 4096, 0):
                if self.clock() >= deadline:
                    return False
                poller.poll(_RECHECK_MS)
        return True


@contextmanager
def _removed_is_empty() -> Iterator[None]:
    """The kernel lets a cgroup be removed only when nothing is in it: whatever was to be done is done."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
