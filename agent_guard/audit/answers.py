"""Does every answer belong to a request? Outcomes, decisions and withdrawals against the intents before them.

Guarantees: each intent of the agent is closed at most once, by an outcome or by the refusal that took it back, and
nothing else is answered: exactly, however many stay open. An intent without an outcome is no fault: the agent may have
been killed, or never have said; those are counted. Memory: one bit per entry at the most, and none for stretches of the
log in which every intent is closed.
"""

from agent_guard.audit.result import Aspect, Fault
from agent_guard.entry import Entry, Kind

_STRETCH = 12
"""Places are kept in stretches of 2^12 bits."""
_CLOSES = frozenset({Kind.OUTCOME, Kind.REFUSED})


class Answers:
    """Sees the audited agent's entries in order."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._broken = False
        self.unanswered = 0

    def see(self, entry: Entry) -> Fault | None:
        """Takes the agent's next entry; the fault, if it answers what was not open."""
        if self._broken:
            return None
        if entry.kind is Kind.INTENT:
            self._set(entry.index)
            self.unanswered += 1
        elif entry.kind is Kind.DECISION or (entry.kind in _CLOSES and entry.refers_to is not None):
            return self._answered(entry)
        return None

    def doubt(self, index: int) -> None:
        """An entry that can't be read stands here: it may have been an intent."""
        if not self._broken:
            self._set(index)

    def break_off(self) -> None:
        """Entries are missing: nobody can tell any more what is open."""
        self._broken = True
        self._open.clear()

    def _answered(self, entry: Entry) -> Fault | None:
        asked = entry.refers_to or 0
        stretch, bit = asked >> _STRETCH, 1 << (asked & (1 << _STRETCH) - 1)
        bits = self._open.get(stretch, 0)
        if not bits & bit:
            why = (
                f"it answers entry {asked}, which is no open request of this agent: its intent is missing, is another"
                " agent's, or was answered before"
            )
            return Fault(Aspect.COMPLETENESS, entry.index, entry.kind.value, why)
        if entry.kind in _CLOSES:
            self._close(stretch, bits ^ bit)
        return None

    def _close(self, stretch: int, left: int) -> None:
        self.unanswered -= 1
        if left:
            self._open[stretch] = left
        else:
            del self._open[stretch]

    def _set(self, index: int) -> None:
        stretch = index >> _STRETCH
        self._open[stretch] = self._open.get(stretch, 0) | 1 << (index & (1 << _STRETCH) - 1)
