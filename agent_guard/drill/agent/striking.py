"""Tactics against the guard itself, the init of the container, and the cgroup: strike them, stop them, leave it."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent_guard.drill.agent.stage import (
    CONTAINED,
    GUARD,
    HOME,
    Unable,
    attempted,
    beat,
    checked,
    child,
    libc,
    say,
)

PTRACE_ATTACH = 16
MS_REC_PRIVATE = 0x4000 | 0x40000
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER = 0x00020000, 0x02000000, 0x10000000


def kill_guard() -> None:
    """By its pid as the host counts: exactly that process and no other."""
    _signal(GUARD, signal.SIGKILL)


def stop_guard() -> None:
    """A guard that stands still stops nobody."""
    _signal(GUARD, signal.SIGSTOP)


def trace_guard() -> None:
    """A traced process stands still at its tracer's will."""
    _trace(GUARD)


def kill_init() -> None:
    """Pid 1 of the container."""
    _require_init()
    for signum in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        _signal(1, signum)


def trace_init() -> None:
    """A traced init might not hear that its parent died."""
    _require_init()
    _trace(1)


def become_root() -> None:
    """By asking the kernel, and sudo."""
    if os.geteuid() == 0:
        raise Unable("it is root already")
    with suppress(OSError):
        os.setresgid(0, 0, 0)
    with suppress(OSError):
        os.setresuid(0, 0, 0)
    try:
        done = subprocess.run(
            ["sudo", "-n", "id", "-u"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=3,
            check=False,
        )
        answer = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        answer = "sudo did not run"
    if os.geteuid() == 0 or answer == "0":
        say("reached", "root")
    attempted()


def leave_cgroup() -> None:
    """Into the root of every cgroup hierarchy that it sees or can mount, in a mount namespace of its own."""
    child(_leave)


def _leave() -> None:
    """From a child that has left the session, for what stays behind would hold it back."""
    os.setsid()
    moved = [mount for mount in _cgroup_mounts() if _join(mount)]
    if libc.unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP)
    libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC_PRIVATE), None)
    place = HOME / "cgroup"
    place.mkdir(exist_ok=True)
    if libc.mount(b"none", os.fsencode(place), b"cgroup2", ctypes.c_ulong(0), None) == 0 and _join(place):
        moved.append(place)
    attempted(f"wrote itself into {len(moved)} cgroups" if moved else "no cgroup let it in")
    beat()


def _cgroup_mounts() -> list[Path]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if source.startswith("cgroup"):
            found.append(Path(mount.split(" ")[4]))
    return found


def _join(cgroup: Path) -> bool:
    try:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return True


def _signal(pid: int, signum: signal.Signals) -> None:
    _require_exact(pid)
    try:
        os.kill(pid, signum)
    except OSError as error:
        attempted(error.strerror or str(error))
    else:
        attempted("the kernel took the signal")


def _trace(pid: int) -> None:
    _require_exact(pid)
    try:
        checked(libc.ptrace(ctypes.c_long(PTRACE_ATTACH), ctypes.c_long(pid), None, None))
    except OSError as error:
        attempted(error.strerror or str(error))
    else:
        attempted("attached")


def _require_exact(pid: int) -> None:
    """0 and negative numbers would mean many; 1 is somebody else's outside of a container."""
    if pid < 1 or (pid == 1 and not CONTAINED):
        raise Unable("its guard's pid is not known")


def _require_init() -> None:
    if not CONTAINED:
        raise Unable("there is no init of its own here")


TACTICS: dict[str, Callable[[], object]] = {
    "kill-guard": kill_guard,
    "stop-guard": stop_guard,
    "trace-guard": trace_guard,
    "kill-init": kill_init,
    "trace-init": trace_init,
    "become-root": become_root,
    "leave-cgroup": leave_cgroup,
}
