"""Which container this host allows: the mode is chosen here, with its reason, and never changed in silence.

Guarantees: a missing program is an error, never a weaker mode; without a cgroup the mode says so. Trusts /proc.
"""

import itertools
import os
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.sandbox.cgroup import Cgroup, find_cgroup2, leaf_name, own_cgroup
from agent_guard.sandbox.processes import read_process

_serial = itertools.count(1)


class Mode(Enum):
    """How the agent is held, as `doctor` and `status` name it."""

    CGROUP = "cgroup+pidns"
    PIDNS = "pidns"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode, why it and no other, and the cgroup under which leaves are made (None where there is none)."""

    mode: Mode
    why: str
    parent: Path | None = None


def require_programs(search: str | None = None, names: tuple[str, ...] = ("bwrap", "setpriv", "sh")) -> None:
    """Raise GuardError AG401 if a program that a container needs is not in `search` (a PATH; None: our own)."""
    missing = [name for name in names if shutil.which(name, path=search) is None]
    if missing:
        raise GuardError(
            "AG401",
            f"{', '.join(missing)} not found in PATH. No container can be built, and no agent was started.",
            "Install it: `apt-get install bubblewrap util-linux` (Debian, Ubuntu), `dnf install bubblewrap` (Fedora).",
        )


def choose_parent(mountinfo: str | None = None) -> Path:
    """The cgroup under which the guard may make leaves: its own. Raises GuardError AG402, having tried.

    Args: `mountinfo` stands in for the text of /proc/self/mountinfo.
    """
    mount = find_cgroup2(Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo)
    parent = own_cgroup(mount, Path("/proc/self/cgroup").read_text()) if mount else None
    if parent is None or not os.access(parent / "cgroup.procs", os.W_OK):
        raise GuardError(
            "AG402",
            "No cgroup v2 tree is mounted that holds the guard's own cgroup and that it may write to.",
            "Run under `systemd-run --user --scope -p Delegate=yes`, or as root with a cgroup2 mount.",
        )
    new_leaf(parent, "trial").remove()
    return parent


def choose_mode(wanted: str = "auto", mountinfo: str | None = None, search: str | None = None) -> Choice:
    """The strongest mode there is (`auto`), or no container (`none`). Raises GuardError AG401, AG101.

    Args: `mountinfo` and `search` stand in for the text of /proc/self/mountinfo and for PATH.
    """
    parent, why = None, "bubblewrap in a cgroup of its own"
    try:
        parent = choose_parent(mountinfo)
    except GuardError as error:
        why = error.message
    if wanted == "none":
        return Choice(Mode.NONE, "asked for: nothing contains the agent", parent)
    if wanted != "auto":
        raise GuardError("AG101", f"--sandbox {wanted!r} is unknown.", "Use `auto` or `none`.")
    require_programs(search)
    return Choice(Mode.CGROUP if parent else Mode.PIDNS, why, parent)


def problems(search: str | None = None) -> list[GuardError]:
    """Everything that stands in the way of the strongest mode, for `doctor`: it may be more than one thing."""
    found = []
    for check in (partial(require_programs, search), partial(choose_parent, None)):
        try:
            check()
        except GuardError as error:
            found.append(error)
    return found


def new_leaf(parent: Path, label: str) -> Cgroup:
    """A leaf that bears this process's mark, so that a later guard can tell whether its owner lives."""
    guard = read_process(os.getpid())
    return Cgroup.create(
        parent, leaf_name(os.getpid(), guard.started if guard else 0, f"{label}-{next(_serial)}")
    )


def own_code() -> tuple[Path, ...]:
    """Where the guard's own program lies: its package, virtual environment and interpreter."""
    return Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix)
