"""The sections of a report that tell what happened in time: the timeline, and the stages of the stop. Pure."""

from collections.abc import Iterator, Sequence

from agent_guard import text
from agent_guard.audit import Result
from agent_guard.report.document import Block, Cell, Grid, Paragraph, Picture
from agent_guard.report.model import Report
from agent_guard.report.sentences import DOUBT, clock
from agent_guard.report.standing import Band
from agent_guard.report.svg import STAGES, stages_picture, timeline_picture
from agent_guard.report.timeline import Bar, Moment, Timeline

MOST_TEXT_BARS = 40
MOST_STRETCHES = 40
COUNCIL = "the council"


def timeline_blocks(report: Report, line: Timeline) -> list[Block]:
    if not line.moments and not line.bars:
        return [Paragraph("Neither the log nor the chain says that anything happened.")]
    told = (
        f"From {clock(line.start / 1000)} to {clock(line.end / 1000)} UTC: {_events(len(line.moments))}, in the first"
        " table below by number; what the council said and whether the agent lived, stood frozen or nobody knows, in"
        " the second; how many actions it asked for; and when the log was anchored."
    )
    title = f"Timeline of {report.agent}"
    doubt: list[Block] = [] if report.result.result is Result.VERIFIED else [Paragraph(DOUBT)]
    blocks: list[Block] = [*doubt, Picture(title, timeline_picture(line, title, told), list(_lines(line)))]
    if line.untold:
        blocks.append(Paragraph(f"{_events(line.untold)} in between {_are(line.untold)} left out."))
    blocks.append(
        Grid(("No.", "Time (UTC)", "What happened", "Where"), [*map(_told, line.moments)], {0}, {1, 3})
    )
    return [*blocks, *_stretches(line)]


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _stretches(line: Timeline) -> Iterator[Block]:
    """The picture's two upper rows as a table."""
    bands = sorted(
        [*((COUNCIL, band) for band in line.council), *(("the log", band) for band in line.agent)],
        key=lambda row: (row[1].start, row[0]),
    )
    untold = max(0, len(bands) - MOST_STRETCHES)
    shown = bands[: MOST_STRETCHES // 4] + bands[MOST_STRETCHES // 4 + untold :]
    if not shown:
        return
    yield Paragraph(
        "What the council said of the agent, and what the log shows of its life, from when to when:"
    )
    columns = ("Whose word", "From (UTC)", "Until (UTC)", "What held")
    yield Grid(columns, [_stretch(whose, band) for whose, band in shown], tight={0, 1, 2})
    if untold:
        yield Paragraph(f"{untold:,} of these stretches in between {_are(untold)} left out.")


def _stretch(whose: str, band: Band) -> tuple[Cell, ...]:
    still = "when the chain was read" if whose == COUNCIL else "no end on record"
    until = still if band.end is None else clock(band.end / 1000)
    what = f"{band.what}: {band.why}" if band.why else band.what
    return whose, clock(band.start / 1000), until, what


def _told(moment: Moment) -> tuple[Cell, ...]:
    return str(moment.number), clock(moment.time / 1000), moment.words, moment.source


def _lines(line: Timeline) -> Iterator[str]:
    """The bars as text, with the moments between them."""
    yield f"{'Time (UTC)':<22}# actions asked for and their number; -- an event and its number in the table"
    bars = _joined(line.bars)
    most = max((bar.actions + bar.refusals for bar in bars), default=0)
    marks = [(bar.start, 1, _bar(bar.actions, bar.refusals, most)) for bar in bars]
    marks += [
        (moment.time, 0, f"-- {moment.number}: {text.clean(moment.words, 90)}") for moment in line.moments
    ]
    for time, _, words in sorted(marks):
        yield f"{clock(time // 1000):<22}{words}"


def _joined(bars: Sequence[Bar]) -> list[Bar]:
    """Neighbours joined, so that at most `MOST_TEXT_BARS` are left."""
    if not bars:
        return []
    factor = -(-((bars[-1].start - bars[0].start) // bars[0].width + 1) // MOST_TEXT_BARS)
    width = bars[0].width * factor
    joined: dict[int, Bar] = {}
    for bar in bars:
        start = bar.start - (bar.start - bars[0].start) % width
        known = joined.get(start, Bar(start, width, 0, 0))
        joined[start] = Bar(start, width, known.actions + bar.actions, known.refusals + bar.refusals)
    return list(joined.values())


def _bar(actions: int, refusals: int, most: int) -> str:
    refused = f", {refusals:,} refused" if refusals else ""
    return f"{'#' * round(40 * (actions + refusals) / max(1, most)):<41}{actions:,}{refused}"


def stages_blocks(report: Report) -> list[Block]:
    death = report.result.death
    known = {name: death.stages.get(name) for name in STAGES} if death else {}
    stages = {name: time for name, time in known.items() if type(time) is int}
    if len(stages) < 2:
        return []
    base = next(name for name in ("block", "quorum", "seen", *stages) if name in stages)
    since, order = stages[base], sorted(stages.items(), key=lambda stage: stage[1])
    rows = [(STAGES[name], clock(time / 1000), f"{time - since:+,} ms") for name, time in order]
    shown = {name: time for name, time in order if time >= since}
    title = "The stages of the stop"
    picture = stages_picture(shown, title, "The same times as in the table below.")
    note = "Times of blocks and votes are whole seconds of the chain's clock; the others are the guard's own."
    return [
        Picture(title, picture, ()),
        Grid(("Stage", "Time (UTC)", f"From {STAGES[base]} on"), rows, {2}, {0, 1, 2}),
        Paragraph(note),
    ]
