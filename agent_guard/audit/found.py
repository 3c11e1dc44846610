"""Lives that a later guard found dead.

A guard that is killed takes its agent along and can write nothing more; the next one looks, and records that it found
the life dead. That is the operator's word like any death receipt, and it says less: not when the agent died, only by
when nothing of it was left. So it bounds an overrun and never measures it, and ends only the life that it names, if
that is the one that is open.
"""

from dataclasses import dataclass

from agent_guard import text
from agent_guard.audit.facts import Written
from agent_guard.entry import Entry
from agent_guard.typed_data.death import HOW_KNOWN


@dataclass(frozen=True, slots=True)
class Found:
    """A life that was found dead.

    Args:
        index: of the record; `start` of the entry that began the life.
        found: when the guard says it looked, unix ms.
        by: unix ms by which it was dead at the latest, by the operator's word, and no sooner than the anchor before the
            record: that may have been written long after the time it names. An anchor after it that comes too late is
            held against the end as against any other (lives.py).
        known: what proves it, in words; last: the life's last request and the latest time of any, None without one.
    """

    index: int
    start: int
    found: int
    by: int
    known: str
    last: tuple[int, int] | None

    def in_words(self) -> str:
        """What is known of this death, for a verdict's detail."""
        last = self.last
        acts = (
            "no action of it is on record"
            if last is None
            else f"no action of it stands after entry {last[0]} ({_clock(last[1])})"
        )
        return (
            f"the life that began with entry {self.start} was found dead at {_clock(self.found)} by the next guard"
            f" (entry {self.index}: {self.known}); the moment of death is not known, {acts}"
        )


def finding(
    record: Entry, alive: Entry | None, last: tuple[int, int] | None, written: Written
) -> Found | str:
    """What a record says of the life that is open, `alive`; or, in words, why it ends none.

    Args:
        last: the life's last request, and the latest time of any (unix ms).
        written: when the record was, by the chain's clocks.
    """
    life, found, known = (record.meta.get(name) for name in ("life", "found", "known"))
    if alive is None or type(found) is not int or {life, record.refers_to} != {alive.index}:
        return (
            f"entry {record.index} says that the life of entry {life} was found dead, and that is not the life which"
            " was open then"
        )
    if known not in HOW_KNOWN:
        return f"entry {record.index} says that the agent was found dead, and not in any known way how that was known"
    by = max(found, record.time, written.after * 1000)
    return Found(record.index, alive.index, found, by, HOW_KNOWN[str(known)], last)


def _clock(unix_ms: int) -> str:
    return text.iso(unix_ms / 1000)
