"""When the agent lived, when it stood frozen, and when nobody knows: its entries in order, for a picture.

Guarantees: a life is drawn as far as the log shows it and no further. One that its guard saw end is known to that end;
of one whose end nobody timed (its guard was killed) all after its last sign of life is unknown, until the next guard
found it dead, the next life began, or the picture ends. Bounded. Judges nothing, trusts the entries' times. Pure.
"""

from collections import deque
from math import inf

from agent_guard.entry import Entry, Kind
from agent_guard.report.model import Span, Unknown
from agent_guard.typed_data.death import is_found_dead

MOST_SPANS = 200
UNDER_WAY_MS = 120_000
"""How long after an end a request may still come that was on its way then (the audit's own limit is as long)."""
FOUND_DEAD = "its guard was killed, and the next one found it dead; when it died is not known"
NO_END = "no end of this life is on record"
NOTHING_SINCE = "nothing later of it is on record"
# What is written while an agent lives. Not a halt or an erasure: a guard may write those of an agent that is gone.
_SIGNS = frozenset(
    {Kind.INTENT, Kind.OUTCOME, Kind.REFUSED, Kind.DECISION, Kind.FREEZE, Kind.THAW, Kind.STOPPING}
)


class LifeSpans:
    """Sees the audited agent's entries in order. Times are unix ms."""

    def __init__(self) -> None:
        self._lives: deque[Span] = deque(maxlen=MOST_SPANS)
        self._freezes: deque[Span] = deque(maxlen=MOST_SPANS)
        self._unknown: deque[Unknown] = deque(maxlen=MOST_SPANS)
        self._began: Entry | None = None
        self._sign = 0
        self._ended: float = -inf
        self._frozen_since: int | None = None

    @property
    def lives(self) -> list[Span]:
        """Stretches in which the log shows it alive; of a life without an end, to its last sign."""
        return [*self._lives, *([Span(self._began.time, self._sign)] if self._began else [])]

    @property
    def freezes(self) -> list[Span]:
        """Stretches within them in which it stood frozen."""
        since = self._frozen_since
        return [*self._freezes, *([Span(since, max(since, self._sign))] if since is not None else [])]

    @property
    def unknown(self) -> list[Unknown]:
        """Stretches in which nothing shows whether it lived."""
        return [
            *self._unknown,
            *([Unknown(self._sign, None, self._why(NOTHING_SINCE))] if self._began else []),
        ]

    def see(self, entry: Entry) -> None:
        """Takes its next entry."""
        if entry.kind is Kind.START:
            self._lose(entry.time, NO_END)
            self._began, self._sign = entry, entry.time
        elif entry.kind is Kind.DEATH and is_found_dead(entry.meta):
            if self._began is not None and entry.refers_to == self._began.index:
                self._lose(entry.time, FOUND_DEAD)
        elif entry.kind in (Kind.EXIT, Kind.DEATH):
            self._end(self._ended_at(entry))
        elif entry.kind in _SIGNS:
            self._follow_request(entry)
            self._sign = max(self._sign, entry.time)
            self._follow_freeze(entry)

    def _follow_request(self, entry: Entry) -> None:
        """Who acts is alive, whether or not a start is on record; unless the guard takes that back."""
        began = self._began
        if entry.kind is Kind.INTENT and began is None and entry.time - self._ended > UNDER_WAY_MS:
            self._began, self._sign = entry, entry.time
        elif entry.kind is Kind.REFUSED and began is not None and entry.refers_to == began.index:
            self._began = None

    def _follow_freeze(self, entry: Entry) -> None:
        if entry.kind is Kind.FREEZE and self._frozen_since is None:
            self._frozen_since = entry.time
        elif entry.kind is Kind.THAW:
            self._thaw(entry.time)

    def _lose(self, until: int, why: str) -> None:
        """The life that is open has no end that anybody timed."""
        if self._began is not None and until > self._sign:
            self._unknown.append(Unknown(self._sign, until, self._why(why)))
        self._end(self._sign)

    def _why(self, why: str) -> str:
        return why if self._frozen_since is None else f"{why}; it stood frozen when it was last heard of"

    def _end(self, time: int) -> None:
        self._thaw(time)
        if self._began is not None:
            self._lives.append(Span(self._began.time, max(time, self._began.time)))
        self._ended = max(self._ended, time)
        self._began = None

    def _thaw(self, time: int) -> None:
        if self._frozen_since is not None:
            self._freezes.append(Span(self._frozen_since, max(time, self._frozen_since)))
        self._frozen_since = None

    def _ended_at(self, end: Entry) -> int:
        """A death is written down after it came: its receipt says when, if that can be."""
        dead, began = end.meta.get("dead"), self._began
        if type(dead) is int and began is not None and began.time <= dead <= end.time:
            return dead
        return end.time
