"""Is the agent's content there, or erased on purpose and on record?

Guarantees: exact, however many contents are gone: each erasure on record counts for the one entry of this agent that it
names, and one that names anything else is a fault. That a content is gone without a record is never taken for an
erasure; that it is still there, although its erasure is on record, is said, and no fault: a crash may lie between the
two. An erasure counts wherever it stands, proven by a root or in the tail. Memory: four bits per entry at the most.
"""

from collections.abc import Collection

from agent_guard.audit.result import Aspect, Check, Fault, Result
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import Entry, Kind

SHOWN = 3
"""Erasures that are named one by one."""
_ERASURE = Kind.ERASURE


class Openness:
    """Sees the audited agent's entries in order. `is_copy`: of a copy contents may honestly not be given."""

    def __init__(self, is_copy: bool) -> None:
        self._is_copy = is_copy
        self._own, self._missing, self._recorded, self._aside = _Bits(), _Bits(), _Bits(), _Bits()
        self._broken = False
        self._entries = self._gone = self._kept = 0
        self._shown: list[str] = []
        self._first_kept: int | None = None
        self.erased = 0
        """Contents that are not there and whose erasure is on record."""

    def see(self, entry: Entry, is_there: bool) -> Fault | None:
        """Takes the agent's next entry; the fault, if it records the erasure of what is none of its entries."""
        self._entries += 1
        if not is_there:
            self._gone += 1
        if self._broken:
            return None
        self._own.add(entry.index)
        if not is_there:
            self._missing.add(entry.index)
        if entry.kind is _ERASURE and entry.refers_to is not None:
            return self._record(entry, entry.refers_to)
        return None

    def pass_by(self, entry: Entry) -> None:
        """Takes the next entry about the agent that does not speak of it: what it holds is not missed here.

        Of these an erasure counts all the same: an operator may be asked for one when he guards the agent no more.
        """
        if self._broken:
            return
        self._own.add(entry.index)
        self._aside.add(entry.index)
        if entry.kind is _ERASURE and entry.refers_to is not None:
            self._record(entry, entry.refers_to)

    def take(self, stretch: Stretch) -> None:
        """As `see` for each of its entries, of which none is an erasure and all have their contents."""
        self._entries += len(stretch.own)
        if not self._broken:
            self._own.add_all(stretch.own)

    def doubt(self, index: int) -> None:
        """An entry that can't be read stands here: it may have been this agent's."""
        if not self._broken:
            self._own.add(index)

    def break_off(self) -> None:
        """Entries are missing: an erasure from here on may be of one of them."""
        self._broken = True

    def check(self) -> Check:
        """The verdict; faults are the caller's to weigh."""
        lost = self._gone - self.erased
        said = [self._whole(lost), *self._remarks()]
        return Check(Result.INDETERMINATE if lost else Result.VERIFIED, "; ".join(said))

    def _record(self, entry: Entry, erased: int) -> Fault | None:
        if erased not in self._own:
            why = f"it records the erasure of entry {erased}, which is none of this agent's"
            return Fault(Aspect.OPENNESS, entry.index, entry.kind.value, why)
        if erased in self._recorded or erased in self._aside:
            return None
        self._recorded.add(erased)
        if erased in self._missing:
            self._missing.remove(erased)
            self.erased += 1
            if len(self._shown) < SHOWN:
                self._shown.append(f"entry {erased} by entry {entry.index}")
        else:
            self._kept += 1
            self._first_kept = erased if self._first_kept is None else self._first_kept
        return None

    def _whole(self, lost: int) -> str:
        was = "was" if self.erased == 1 else "were"
        erased = f"{self.erased:,} of {self._entries:,} contents {was} erased on purpose, on record"
        named = f"{erased}: {', '.join(self._shown)}{', ...' if self.erased > SHOWN else ''}"
        if self._entries == 0:
            return "the log holds no entry of this agent, and so no content"
        if lost == 0:
            return (
                named
                if self.erased
                else f"the content of all {self._entries:,} entries of this agent is there"
            )
        where = self._where()
        if self._is_copy:
            gone = f"this copy does not hold the content of {lost:,} of this agent's {self._entries:,} entries{where}"
        else:
            gone = (
                f"the content of {lost:,} of this agent's {self._entries:,} entries is gone without an erasure on"
                f" record{where}"
            )
        return f"{gone}; {named}" if self.erased else gone

    def _where(self) -> str:
        first = self._missing.first()
        return "" if first is None else f", from entry {first} on"

    def _remarks(self) -> list[str]:
        if self._kept == 0:
            return []
        what = "this copy still holds" if self._is_copy else "the log still holds"
        return [
            f"{what} {self._kept} contents whose erasure is on record (not carried out yet), the first of entry"
            f" {self._first_kept}"
        ]


class _Bits:
    """A set of places, a bit for each up to the highest: those of a log, which has no gap."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, place: int) -> None:
        try:
            self._bytes[place >> 3] |= 1 << (place & 7)
        except IndexError:
            self._bytes.extend(bytes((place >> 3) + 1024 - len(self._bytes)))
            self.add(place)

    def add_all(self, places: Collection[int]) -> None:
        """Adds places; of those that follow each other, as a range, eight at a time."""
        if isinstance(places, range) and places:
            first, last = -(-places.start // 8), places.stop // 8
            if first < last:
                self.add(places.stop - 1)  # there is room for all of them
                self._bytes[first:last] = b"\xff" * (last - first)
                places = (*range(places.start, first * 8), *range(last * 8, places.stop))
        for place in places:
            self.add(place)

    def remove(self, place: int) -> None:
        self._bytes[place >> 3] &= ~(1 << (place & 7))

    def __contains__(self, place: int) -> bool:
        at = place >> 3
        return at < len(self._bytes) and bool(self._bytes[at] >> (place & 7) & 1)

    def first(self) -> int | None:
        """The lowest place, None if there is none."""
        for at, byte in enumerate(self._bytes):
            if byte:
                return at * 8 + (byte & -byte).bit_length() - 1
        return None
