"""Does the log reach the chain's head, and is what lies beyond it within the limits? Step 8 of an examination.

The guard's own log that ends before the head was cut off; a copy that does is old. What lies beyond the head rests on
the guard's word alone, and so must be short and young.
"""

from collections.abc import Collection

from agent_guard import text
from agent_guard.audit.facts import ChainFacts
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.result import Aspect, Fault
from agent_guard.audit.stretch import Stretch
from agent_guard.audit.tenure import appointments
from agent_guard.entry import Entry
from agent_guard.errors import GuardError


class Ending:
    """Sees the log's entries in order. `chain` is None where there is none to hold it against.

    `beside`: operators whose logs are audited beside this one. `there`: how many entries the log had before the chain
    was asked, None if nobody looked.
    """

    def __init__(
        self,
        chain: ChainFacts | None,
        limits: LimitsInForce,
        is_copy: bool,
        beside: Collection[str],
        there: int | None,
    ) -> None:
        self._there = there
        self._chain, self._limits, self._is_copy, self._beside = chain, limits, is_copy, beside
        self._head = chain.head.size if chain else 0
        self._oldest: Entry | None = None

    def see(self, entry: Entry) -> None:
        """Remembers the first entry that is not anchored."""
        if self._oldest is None and self._chain and entry.index >= self._head:
            self._oldest = entry

    def fits(self, stretch: Stretch) -> bool:
        """Whether `see` would remember none of its entries."""
        return self._chain is None or stretch.end <= self._head or self._oldest is not None

    def tail(self, end: int) -> int:
        """Entries that are not anchored, of a log that ends before index `end`."""
        return max(0, end - self._head) if self._chain else 0

    def fault(self, end: int, proven: int, unreadable: GuardError | None) -> Fault | None:
        """What is missing for certain of the anchored entries.

        Args:
            end: the index after the last entry.
            proven: entries under a root that agreed.
            unreadable: what kept the rest from being read.
        """
        if end >= self._head or (self._is_copy and unreadable is None):
            return None
        if unreadable is None:
            why = f"the chain's head has {self._head} entries, the log ends after {end}: its tail was cut off"
            why += f" (without it, entries [{proven}, {end}) can't be proven either)" if proven < end else ""
        elif unreadable.code == "AG515":
            why = f"anchored entries from here on can't be read: {unreadable.message}"
        else:
            return None
        return Fault(Aspect.COMPLETENESS, end, f"entries [{end}, {self._head})", why)

    def doubt(self, end: int, unreadable: GuardError | None) -> str | None:
        """Why this may not be all there is; None if it is."""
        if unreadable is not None:
            return f"the log could not be read from entry {end} on: {unreadable.message}"
        if self._is_copy and end < self._head:
            held = text.amount(end, "entry", "entries")
            return f"this copy ends after {held}, and {self._head:,} are anchored: get a newer one"
        return self._elsewhere() or self._long(end)

    def _elsewhere(self) -> str | None:
        """Other operators that held the agent: their logs hold the rest of its history."""
        if self._chain is None:
            return None
        changes = appointments(self._chain.history, self._chain.state.agent)
        held = dict.fromkeys(change.operator for change in changes)
        known = {self._chain.identity.operator, *self._beside}
        others = [operator for operator in held if operator not in known]
        if not others:
            return None
        return (
            f"other operators held this agent too, and their logs were not audited here: {', '.join(others)}"
        )

    def _long(self, end: int) -> str | None:
        """Why the unanchored tail is too long; None if it is within the limits."""
        oldest, tail, limits = self._oldest, self.tail(end), self._limits
        if self._chain is None or oldest is None:
            return None
        age = self._chain.as_of.timestamp - oldest.time / 1000
        # What was written while the chain was asked had no time to be anchored by the block that it was asked at.
        waiting = tail if self._there is None else min(tail, self.tail(self._there))
        if waiting <= limits.tail_entries and age <= limits.tail_seconds:
            return None
        which = (
            f"newest entry, {oldest.index}, is not anchored, and is"
            if tail == 1
            else f"newest {tail:,} entries, from {oldest.index} on, are not anchored, the oldest"
        )
        return (
            f"the {which} {max(age, 0):,.0f} s old (limits: {limits.tail_entries:,.0f} entries,"
            f" {limits.tail_seconds:,.0f} s): {'it rests' if tail == 1 else 'they rest'} on the guard's word alone"
        )
