"""Checks of one row after the other that need no chain: place, leaf, form, counters, content.

Each row yields at most one fault of its own; the steps are those of `examination.py`.
"""

from dataclasses import dataclass, field

from agent_guard.audit.result import Aspect, Fault
from agent_guard.audit.stretch import Stretch
from agent_guard.entry import SALT_SIZE, Entry, MalformedEntry, commitment
from agent_guard.merkle import leaf_hash
from agent_guard.store import Row

_INTEGRITY, _COMPLETENESS = Aspect.INTEGRITY, Aspect.COMPLETENESS


@dataclass(frozen=True, slots=True)
class Checked:
    """A row's entry (None if its bytes are none), and what is wrong with it.

    `breaks_tree`: the leaf for the tree is not to be trusted, so a root that differs says nothing new. `gap`: leaves
    before it are missing, and no root can be computed any more.
    """

    entry: Entry | None
    fault: Fault | None
    breaks_tree: bool = False
    gap: bool = False


@dataclass(slots=True)
class RowChecks:
    """Remembers what the next row has to follow."""

    expected: int = 0
    counters: dict[bytes, int] = field(default_factory=dict)

    def check(self, row: Row) -> Checked:
        """The first thing wrong with a row, in the order of the steps."""
        if row.index != self.expected:
            return self._misplaced(row)
        self.expected += 1
        # 3. Leaf
        if leaf_hash(row.body) != row.leaf:
            return self._uncounted(row, "its bytes do not hash to the leaf that the guard stored with it")
        # 4. Form
        try:
            entry = Entry.decode(row.body)
        except MalformedEntry as error:
            return self._uncounted(row, f"its bytes are no entry: {error}")
        if (entry.index, entry.agent, entry.counter, entry.kind.value) != _columns(row):
            self.counters[entry.agent] = entry.counter + 1
            return _unusable(row, _elsewhere(row, entry))
        return Checked(entry, self._counter(entry) or _content(row, entry))

    def take(self, stretch: Stretch) -> None:
        """As `check` for each of its rows."""
        self.expected = stretch.end
        self.counters.update(stretch.counters)

    def _uncounted(self, row: Row, why: str) -> Checked:
        # The count goes on as the database lists it, so that one bad entry is not reported twice.
        self.counters[row.agent] = row.counter + 1
        return _unusable(row, why)

    def _misplaced(self, row: Row) -> Checked:
        """2. Place: indices run from 0 without a gap."""
        missing, self.expected = self.expected, max(row.index + 1, self.expected)
        why = (
            f"it is missing: entry {row.index} follows entry {missing - 1}"
            if missing
            else "the log's first entries are missing"
        )
        return Checked(None, Fault(_COMPLETENESS, missing, "entry", why), breaks_tree=True, gap=True)

    def _counter(self, entry: Entry) -> Fault | None:
        """5. Counters: each agent's run from 0 without a gap."""
        expected = self.counters.get(entry.agent, 0)
        self.counters[entry.agent] = entry.counter + 1
        if entry.counter == expected:
            return None
        why = f"it is its agent's number {entry.counter}, but number {expected} comes next: entries were left out"
        return Fault(_COMPLETENESS, entry.index, "counter", why)


def _unusable(row: Row, why: str) -> Checked:
    return Checked(None, Fault(_INTEGRITY, row.index, "entry", why), breaks_tree=True)


def _columns(row: Row) -> tuple[int, bytes, int, str]:
    return row.index, row.agent, row.counter, row.kind


def _elsewhere(row: Row, entry: Entry) -> str:
    if entry.index != row.index:
        return f"it says that it is entry {entry.index}: entries were moved, swapped or left out"
    return "the database lists it under another agent, counter or kind than it names itself"


def _content(row: Row, entry: Entry) -> Fault | None:
    """6. Content: re-hashed, where it is there."""
    content = row.content
    if content is None:
        return None
    if len(content.salt) == SALT_SIZE and commitment(content.salt, content.body) == entry.commitment:
        return None
    return Fault(_INTEGRITY, row.index, "content", "it does not hash to the commitment in its entry")
