"""How cost grows with the log, drawn by matplotlib (extra `drill`): gas, seconds and bytes, over 10^3 to 10^7 entries.

Guarantees: all axes are logarithmic; what was measured is a filled mark, what was extrapolated a hollow one at the end
of a dashed line, and the legend says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from bench_growth_curve import Point, amount, significant

from agent_guard.drill.picture import INK, OTHERS, OURS

PLAIN = "#4a6fa5"


class Line(NamedTuple):
    """One line of a panel: its name, its colour, what it shows of a point, and how that is written."""

    name: str
    colour: str
    value: Callable[[Point], float]
    written: Callable[[float], str]


def _seconds(value: float) -> str:
    return f"{significant(value)} s"


def _mebibytes(value: float) -> str:
    return f"{value / 2**20:.0f} MiB"


GAS = [
    Line("anchored by 256, as a busy guard does", OURS, lambda point: point.gas_per_entry, significant),
    Line("anchored all at once", OTHERS, lambda point: point.gas_at_once_per_entry, significant),
]
SECONDS = [
    Line("audit", OURS, lambda point: point.audit_seconds, _seconds),
    Line("bare SHA-256 of the same bytes", OTHERS, lambda point: point.hash_seconds, _seconds),
]
BYTES = [
    Line("the store", OURS, lambda point: point.store_bytes, amount),
    Line("memory of an audit", OTHERS, lambda point: point.audit_mib * 2**20, _mebibytes),
    Line("the proof of one entry", PLAIN, lambda point: point.proof_bytes, amount),
]


def draw(points: Sequence[Point], title: str, form: str = "svg") -> bytes:
    """The three panels side by side, as `svg` or `png`. Raises `ImportError` where matplotlib is not installed."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "agent-guard", "font.size": 10, "lines.markersize": 5}):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _panel(left, points, "gas per entry (an action makes two)", GAS)
        _panel(middle, points, "seconds for the whole log", SECONDS)
        _panel(right, points, "bytes", BYTES)
        figure.suptitle(title, fontsize=11)
        _legend(figure, any(not point.measured for point in points))
        page = BytesIO()
        figure.savefig(page, format=form, dpi=130, metadata={"Date": None} if form == "svg" else {})
        return page.getvalue()


def _panel(axes: Any, points: Sequence[Point], unit: str, lines: Sequence[Line]) -> None:
    for line in lines:
        _draw_line(axes, points, line)
    axes.set(xscale="log", yscale="log", xlabel="entries in the log", ylabel=unit)
    axes.minorticks_off()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    # Room for the last values, and for the names.
    axes.set_xlim(left, right * (right / left) ** 0.14)
    axes.set_ylim(low, high * (high / low) ** (0.09 * len(lines)))
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def _draw_line(axes: Any, points: Sequence[Point], line: Line) -> None:
    measured = [point for point in points if point.measured]
    places, values = _along(measured, line)
    axes.plot(places, values, "-o", color=line.colour, label=line.name)
    beyond = [point for point in points if not point.measured]
    if beyond:
        axes.plot(*_along([measured[-1], *beyond], line), "--", color=line.colour)
        axes.plot(*_along(beyond, line), "o", color=line.colour, markerfacecolor="white")
    last = line.value(points[-1])
    axes.annotate(
        line.written(last),
        (points[-1].entries, last),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        color=line.colour,
        fontsize=9,
    )


def _along(points: Sequence[Point], line: Line) -> tuple[list[int], list[float]]:
    return [point.entries for point in points], [line.value(point) for point in points]


def _legend(figure: Any, extrapolated: bool) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=INK, marker="o", linestyle="-", label="measured")]
    if extrapolated:
        told = "extrapolated from the last two measured"
        marks.append(
            Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="--", label=told)
        )
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False)
