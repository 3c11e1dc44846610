"""What the council said of the agent, and of the whole fleet, as stretches of time for a picture and its table.

Guarantees: stretches in order that don't overlap; in each the strongest word that held (`_RANK`), as the contract's
`_stateOf` weighs them, so that a fleet's pause over an agent's halt is shown as the halt. Chain times have whole
seconds. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent_guard.audit import Event, Happening
from agent_guard.report.model import ChainSide, Leaseless
from agent_guard.types import FLEET

MAY_RUN, PAUSED, NO_LEASE, HALTED, RETIRED = "may run", "paused", "no lease", "halted", "retired"
_RANK = {MAY_RUN: 0, PAUSED: 1, NO_LEASE: 2, HALTED: 3, RETIRED: 4}
_LEADS_TO = {
    Event.REGISTERED: MAY_RUN,
    Event.PAUSED: PAUSED,
    Event.HALTED: HALTED,
    Event.RESUME_SCHEDULED: HALTED,
    Event.VETOED: HALTED,
    Event.RESUMED: MAY_RUN,
    Event.RETIRED: RETIRED,
}


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time (unix ms) and what held in it, and why, where that is to be said; no end means until now."""

    start: int
    end: int | None
    what: str
    why: str = ""


def standing(chain: ChainSide, agent: bytes) -> list[Band]:
    """What held for an agent (32-byte id), oldest first."""
    bands = _course([happening for happening in chain.history if happening.agent == agent])
    for without in map(_without_lease, chain.leaseless):
        bands = list(_laid_over(bands, without))
    for word in _course([happening for happening in chain.history if happening.agent == FLEET]):
        bands = list(_laid_over(bands, word))
    return bands


def _course(history: Sequence[Happening]) -> list[Band]:
    bands: list[Band] = []
    for happening in history:
        if (what := _LEADS_TO.get(happening.event)) is None:
            continue
        start = happening.block.timestamp * 1000
        _end(bands, start)
        if what == PAUSED and happening.until * 1000 > start:
            bands.append(Band(start, happening.until * 1000, what))
            start, what = happening.until * 1000, MAY_RUN
        if what != PAUSED:
            bands.append(Band(start, None, what))
    return bands


def _end(bands: list[Band], time: int) -> None:
    """A new word: what went before holds no longer, nor what was to come after a pause."""
    while bands and bands[-1].start >= time:
        bands.pop()
    if bands and (bands[-1].end is None or bands[-1].end > time):
        bands[-1] = replace(bands[-1], end=time)


def _without_lease(gap: Leaseless) -> Band:
    end = None if gap.end is None else gap.end.timestamp * 1000
    return Band(gap.since, end, NO_LEASE)


def _laid_over(bands: Sequence[Band], over: Band) -> Iterator[Band]:
    """The bands, with another in the place of those parts that hold less than it."""
    for band in bands:
        start = max(band.start, over.start)
        end = _earlier(band.end, over.end)
        if _RANK[over.what] <= _RANK[band.what] or (end is not None and end <= start):
            yield band
            continue
        if band.start < start:
            yield replace(band, end=start)
        yield replace(over, start=start, end=end)
        if end is not None and (band.end is None or end < band.end):
            yield replace(band, start=end)


def _earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two ends, of which None is none."""
    return one if other is None else other if one is None else min(one, other)
