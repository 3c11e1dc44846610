"""Records refusals, and never so many that an agent could fill the disk with them.

Each refusal code has a bucket of its own, so that a flood of one kind can't push another out of the log. What a bucket
has no room for is counted, and the next record of that kind says how many went unrecorded. What an agent wrote is cut
short: nothing in a record is longer than `DETAIL_LIMIT` characters.
"""

from collections.abc import Callable
from typing import Any

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.gate.landings import Landing
from agent_guard.gate.records import Records

DETAIL_LIMIT = 512


class RefusalLog:
    """Used from one thread (the server's loop).

    Args:
        records: where they are written.
        burst: records of one code that may be written at once.
        refill: seconds until one more may be.
        clock: monotonic seconds.
    """

    def __init__(self, records: Records, burst: int, refill: float, clock: Callable[[], float]) -> None:
        self._records = records
        self._burst = burst
        self._refill = refill
        self._clock = clock
        self._room: dict[str, tuple[float, float]] = {}
        self._unrecorded: dict[str, int] = {}

    @property
    def unrecorded(self) -> int:
        """Refusals that were counted and not yet mentioned in any record."""
        return sum(self._unrecorded.values())

    def note(self, error: GuardError, **details: Any) -> Landing | None:
        """Records one refusal, or counts it and returns None when its bucket is empty.

        Raises:
            GuardError: AG605, AG606 the records take none now; it is counted.
        """
        missed = self._unrecorded.get(error.code, 0)
        self._unrecorded[error.code] = missed + 1
        if not self._take(error.code):
            return None
        content = refusal_content(error, **details)
        if missed:
            content["unrecorded_before"] = missed
        landing = self._records.append(Kind.REFUSED, content)
        del self._unrecorded[error.code]
        return landing

    def _take(self, code: str) -> bool:
        now = self._clock()
        room, since = self._room.get(code, (float(self._burst), now))
        room = min(float(self._burst), room + (now - since) / self._refill)
        allowed = room >= 1
        self._room[code] = (room - 1 if allowed else room, now)
        return allowed


def refusal_content(error: GuardError, **details: Any) -> dict[str, Any]:
    """The content of a `refused` entry: code, reason and what is known of the request, each cut short."""
    content: dict[str, Any] = {"code": error.code, "reason": error.message[:DETAIL_LIMIT]}
    for name, value in details.items():
        content[name] = value[:DETAIL_LIMIT] if isinstance(value, str) else value
    return content
