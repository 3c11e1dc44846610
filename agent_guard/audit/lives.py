"""The agent's lives, as the log tells them: which one is open, and those that a later guard found dead.

A guard that is killed takes its agent along and can write nothing more; the next one looks, and records that it found
the life dead. That is the operator's word like any death receipt, and it says less: not when the agent died, only by
when nothing of it was left. So it bounds an overrun and never measures it. It ends the life that it names, if that is
the one that is open; whoever acts after it was not dead.
"""

from dataclasses import dataclass

from agent_guard import text
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind
from agent_guard.typed_data.death import HOW_KNOWN, is_found_dead


@dataclass(frozen=True, slots=True)
class Found:
    """A life that was found dead.

    Args:
        index: of the record; `start` of the entry that began the life.
        found: when the guard says it looked, unix ms.
        by: unix ms by which it was dead at the latest, by the latest of all clocks: the record may have been written,
            and the log anchored, long after the time it names.
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


class Lives:
    """Sees the audited agent's entries in order; deaths only if the operator signed them."""

    def __init__(self) -> None:
        self.open: Entry | None = None
        self.found: Found | None = None
        """The newest that was found dead."""
        self.odd: str | None = None
        """What is wrong with the first record of a finding that ends no life."""
        self._last: tuple[int, int] | None = None

    def act(self, entry: Entry) -> None:
        """Takes an intent."""
        self._remember(entry.index, entry.time)

    def take(self, stretch: Stretch) -> None:
        """As `act` for each of its intents."""
        if stretch.intents:
            self._remember(max(stretch.intents), stretch.asked_until)

    def follow(self, entry: Entry, anchored_after: int) -> Found | None:
        """Takes a start, an exit or a death; what was found, if this says so of the life that is open.

        Args:
            anchored_after: the entry was written after about this unix second.
        """
        if entry.kind is Kind.START:
            self.open, self._last = entry, None
        elif entry.kind is Kind.EXIT or (entry.kind is Kind.DEATH and not is_found_dead(entry.meta)):
            self.open = None
        elif entry.kind is Kind.DEATH:
            return self._find(entry, anchored_after)
        return None

    def _remember(self, index: int, time: int) -> None:
        self._last = index, max(time, self._last[1] if self._last else 0)

    def _find(self, entry: Entry, anchored_after: int) -> Found | None:
        life, found, known = (entry.meta.get(name) for name in ("life", "found", "known"))
        if self.open is None or type(found) is not int or {life, entry.refers_to} != {self.open.index}:
            self.odd = self.odd or (
                f"entry {entry.index} says that the life of entry {life} was found dead, and that is not the life which"
                " was open then"
            )
            return None
        if known not in HOW_KNOWN:
            self.odd = self.odd or (
                f"entry {entry.index} says that the agent was found dead, and not in any known way how that was known"
            )
            return None
        by = max(found, entry.time, anchored_after * 1000)
        self.found = Found(entry.index, self.open.index, found, by, HOW_KNOWN[str(known)], self._last)
        self.open = None
        return self.found


def _clock(unix_ms: int) -> str:
    return text.iso(unix_ms / 1000)
