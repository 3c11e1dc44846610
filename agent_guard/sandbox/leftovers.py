"""The cgroup leaves that guards which are gone left behind, by the names they bear (`cgroup.leaf_name`).

Guarantees: the leaf of a living guard is left alone. Trusts /proc, and that nobody else makes folders of such names.
"""

import re
from pathlib import Path

from agent_guard.sandbox.processes import lives

_LEAF = re.compile(r"agent-guard\.(\d+)\.(\d+)\.[A-Za-z0-9_-]+")


def remove_stale(parent: Path) -> list[Path]:
    """Remove the empty leaves of guards that are gone; return those that still hold processes.

    Gone is also a guard that has died and whom its parent never waits for (a zombie). Touches only folders with the
    names of `leaf_name`.
    """
    populated = []
    for path in sorted(parent.iterdir()):
        name = _LEAF.fullmatch(path.name)
        if name is None:
            continue
        if lives(int(name[1]), int(name[2])):
            continue
        try:
            path.rmdir()
        except OSError:
            populated.append(path)
    return populated
