"""The guard's pulse: a small file, replaced at most once a second, that `status` reads on the same host.

It says that the guard lives and what it waits for. It is a convenience and proves nothing: whoever doubts reads the
chain.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent_guard.types import Standing

EVERY_SECONDS = 1.0


class Pulse:
    """Writes the pulse of one agent's guard. `witnesses` says, at once, where they stand (`telemetry.summary`)."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        witnesses: Callable[[], Mapping[str, object]] | None = None,
    ) -> None:
        self.path = path
        self._witnesses = witnesses
        self._clock = clock
        self._last = float("-inf")

    def beat(self, standing: Standing, lag: tuple[int, float], mode: str) -> None:
        """Writes, unless it did within the last second. A disk that fails must not stop the guard: it is not told."""
        if self._clock() - self._last < EVERY_SECONDS:
            return
        self._last = self._clock()
        content: dict[str, object] = {
            "at": time.time(),
            "pid": os.getpid(),
            "verdict": standing.verdict.decision.value,
            "reason": standing.verdict.reason,
            "block": standing.block.number if standing.block else None,
            "anchor_lag": {"entries": lag[0], "seconds": lag[1]},
            "mode": mode,
        }
        if standing.endpoints is not None:
            content["endpoints"] = asdict(standing.endpoints)
        if self._witnesses is not None:
            content["witnesses"] = self._witnesses()
        partial = self.path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(content))
            partial.replace(self.path)
        except OSError:
            self._last = float("-inf")  # tried again at the next tick

    def end(self) -> None:
        """Takes the pulse away: the guard ends in order."""
        self.path.unlink(missing_ok=True)


def keep_death(path: Path, facts: Mapping[str, object]) -> None:
    """Leaves the last death receipt where `status` finds it; the log has it all the same."""
    partial = path.with_suffix(".partial")
    with suppress(OSError):  # a convenience
        partial.write_text(json.dumps(facts))
        partial.replace(path)


def last_death(path: Path) -> dict[str, Any] | None:
    """The last death receipt on this host, None if there is none."""
    try:
        facts = json.loads(path.read_text())
        return facts if isinstance(facts, dict) and facts.keys() & {"dead", "found"} else None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Heard:
    """A pulse as `status` finds it. `alive`: the process is there and beat within the last five seconds."""

    alive: bool
    age: float
    content: dict[str, Any]


def listen(path: Path, now: float) -> Heard | None:
    """The pulse of the guard on this host, None if there is none. `now` in unix seconds."""
    try:
        content = json.loads(path.read_text())
        if not content.keys() >= {"verdict", "reason", "anchor_lag", "mode"}:
            return None
        age = max(0.0, now - content["at"])
        return Heard(age < 5 * EVERY_SECONDS and Path(f"/proc/{content['pid']}").exists(), age, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
