"""The pictures of a report as inline SVG: small, without scripts, styles or links of their own (see style.py).

Guarantees: the size is bounded, for what `timeline.py` hands over is; every string is escaped. The table beside each
picture says all that it shows. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from agent_guard import text
from agent_guard.report.standing import HALTED, MAY_RUN, NO_LEASE, PAUSED, RETIRED, Band
from agent_guard.report.timeline import ALIVE, FROZEN, NOT_KNOWN, Bar, Moment, Timeline

WIDTH, LEFT, RIGHT = 960.0, 104.0, 944.0
MARKS, COUNCIL, AGENT, TOP, GROUND, ANCHORS, AXIS = 22.0, 46.0, 74.0, 112.0, 232.0, 254.0, 268.0
LEGEND, HEIGHT, BAND = 314.0, 360.0, 20.0
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_CLASS = {
    MAY_RUN: "good", PAUSED: "warn", NO_LEASE: "lease", HALTED: "bad", RETIRED: "bad", ALIVE: "good", FROZEN: "warn",
    NOT_KNOWN: "unknown",
}  # fmt: skip
_LETTER = 6.6
"""Width of a letter, about."""


def timeline_picture(line: Timeline, title: str, description: str) -> str:
    """The timeline: marks, what the council said, the agent's lives, its actions, the anchors."""
    scale = _Scale(line.start, line.end)
    inside = [moment for moment in line.moments if line.start <= moment.time <= line.end]
    parts = [
        _PATTERNS,
        *_axis(scale),
        *_lane("Council says", COUNCIL),
        *_bands(line.council, COUNCIL, scale),
        *_lane("Agent", AGENT),
        *_bands(line.agent, AGENT, scale),
        *_bars(line.bars, scale),
        *_lane("Anchors", ANCHORS - 15),
        *(f'<path class="anchor" d="M{scale.x(time):.1f} {ANCHORS - 6}v10"/>' for time in line.anchors),
        *_lane("Events", MARKS - 14),
        *_marks(inside, scale),
        *_legend(),
    ]
    return _picture("timeline", HEIGHT, title, description, parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From unix ms to the picture's x."""

    start: int
    end: int

    def x(self, time: float) -> float:
        return LEFT + (time - self.start) / max(1, self.end - self.start) * (RIGHT - LEFT)

    def clip(self, band: Band) -> tuple[float, float]:
        end = self.end if band.end is None else min(band.end, self.end)
        return self.x(max(band.start, self.start)), self.x(end)


def _lane(name: str, top: float) -> Iterator[str]:
    yield _text(LEFT - 10, top + BAND / 2 + 4, name, "lane", "end")


def _bands(bands: Sequence[Band], top: float, scale: _Scale) -> Iterator[str]:
    for band in bands:
        left, right = scale.clip(band)
        if right < LEFT or left > RIGHT or right < left:
            continue
        width = max(1.5, right - left)
        style, told = _CLASS[band.what], f"{band.what}{f' ({band.why})' if band.why else ''}"
        yield f"<g><title>{escape(told)}</title>{_patterned(style, left, top, width, BAND)}"
        if width > len(band.what) * _LETTER + 10:
            yield _text((left + right) / 2, top + 14, band.what, f"in on-{style}", "middle")
        yield "</g>"


def _bars(bars: Sequence[Bar], scale: _Scale) -> Iterator[str]:
    most = _round_up(max((bar.actions + bar.refusals for bar in bars), default=0))
    yield _text(LEFT - 10, TOP + 4, f"{most:,}", "tick", "end")
    yield _text(LEFT - 10, GROUND + 4, "0", "tick", "end")
    yield _text(LEFT - 10, (TOP + GROUND) / 2 + 4, "Actions", "lane", "end")
    yield f'<path class="grid" d="M{LEFT} {TOP}H{RIGHT}M{LEFT} {(TOP + GROUND) / 2}H{RIGHT}"/>'
    for bar in bars:
        left, right = scale.x(bar.start), scale.x(bar.start + bar.width)
        width = max(1.0, right - left - (1 if right - left > 4 else 0))
        height = [(GROUND - TOP) * count / most for count in (bar.actions, bar.refusals)]
        told = f"from {text.iso(bar.start / 1000)}: {bar.actions} actions, {bar.refusals} refusals"
        yield f"<g><title>{escape(told)}</title>"
        yield _bar("action", left, GROUND - height[0], width, height[0])
        yield _bar("refusal", left, GROUND - height[0] - height[1], width, height[1])
        yield "</g>"
    yield f'<path class="ground" d="M{LEFT} {GROUND}H{RIGHT}"/>'


def _bar(name: str, left: float, top: float, width: float, height: float) -> str:
    return "" if height == 0 else _patterned(name, left, top, width, max(height, 1), 0)


_PATTERNS = "<defs>" + "".join(
    f'<pattern id="{name}" width="{size}" height="{size}" patternUnits="userSpaceOnUse"><path d="{path}"/></pattern>'
    for name, size, path in (
        ("slanted", 7, "M-1 8L8 -1M-1 1L1 -1M6 8L8 6"),
        ("crossed", 6, "M0 3H6M3 0V6"),
        ("upright", 5, "M2.5 0V5"),
        ("backward", 7, "M-1 -1L8 8M6 -1L8 1M-1 6L1 8"),
    )
) + "</defs>"  # fmt: skip
_PATTERN = {
    "warn": "slanted",
    "refusal": "slanted",
    "bad": "crossed",
    "lease": "upright",
    "unknown": "backward",
}
"""Beside its colour, so that it can be told in grey, and by whoever sees no colours."""


def _patterned(style: str, left: float, top: float, width: float, height: float, rx: int = 3) -> str:
    where = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{rx}"'
    over = f'<rect class="over" fill="url(#{_PATTERN[style]})" {where}/>' if style in _PATTERN else ""
    return f'<rect class="{style}" {where}/>{over}'


def _round_up(most: int) -> int:
    """1, 2, 3 or 5 times a power of ten."""
    power: int = 10 ** (len(str(max(most, 1))) - 1)
    return next(power * step for step in (1, 2, 3, 5, 10) if power * step >= most)


# -------------------------------------------------------------------------------------------------------------- marks


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Moments that lie too close together to be told apart in the picture, the first of them at `left`."""

    left: float
    right: float
    moments: tuple[Moment, ...]

    @property
    def label(self) -> str:
        first, last = self.moments[0].number, self.moments[-1].number
        return str(first) if first == last else f"{first}–{last}"

    @property
    def half(self) -> float:
        return max(9.0, len(self.label) * 3.6 + 5)

    @property
    def x(self) -> float:
        return min((self.left + self.right) / 2, RIGHT - self.half)

    def touches(self, later: "_Cluster") -> bool:
        return later.x - self.x < self.half + later.half + 2

    def joined(self, later: "_Cluster") -> "_Cluster":
        return _Cluster(self.left, later.right, (*self.moments, *later.moments))


def _clusters(moments: Sequence[Moment], scale: _Scale) -> list[_Cluster]:
    """Joined until no two touch: a label grows as more stand behind it."""
    found: list[_Cluster] = []
    for moment in moments:
        cluster = _Cluster(scale.x(moment.time), scale.x(moment.time), (moment,))
        while found and found[-1].touches(cluster):
            cluster = found.pop().joined(cluster)
        found.append(cluster)
    return found


def _marks(moments: Sequence[Moment], scale: _Scale) -> Iterator[str]:
    for kind in ("halted", "retired", "death"):
        for moment in moments:
            if moment.kind == kind:
                yield _line(f"line {kind}", scale.x(moment.time), MARKS + 10, GROUND)
    for cluster in _clusters(moments, scale):
        yield from _mark(cluster)


def _mark(cluster: _Cluster) -> Iterator[str]:
    kinds = {moment.kind for moment in cluster.moments}
    style = "bad" if kinds & {"halted", "retired", "halt", "death"} else "warn" if kinds & _SLOWS else "calm"
    x = cluster.x
    told = "; ".join(f"{moment.number}: {text.clean(moment.words, 80)}" for moment in cluster.moments[:6])
    yield f"<g><title>{escape(told)}</title>"
    yield f'<rect class="mark {style}" x="{x - cluster.half:.1f}" y="{MARKS - 9}" width="{cluster.half * 2:.1f}"'
    yield ' height="18" rx="9"/>'
    yield _text(x, MARKS + 4, cluster.label, "in", "middle") + "</g>"


_SLOWS = {"vote", "paused", "freeze", "stopping", "ballot", "dissent", "vetoed", "lapsed", "grace_over"}


# --------------------------------------------------------------------------------------------------------------- axis


def _axis(scale: _Scale) -> Iterator[str]:
    seconds = max(1, (scale.end - scale.start) // 1000)
    step = next((step for step in _STEPS if seconds / step <= 7), seconds // 6)
    if step > 86_400:
        step -= step % 86_400
    first = -(-(scale.start // 1000 + 1) // step) * step
    for time in range(first, scale.end // 1000 + 1, step):
        x = scale.x(time * 1000)
        yield f'<path class="grid" d="M{x:.1f} {MARKS + 12}V{AXIS}"/>'
        yield _text(x, AXIS + 16, _clock(time, step), "tick", "middle")
    span = f"{_day(scale.start / 1000)} to {_day(scale.end / 1000)}, all times UTC"
    yield _text((LEFT + RIGHT) / 2, AXIS + 35, span, "tick", "middle")


def _clock(time: int, step: int) -> str:
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%Y-%m-%d"
    return _calendar(time, form)


def _day(time: float) -> str:
    return _calendar(time, "%Y-%m-%d %H:%M:%S")


def _calendar(time: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # a forged log holds any number
        return f"@{time:.0f}"


def _legend() -> Iterator[str]:
    x, y = LEFT, LEGEND
    for style, words in (
        ("action", "actions asked for"), ("refusal", "refused"), ("good", "may run / alive"),
        ("warn", "paused / frozen"), ("lease", "no lease"), ("bad", "halted"),
        ("unknown", "not known whether alive"), ("anchor", "log anchored on chain"), ("line halted", "a halt"),
        ("line death", "dead, or found dead"),
    ):  # fmt: skip
        width = 34 + len(words) * _LETTER
        if x + width > RIGHT:
            x, y = LEFT, y + 22
        yield (
            _line(style, x + 7, y, y + 12) if style.startswith("line") else _patterned(style, x, y, 14, 12, 2)
        )
        yield _text(x + 19, y + 10, words, "tick", "start")
        x += width


# ------------------------------------------------------------------------------------------------ the stages of a stop


def stages_picture(stages: Mapping[str, int], title: str, description: str) -> str:
    """How long each stage of a stop took, in ms from the first of them."""
    height = 26.0 * len(stages) + 16
    first, last = min(stages.values()), max(stages.values())
    scale = _Scale(first, first + max(1, last - first) * 100 // 88)
    parts = []
    for place, (name, time) in enumerate(sorted(stages.items(), key=lambda stage: stage[1])):
        y = 20 + 26.0 * place
        x, style = LEFT + 130 + (scale.x(time) - LEFT) * 0.8, "death" if name == "dead" else "stage"
        parts += [
            f'<path class="line {style}" d="M{LEFT + 130} {y}H{x:.1f}"/>',
            f'<circle class="{style}" cx="{x:.1f}" cy="{y}" r="5"/>',
            _text(LEFT + 118, y + 4, STAGES.get(name, name), "lane", "end"),
            _text(x + 10, y + 4, f"{time - first:+,} ms", "tick", "start"),
        ]
    return _picture("stages", height, title, description, parts)


STAGES = {
    "vote": "first vote or ballot",
    "quorum": "enough votes",
    "block": "the halt's block",
    "seen": "seen by the guard",
    "frozen": "agent frozen",
    "dead": "nothing left alive",
}


# ------------------------------------------------------------------------------------------------------------- elements


def _picture(name: str, height: float, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        + "".join(parts)
        + "</svg>"
    )


def _line(style: str, x: float, top: float, bottom: float) -> str:
    return f'<path class="{style}" d="M{x:.1f} {top}V{bottom}"/>'


def _text(x: float, y: float, words: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
