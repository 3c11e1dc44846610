"""The share of trials in which something survived the stop, by placement, drawn by matplotlib (extra `drill`)."""

import time
from io import BytesIO
from typing import Any

from agent_guard.drill.catalogue import CONTAINED
from agent_guard.drill.report import percent
from agent_guard.drill.result import Result
from agent_guard.errors import GuardError

OURS, OTHERS, INK = "#1b7f5c", "#b5533c", "#333333"
_LABELS = {
    "script": "script\nin the agent's home",
    "signal": "signal\nfrom the same user",
    "other-user": "other user\nwithout a container",
    "pidns": "this guard\nPID namespace only",
    "guard": "this guard\nwhole",
}


def draw(result: Result, form: str) -> bytes:
    """The chart as `png` or `svg`. Raises AG452 where matplotlib is not installed."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GuardError(
            "AG452",
            "The chart needs matplotlib, which is not installed. Nothing was written.",
            "Install it: pip install 'agent-guard[drill]'; the formats md and json need nothing.",
        ) from error
    with rc_context(
        {"svg.hashsalt": "agent-guard", "font.size": 10, "figure.constrained_layout.w_pad": 0.12}
    ):
        figure = Figure(figsize=(9, 5), layout="constrained")
        _fill(figure, result)
        page = BytesIO()
        metadata = {"Date": None} if form == "svg" else {}
        figure.savefig(page, format=form, dpi=150, metadata=metadata)
        return page.getvalue()


def _fill(figure: Any, result: Result) -> None:
    cells = result.totals()
    shares = [100 * cell.survived / cell.n if cell.n else 0.0 for cell in cells]
    spreads = (
        [share - 100 * cell.low for share, cell in zip(shares, cells, strict=True)],
        [100 * cell.high - share for share, cell in zip(shares, cells, strict=True)],
    )
    axes = figure.subplots()
    colours = [OURS if cell.placement in CONTAINED else OTHERS for cell in cells]
    axes.bar(range(len(cells)), shares, color=colours, width=0.6)
    axes.errorbar(range(len(cells)), shares, yerr=spreads, fmt="none", ecolor=INK, capsize=5, elinewidth=1.2)
    for place, cell in enumerate(cells):
        axes.annotate(
            f"{cell.survived} of {cell.n}\n{percent(cell)}",
            (place, 100 * cell.high),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            color=INK,
        )
    axes.set_xticks(range(len(cells)), [_LABELS[cell.placement] for cell in cells])
    axes.set_ylim(0, min(125.0, max((100 * cell.high for cell in cells), default=100.0) + 18))
    axes.set_yticks([tick for tick in range(0, 101, 20) if tick <= axes.get_ylim()[1]])
    axes.set_ylabel("trials in which the agent outlived the stop, %")
    axes.spines[["top", "right"]].set_visible(False)
    day = time.strftime("%Y-%m-%d", time.gmtime(result.as_of))
    drills = len({trial.drill for trial in result.trials})
    axes.set_title(
        f"Who outlives the stop: {drills} tactics, {result.asked} trials each, {day}\n"
        "bars: share of trials; whiskers: 95 % Wilson intervals",
        fontsize=11,
    )
