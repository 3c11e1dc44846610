"""Watches a log's rows while an audit reads them, and keeps what a report shows: counts, and a bounded part of entries.

Guarantees: one pass, and memory that does not grow with the log: of each notable kind the first and the newest, of the
agent's actions the newest, of tools the first `MOST_TOOLS`. Judges nothing and believes nothing: rows that are no entry
are left to the audit, and a content is shown only if it hashes to the commitment in its entry.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from agent_guard import canonical, text
from agent_guard.entry import SALT_SIZE, Entry, Kind, MalformedEntry, commitment
from agent_guard.log.words import UNREADABLE, erased_by, in_words, without_content
from agent_guard.report.buckets import Buckets
from agent_guard.report.lives import LifeSpans
from agent_guard.report.model import Line, LogSide
from agent_guard.store import Content, Page, Row
from agent_guard.types import FLEET

ACTIONS = frozenset({Kind.INTENT, Kind.OUTCOME, Kind.REFUSED, Kind.DECISION})
EACH, LAST = 20, 12
MOST_TOOLS = 500
OTHER_TOOLS = "(other tools)"
UNNAMED = "(not named)"
MOST_ERASURES = 10_000
"""Erasures that are held against the entries shown; more are only counted."""
SHOWN_CONTENT = 65_536
"""Bytes of a content beyond which it is not shown, nor its tool counted by name."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """An entry that is kept: `content` None if it is not there, or of `too_long` bytes."""

    entry: Entry
    leaf: bytes
    content: Content | None
    too_long: int = 0


@dataclass(slots=True)
class _Kept:
    """The first and the newest entries of one kind."""

    first: list[_Seen] = field(default_factory=list)
    newest: deque[_Seen] = field(default_factory=lambda: deque(maxlen=EACH))

    def take(self, seen: _Seen) -> None:
        if len(self.first) < EACH:
            self.first.append(seen)
        else:
            self.newest.append(seen)


class Chronicle:
    """What the audited agent's rows say, and its guard's own.

    Args:
        agent: 32-byte id.
        window: unix seconds from and to which an entry's time is drawn; others are only counted (`odd_times`). None
            if nobody knows what times are possible.
        speaks: asked of each entry about the agent, in order: whether it speaks of it. What does not is left out.
    """

    def __init__(
        self,
        agent: bytes,
        window: tuple[int, int] | None,
        speaks: Callable[[Entry], bool] = lambda entry: True,
    ) -> None:
        self._agent, self._window, self._speaks = agent, window, speaks
        self._kept: dict[Kind, _Kept] = {}
        self._last: deque[_Seen] = deque(maxlen=LAST)
        self._spans = LifeSpans()
        self._erased: dict[tuple[bytes, int | None], int] = {}
        self.buckets = Buckets()
        self.kinds: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()
        self.odd_times = 0

    def watch(self, pages: Iterable[Page]) -> Iterator[Page]:
        """The same pages, seen in passing."""
        for page in pages:
            for row in page:
                if row.agent in (self._agent, FLEET):
                    self._see(row)
            yield page

    def side(self) -> LogSide:
        """All that was kept, once the rows have passed."""
        return LogSide(
            buckets=self.buckets,
            kinds=dict(self.kinds.most_common()),
            tools=dict(self.tools.most_common()),
            notable=self._notable(),
            omitted=self._omitted(),
            last_actions=[*map(self._line, self._last)],
            lives=self._spans.lives,
            freezes=self._spans.freezes,
            unknown=self._spans.unknown,
            odd_times=self.odd_times,
            window=self._window,
        )

    def _notable(self) -> list[Line]:
        """Starts, freezes, halts, deaths and the like, in the log's order."""
        kept = [seen for kept in self._kept.values() for seen in [*kept.first, *kept.newest]]
        kept.sort(key=lambda seen: seen.entry.index)
        times = self._halt_times(kept)
        return [replace(line, happened=times.get(line.seq, line.happened)) for line in map(self._line, kept)]

    def _omitted(self) -> int:
        kept = sum(len(kept.first) + len(kept.newest) for kept in self._kept.values())
        return sum(self.kinds[kind] for kind in self._kept) - kept

    def _see(self, row: Row) -> None:
        try:
            entry = Entry.decode(row.body)
        except MalformedEntry:
            return
        if entry.agent not in (self._agent, FLEET):
            return
        if entry.kind is Kind.ERASURE and len(self._erased) < MOST_ERASURES:
            self._erased.setdefault((entry.agent, entry.refers_to), entry.index)
        if entry.agent == self._agent and not self._speaks(entry):
            return
        self.kinds[entry.kind] += 1
        if entry.kind in ACTIONS:
            self._last.append(_kept(entry, row))
        else:
            self._kept.setdefault(entry.kind, _Kept()).take(_kept(entry, row))
        if entry.agent == self._agent:
            self._count(entry, row)

    def _line(self, seen: _Seen) -> Line:
        entry = seen.entry
        happened = self._when(entry.meta.get("dead"), entry) or entry.time
        return _line(seen, happened, self._erased.get((entry.agent, entry.index)))

    def _halt_times(self, kept: Iterable[_Seen]) -> dict[int, int]:
        """When the guard saw each halt, by its entry's place, as the death that answers it tells."""
        deaths = (seen.entry for seen in kept if seen.entry.kind is Kind.DEATH)
        times = {death.refers_to: self._when(death.meta.get("seen"), death) for death in deaths}
        return {halt: time for halt, time in times.items() if halt is not None and time is not None}

    def _when(self, said: object, entry: Entry) -> int | None:
        """The time (unix ms) that an entry names, if what it tells of can have been then, before it was written."""
        if type(said) is not int or said > entry.time or self._is_odd(said // 1000):
            return None
        return said

    def _is_odd(self, second: int) -> bool:
        return self._window is not None and not self._window[0] <= second <= self._window[1]

    def _count(self, entry: Entry, row: Row) -> None:
        if entry.kind is Kind.INTENT:
            self._count_tool(_tool(row.content))
        second = entry.time // 1000
        if self._is_odd(second):
            self.odd_times += 1
            return
        bucket = self.buckets.at(second)
        if entry.kind is Kind.INTENT:
            bucket.actions += 1
        elif entry.kind is Kind.REFUSED:
            bucket.refusals += 1
        else:
            bucket.others += 1
        self._spans.see(entry)

    def _count_tool(self, tool: str) -> None:
        known = tool in self.tools or len(self.tools) < MOST_TOOLS
        self.tools[tool if known else OTHER_TOOLS] += 1


def _kept(entry: Entry, row: Row) -> _Seen:
    """What is kept of a row: not a content that is too long to be."""
    content = row.content
    if content is None or len(content.salt) + len(content.body) <= SHOWN_CONTENT:
        return _Seen(entry, row.leaf, content)
    return _Seen(entry, row.leaf, None, too_long=max(len(content.body), len(content.salt)))


def _tool(content: Content | None) -> str:
    if content is None or len(content.body) > SHOWN_CONTENT:
        return UNNAMED
    try:
        said = canonical.decode(content.body)
    except canonical.NotCanonical:
        return UNNAMED
    tool = said.get("tool") if isinstance(said, dict) else None
    return text.clean(tool, 60) if isinstance(tool, str) else UNNAMED


def _line(seen: _Seen, happened: int, erasure: int | None) -> Line:
    """An entry in a line; `erasure`: the entry that says its content was erased."""
    entry = seen.entry
    return Line(
        seq=entry.index,
        time=entry.time,
        happened=happened,
        kind=entry.kind.value,
        words=_words(seen, erasure),
        block=entry.block.number if entry.block else None,
        leaf=seen.leaf,
        of_guard=entry.agent == FLEET,
    )


def _words(seen: _Seen, erasure: int | None) -> str:
    entry, content = seen.entry, seen.content
    if seen.too_long:
        return without_content(entry, f"its content of {seen.too_long:,} bytes is too long to show")
    if content is None:
        return without_content(entry) if erasure is None else without_content(entry, erased_by(erasure))
    if len(content.salt) != SALT_SIZE or commitment(content.salt, content.body) != entry.commitment:
        return without_content(entry, "what lies in the place of its content does not fit its commitment")
    try:
        return in_words(entry, canonical.decode(content.body))
    except canonical.NotCanonical:
        return without_content(entry, UNREADABLE)
