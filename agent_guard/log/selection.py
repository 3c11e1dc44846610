"""Choosing entries to show: of one agent, between two places, of some kinds, the newest so many of them.

Streams, so that memory does not grow with the log. Trusts the store, as `reading` does.
"""

from collections import deque
from collections.abc import Collection

from agent_guard.entry import Kind
from agent_guard.log.reading import AnyLog, LogEntry, entries, newest


def select(
    reader: AnyLog,
    count: int,
    agent: bytes,
    first: int | None = None,
    last: int | None = None,
    kinds: Collection[Kind] = (),
) -> tuple[list[LogEntry], bool]:
    """The newest `count` entries of an agent (32-byte id), oldest first, and whether there are more before them.

    Args:
        first, last: only those from and to these indices, both with.
        kinds: only these kinds; all if there are none.

    Raises:
        GuardError: AG515 if an entry can't be read.
    """
    if first is None and last is None and not kinds:
        found = newest(reader, count + 1, agent)
        return found[-count:], len(found) > count
    end = None if last is None else last + 1
    wanted = (
        item for item in entries(reader, agent, first or 0, end) if not kinds or item.entry.kind in kinds
    )
    kept = deque(wanted, maxlen=count + 1)
    return list(kept)[-count:], len(kept) > count
