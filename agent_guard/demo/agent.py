"""The demonstration's agent: indexes a folder of texts, asking the guard before each step. It also resists its end.

It does real work through the SDK (reads files, counts words, writes an index), and starts children that ignore
SIGTERM, leave its session, and detach by double forks: what a process that does not want to be stopped would do.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from agent_guard.sdk import Guard

PAUSE_SECONDS = 0.15


def main(folder: Path) -> None:
    resist()
    guard = Guard()
    index: dict[str, dict[str, int]] = {}
    for path in sorted(folder.iterdir()):
        with guard.action("fs.read", path=str(path)) as action:
            text = path.read_text()
            action.result = {"bytes": len(text)}
        index[path.name] = dict(Counter(text.split()).most_common(3))
        with guard.action("fs.write", path="index.json", entries=len(index)) as action:
            Path("index.json").write_text(json.dumps(index, indent=2))
            action.result = {"words": sum(index[path.name].values())}
        time.sleep(PAUSE_SECONDS)


def resist() -> None:
    """Four children, each with a way of its own to outlive a signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for detach in (ignore_only, new_session, double_fork, hop):
        if os.fork() == 0:
            detach()
            while True:
                time.sleep(1)


def ignore_only() -> None:
    """Stays a plain child that ignores SIGTERM (inherited)."""


def new_session() -> None:
    """Leaves the session and process group of its parent."""
    os.setsid()


def double_fork() -> None:
    """Becomes an orphan, as daemons do."""
    os.setsid()
    if os.fork():
        os._exit(0)


def hop() -> None:
    """Forks and leaves its old self behind, ten times, so that its pid is never where one looks."""
    for _ in range(10):
        if os.fork():
            os._exit(0)
        os.setsid()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
