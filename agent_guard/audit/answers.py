"""Does every answer belong to a request? Outcomes, decisions and withdrawals against the intents before them.

Guarantees: each intent of the agent is closed at most once, by an outcome or by the refusal that took it back, and
nothing else is answered: exactly, however many stay open. An intent without an outcome is no fault: the agent may have
been killed, or never have said; those are counted. Memory: one bit per entry at the most, and next to none while
requests are answered.
"""

from agent_guard.audit.result import Aspect, Fault
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind

RECENT = 4_096
"""Open requests that are held one by one; more go into bits."""
_STRETCH = 12
"""Bits are held in stretches of 2^12 places."""
_INTENT, _OUTCOME, _REFUSED, _DECISION = Kind.INTENT, Kind.OUTCOME, Kind.REFUSED, Kind.DECISION


class Answers:
    """Sees the audited agent's entries in order."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older: dict[int, int] = {}
        self._broken = self._doubted = False
        self._unanswered = 0

    @property
    def unanswered(self) -> int | None:
        """Intents without an outcome; None where entries can't be read or are missing, so that nobody can tell."""
        return None if self._broken or self._doubted else self._unanswered

    def see(self, entry: Entry) -> Fault | None:
        """Takes the agent's next entry; the fault, if it answers what was not open."""
        kind, asked = entry.kind, entry.refers_to
        if kind is _INTENT:
            self._open(entry.index)
            self._unanswered += 1
        elif asked is not None and (kind is _OUTCOME or kind is _REFUSED):
            if not self._close(asked):
                return self._fault(entry, asked)
            self._unanswered -= 1
        elif asked is not None and kind is _DECISION and not self._is_open(asked):
            return self._fault(entry, asked)
        return None

    def fits(self, stretch: Stretch) -> bool:
        """Whether `see` would find no fault in any of its entries."""
        answered = set(stretch.answered)
        return (
            not self._broken
            and len(answered) == len(stretch.answered)
            and answered <= self._recent | stretch.intents
        )

    def take(self, stretch: Stretch) -> None:
        """As `see` for each of its entries, which `fits` was asked about."""
        self._recent |= stretch.intents
        self._recent -= set(stretch.answered)
        self._unanswered += len(stretch.intents) - len(stretch.answered)
        self._spill()

    def doubt(self, index: int) -> None:
        """An entry that can't be read stands here: it may have been an intent."""
        self._doubted = True
        self._open(index)

    def break_off(self) -> None:
        """Entries are missing: nobody can tell any more what is open."""
        self._broken = True
        self._recent.clear()
        self._older.clear()

    def _open(self, index: int) -> None:
        if self._broken:
            return
        self._recent.add(index)
        self._spill()

    def _spill(self) -> None:
        """Few are held one by one."""
        if len(self._recent) > RECENT:
            for recent in self._recent:
                stretch, bit = _place(recent)
                self._older[stretch] = self._older.get(stretch, 0) | bit
            self._recent.clear()

    def _is_open(self, index: int) -> bool:
        stretch, bit = _place(index)
        return index in self._recent or bool(self._older.get(stretch, 0) & bit)

    def _close(self, index: int) -> bool:
        if index in self._recent:
            self._recent.remove(index)
            return True
        stretch, bit = _place(index)
        bits = self._older.get(stretch, 0)
        if not bits & bit:
            return False
        if bits == bit:
            del self._older[stretch]
        else:
            self._older[stretch] = bits ^ bit
        return True

    def _fault(self, entry: Entry, asked: int) -> Fault | None:
        if self._broken:
            return None
        why = (
            f"it answers entry {asked}, which is no open request of this agent: its intent is missing, is another"
            " agent's, or was answered before"
        )
        return Fault(Aspect.COMPLETENESS, entry.index, entry.kind.value, why)


def _place(index: int) -> tuple[int, int]:
    """Its stretch, and its bit there."""
    return index >> _STRETCH, 1 << (index & (1 << _STRETCH) - 1)
