"""The sections of a report that tell what happened in time: the timeline, and the stages of the stop. Pure."""

from collections.abc import Iterator, Sequence

from agent_guard import text
from agent_guard.report.document import Block, Cell, Grid, Paragraph, Picture
from agent_guard.report.model import Report
from agent_guard.report.sentences import clock
from agent_guard.report.svg import STAGES, stages_picture, timeline_picture
from agent_guard.report.timeline import Bar, Moment, Timeline

MOST_TEXT_BARS = 40


def timeline_blocks(report: Report, line: Timeline) -> list[Block]:
    if not line.moments and not line.bars:
        return [Paragraph("Neither the log nor the chain says that anything happened.")]
    told = (
        f"From {clock(line.start / 1000)} to {clock(line.end / 1000)} UTC: {len(line.moments)} events, in the table"
        " below by their numbers; the agent's actions in time; and when the log was anchored."
    )
    picture = timeline_picture(line, f"Timeline of {report.agent}", told)
    blocks: list[Block] = [Picture(picture, list(_lines(line)))]
    if line.untold:
        blocks.append(Paragraph(f"{line.untold:,} events in between are left out."))
    blocks.append(
        Grid(("No.", "Time (UTC)", "What happened", "Where"), [*map(_told, line.moments)], {0}, {1, 3})
    )
    return blocks


def _told(moment: Moment) -> tuple[Cell, ...]:
    return str(moment.number), clock(moment.time / 1000), moment.words, moment.source


def _lines(line: Timeline) -> Iterator[str]:
    """The bars as text, with the moments between them."""
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
    picture = stages_picture(shown, "The stages of the stop", "The same times as in the table below.")
    note = "Times of blocks and votes are whole seconds of the chain's clock; the others are the guard's own."
    return [
        Picture(picture, ()),
        Grid(("Stage", "Time (UTC)", f"From {STAGES[base]} on"), rows, {2}, {0, 1, 2}),
        Paragraph(note),
    ]
