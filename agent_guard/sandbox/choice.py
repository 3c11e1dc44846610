"""How an agent is held, as a value: the mode, why it and no other, and the leaf it leads to. `mode` chooses.

Guarantees: a missing program is an error, never a weaker mode; a leaf bears its guard's mark. Trusts /proc.
"""

import itertools
import os
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.sandbox.cgroup import Cgroup, leaf_name
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


def require_programs(
    search: str | None = None, names: tuple[str, ...] = ("bwrap", "prlimit", "setpriv", "sh")
) -> None:
    """Raise GuardError AG401 if a program that a container needs is not in `search` (a PATH; None: our own)."""
    missing = [name for name in names if shutil.which(name, path=search) is None]
    if missing:
        raise GuardError(
            "AG401",
            f"{', '.join(missing)} not found in PATH. No container can be built, and no agent was started.",
            "Install it: `apt-get install bubblewrap util-linux` (Debian, Ubuntu), `dnf install bubblewrap` (Fedora).",
        )


def new_leaf(parent: Path, label: str) -> Cgroup:
    """A leaf that bears this process's mark, so that a later guard can tell whether its owner lives."""
    guard = read_process(os.getpid())
    return Cgroup.create(
        parent, leaf_name(os.getpid(), guard.started if guard else 0, f"{label}-{next(_serial)}")
    )


def own_code() -> tuple[Path, ...]:
    """Where the guard's own program lies: its package, virtual environment and interpreter."""
    return Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix)
