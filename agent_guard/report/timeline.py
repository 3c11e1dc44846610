"""What the timeline's picture shows, and where in time: moments, bands, bars and anchors, as plain values.

Guarantees: bounded, whatever log and chain say; moments are in the order of their times, numbered from 1. Chain times
have whole seconds, entries' times are the guard's own clock. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent_guard import text
from agent_guard.audit import Event, Happening
from agent_guard.report.model import ChainSide, Leaseless, LogSide, Report, Span, Vote
from agent_guard.report.standing import NO_LEASE, Band, standing
from agent_guard.types import FLEET

FIRST, NEWEST = 30, 120
"""Moments that are told, if there are more."""
MOST_BANDS = 200
ALIVE, FROZEN, NOT_KNOWN = "alive", "frozen", "not known"
GRAINS = 400
"""Anchors closer to each other than this part of the picture are one."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: its time (unix ms), what kind of thing, in words, and where it is written."""

    time: int
    kind: str
    words: str
    source: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """What happened in one span of `Buckets`: its beginning and its length in ms."""

    start: int
    width: int
    actions: int
    refusals: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """From `start` to `end` (unix ms); `moments` may lie outside of it. `untold`: moments left out."""

    start: int
    end: int
    moments: Sequence[Moment]
    untold: int
    council: Sequence[Band]
    agent: Sequence[Band]
    bars: Sequence[Bar]
    anchors: Sequence[int]


def timeline(report: Report) -> Timeline:
    """The timeline of a report."""
    council = standing(report.chain, report.agent_id) if report.chain else []
    moments = sorted(_moments(report, council), key=lambda moment: moment.time)
    untold = max(0, len(moments) - FIRST - NEWEST)
    told = moments[:FIRST] + moments[FIRST + untold :]
    bars = _bars(report)
    start, end = _range(told, bars, report.entries.window)
    return Timeline(
        start=start,
        end=end,
        moments=[replace(moment, number=number) for number, moment in enumerate(told, 1)],
        untold=untold,
        council=council[-MOST_BANDS:],
        agent=_agent(report.entries),
        bars=bars,
        anchors=_anchors(report.chain, start, end),
    )


def _bars(report: Report) -> list[Bar]:
    width = report.entries.buckets.width * 1000
    return [
        Bar(start * 1000, width, bucket.actions, bucket.refusals) for start, bucket in report.entries.buckets
    ]


def _range(moments: Sequence[Moment], bars: Sequence[Bar], window: tuple[int, int] | None) -> tuple[int, int]:
    """What the log covers, and what came after it; without a log all that there is. Nothing beyond the window."""
    earliest, latest = window or (0, 1 << 64)
    times = [time for bar in bars for time in (bar.start, bar.start + bar.width)]
    first = min(times, default=earliest * 1000)
    times += [moment.time for moment in moments if first <= moment.time <= latest * 1000]
    start, end = min(times, default=0), max(times, default=0)
    margin = max(500, (end - start) // 40)
    return start - margin, end + margin


# ------------------------------------------------------------------------------------------------------------ moments


def _moments(report: Report, council: Sequence[Band]) -> Iterator[Moment]:
    if report.chain is not None:
        yield from _on_chain(report.chain)
        without = [(band.start, band.end) for band in council if band.what == NO_LEASE]
        for gap in report.chain.leaseless:
            yield from _leaseless(gap, without)
    for line in report.entries.notable:
        yield Moment(line.happened, line.kind, line.words, f"entry {line.seq}")


def _on_chain(chain: ChainSide) -> list[Moment]:
    """In the chain's own order; in one block the votes come before what they decided."""
    placed = [(vote.block.number, 0, _vote(vote)) for vote in chain.votes or ()]
    placed += [(happening.block.number, 1, _decided(happening)) for happening in chain.history]
    return [moment for _, _, moment in sorted(placed, key=lambda place: place[:2])]


def _leaseless(gap: Leaseless, shown: Sequence[tuple[int, int | None]]) -> Iterator[Moment]:
    """What is to be told of a time without a lease, where that is what held: a halt or a retirement weighs more."""
    end = gap.end
    if any(since == gap.since for since, _ in shown):
        ran_out = "the agent's lease had run out, and no signer had renewed it"
        yield Moment(gap.since, "lapsed", ran_out, "by the contract")
    fatal = None if gap.fatal is None else gap.fatal * 1000
    if fatal is not None and any(since <= fatal and (until or fatal) >= fatal for since, until in shown):
        over = "the grace of that lease was over: from now on its guard was to kill the agent"
        yield Moment(fatal, "grace_over", over, "by the contract")
    if end is not None and any(until == end.timestamp * 1000 for _, until in shown):
        yield Moment(end.timestamp * 1000, "leased", "the agent had a lease again", f"block {end.number}")


def _decided(happening: Happening) -> Moment:
    words, source = happening_in_words(happening), f"block {happening.block.number}"
    return Moment(happening.block.timestamp * 1000, happening.event.value.lower(), words, source)


def _vote(vote: Vote) -> Moment:
    action = vote.action.name.lower().replace("_", " ")
    words = f"{vote.signer} voted to {action} {whom(vote.agent)} ({vote.votes} of {vote.needed} votes)"
    return Moment(vote.block.timestamp * 1000, "vote", words, f"block {vote.block.number}")


def whom(agent: bytes) -> str:
    return "the whole fleet" if agent == FLEET else "the agent"


def happening_in_words(happening: Happening) -> str:
    """What the council decided, in a sentence."""
    whose = whom(happening.agent)
    if happening.by_fork:
        return f"{whose} was halted without a vote, by a proof that its operator had signed two histories"
    until = text.iso(happening.until)
    return {
        Event.REGISTERED: f"the council registered {whose}, guarded by {happening.operator}",
        Event.PAUSED: f"{whose} was paused by one signer until {until}",
        Event.HALTED: f"the council halted {whose}",
        Event.RESUME_SCHEDULED: f"the council decided to let {whose} go on, after its delay",
        Event.VETOED: f"the resume of {whose} was vetoed",
        Event.RESUMED: f"{whose} may run again, on the council's word",
        Event.RETIRED: f"the council retired {whose} for good",
        Event.OPERATOR_CHANGED: f"the council gave {whose} to the operator {happening.operator}",
    }[happening.event]


# -------------------------------------------------------------------------------------------------------------- bands


def _agent(log: LogSide) -> list[Band]:
    """Its lives, with its freezes drawn over them, and between them what nobody knows."""
    unknown = [Band(gap.start, gap.end, NOT_KNOWN, gap.why) for gap in log.unknown]
    return [*_bands(log.lives, ALIVE), *_bands(log.freezes, FROZEN), *unknown]


def _bands(spans: Sequence[Span], what: str) -> list[Band]:
    return [Band(span.start, span.end, what) for span in spans]


def _anchors(chain: ChainSide | None, start: int, end: int) -> list[int]:
    grain = max(1, (end - start) // GRAINS)
    times = (extension.block.timestamp * 1000 for extension in chain.extensions) if chain else ()
    return sorted({time - (time - start) % grain for time in times if start <= time <= end})
