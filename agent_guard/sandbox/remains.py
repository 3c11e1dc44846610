"""Is anything left of a container whose guard is gone? Claimed only where the kernel proves it.

A guard marks where a container is held; a later guard on the same host asks the kernel about that mark. Guarantees:
`how_known` names a proof or nothing. The proofs, by the same words as in `typed_data.death`:

  boot       the mark is of an earlier boot of this machine (/etc/machine-id): no process outlives its kernel.
  cgroup     the leaf holds no living process, or is gone from the very tree in which it was made, and that is seen in
             the same place: the kernel lets a cgroup be removed only when it is empty, and never be moved
             (admin-guide/cgroup-v2.rst).
  namespace  the init of the PID namespace has ended, which the kernel reports after the last process in it is gone
             (pid_namespaces(7)), as seen from the namespace in which its pid was noted.

Without a container (`Mode.NONE`) only a boot proves anything. Trusts the kernel, root on the host, and that no clone of
this machine bears its machine-id. The numbers of namespaces and processes are used anew; that does no harm: a
namespace whose number is another's by now has ended, with all in it, and a process is known by its start time too.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent_guard.sandbox.cgroup import Cgroup, find_cgroup2
from agent_guard.sandbox.choice import Mode
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.keeper import wait_exit
from agent_guard.sandbox.processes import read_process

_MACHINE = Path("/etc/machine-id")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a container is held.

    Args:
        machine, boot: machine-id(5) ("" if this host has none, or none yet), and the id of its kernel's boot.
        namespace: of the guard's own PID namespace, in which `init` counts.
        mode: `Mode`, as its value.
        tree: device and inode of the root of the cgroup tree as the guard sees it; "" if it sees none.
        leaf, leaf_inode: the container's cgroup ("" if it has none).
        init, init_started: pid and start time (clock ticks since boot) of its namespace's init; 0 if not known.
    """

    machine: str
    boot: str
    namespace: int
    mode: str
    tree: str = ""
    leaf: str = ""
    leaf_inode: int = 0
    init: int = 0
    init_started: int = 0


def mark_host(mode: Mode) -> Mark:
    """The mark of a container that is about to be built. Raises `OSError` if /proc can't be read."""
    machine = _MACHINE.read_text().strip() if _MACHINE.exists() else ""
    # An image that was never started says "uninitialized", like all of its kind.
    known = machine if _ID.fullmatch(machine) else ""
    return Mark(known, _BOOT.read_text().strip(), _own_namespace(), mode.value, _tree())


def mark(container: Container) -> Mark:
    """The mark of a container that stands. Raises `OSError` if /proc can't be read."""
    here = mark_host(container.mode)
    if container.mode is Mode.NONE:
        return here
    if container.leaf is not None:
        path = container.leaf.path
        with suppress(FileNotFoundError):  # it has ended already
            return replace(here, leaf=str(path), leaf_inode=path.stat().st_ino)
        return here
    init = next(iter(container.processes()), None)  # parents come first
    return here if init is None else replace(here, init=init.pid, init_started=init.started)


def how_known(mark: Mark) -> str | None:
    """What proves that nothing of the marked container is left (`HOW_KNOWN`); None if something lives, or no proof is
    to be had here. Raises `OSError` if the kernel can't be asked."""
    here = mark_host(Mode.NONE)
    if mark.boot != here.boot:
        return "boot" if mark.machine and mark.machine == here.machine else None
    if mark.leaf:
        same = mark.tree and mark.tree == here.tree and _is_seen(mark)
        return "cgroup" if same and _is_empty(mark) else None
    if mark.init and mark.namespace == here.namespace:
        return "namespace" if _has_ended(mark.init, mark.init_started) else None
    return None


def _is_seen(mark: Mark) -> bool:
    """Whether the leaf would be seen where it was: the same tree may be mounted in another place by now."""
    mount = _mount()
    return mount is not None and Path(mark.leaf).is_relative_to(mount)


def _is_empty(mark: Mark) -> bool:
    leaf = Path(mark.leaf)
    try:
        same = leaf.stat().st_ino == mark.leaf_inode
    except FileNotFoundError:
        return True
    return same and not Cgroup(leaf).populated()


def _has_ended(pid: int, started: int) -> bool:
    try:
        pidfd = os.pidfd_open(pid)  # asks the kernel, whatever /proc hides from us
    except ProcessLookupError:
        return True
    try:
        process = read_process(pid)
        other = process is not None and process.started != started
        return other or wait_exit(pidfd, 0)
    finally:
        os.close(pidfd)


def _own_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _mount() -> Path | None:
    return find_cgroup2(Path("/proc/self/mountinfo").read_text())


def _tree() -> str:
    mount = _mount()
    if mount is None:
        return ""
    root = mount.stat()
    return f"{root.st_dev}:{root.st_ino}"
