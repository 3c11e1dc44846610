"""Which container this host allows: the mode is chosen here, with its reason, and never changed in silence.

Guarantees: a missing program is an error, never a weaker mode; without a cgroup, or without its limits, the reason says
so. Trusts /proc.
"""

import os
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.sandbox.cgroup import find_cgroup2, own_cgroup
from agent_guard.sandbox.choice import Choice, Mode, new_leaf, own_code, require_programs

__all__ = ["Choice", "Mode", "choose_mode", "choose_parent", "new_leaf", "own_code", "require_programs"]


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
        why += _unlimited(parent)
    except GuardError as error:
        why = error.message
    if wanted == "none":
        return Choice(Mode.NONE, "asked for: nothing contains the agent", parent)
    if wanted != "auto":
        raise GuardError("AG101", f"--sandbox {wanted!r} is unknown.", "Use `auto` or `none`.")
    require_programs(search)
    return Choice(Mode.CGROUP if parent else Mode.PIDNS, why, parent)


def _unlimited(parent: Path) -> str:
    """In words, which limits a leaf can't keep: its parent has not enabled their controllers."""
    missing = sorted({"pids", "memory"} - set((parent / "cgroup.subtree_control").read_text().split()))
    return f"; no {' or '.join(missing)} controller there: rlimits hold in their place" if missing else ""
