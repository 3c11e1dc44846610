"""What drills found, in tables: as rows for programs, as Markdown for people. Pure."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from agent_guard.drill.catalogue import CONTAINED, DRILLS, PLACEMENTS
from agent_guard.drill.result import Cell, Result

HOW_TO_READ = """\
Each cell: trials in which the tactic was **attempted** / trials in which anything of the agent **survived** the stop,
of n trials. Survivors are found by a mark in /proc and by a beat on a pipe, after the stop said that it was done or
its time was over; neither guard nor agent is asked. A tactic that finds nothing to try itself on is not attempted."""
TOTALS = ["placement", "trials", "attempted", "survived", "95 % (Wilson)", "reached"]
REACHED = (
    "Whether the agent got at what is not its own, though it may have died; `-`: there was nothing to get at."
)


def payload(result: Result) -> dict[str, Any]:
    """The result in the shape of every reading command; no block stands behind it."""
    return {
        "as_of": result.as_of,
        "block": None,
        "rows": [asdict(cell) for cell in result.cells()],
        "totals": [asdict(cell) for cell in result.totals()],
        "skipped": [asdict(skip) for skip in result.skips],
        "host": asdict(result.host),
        "truncated": False,
    }


def columns(result: Result) -> list[str]:
    """The placements that occur, in their order."""
    there = {trial.placement for trial in result.trials} | {skip.placement for skip in result.skips}
    return [placement.name for placement in PLACEMENTS if placement.name in there]


def survival(result: Result) -> list[list[str]]:
    """A row for each drill: its name, and for each placement "attempted/survived of n"."""
    return _grid(result, lambda cell: f"{cell.attempted}/{cell.survived} of {cell.n}")


def reach(result: Result) -> list[list[str]]:
    """A row for each drill that could reach something that is not the agent's."""
    harmful = {drill.name for drill in DRILLS if drill.harm}
    rows = _grid(result, _reach)
    return [row for row in rows if row[0] in harmful and set(row[1:]) != {"skipped"}]


def totals(result: Result) -> list[list[str]]:
    """A row for each placement: trials, attempted, survived, the 95 % interval of survivals, reached."""
    return [
        [
            cell.placement,
            *map(str, (cell.n, cell.attempted, cell.survived)),
            percent(cell),
            str(cell.reached or 0),
        ]
        for cell in result.totals()
    ]


def reasons(result: Result) -> list[str]:
    """Why drills were skipped and why trials failed, a line each."""
    why: dict[str, list[str]] = {}
    for skip in result.skips:
        why.setdefault(skip.why, []).append(skip.drill)
    skipped = [f"skipped, {reason}: {', '.join(dict.fromkeys(drills))}" for reason, drills in why.items()]
    return skipped + [
        f"failed, and counted nowhere: {trial.drill} in {trial.placement}: {trial.failure}"
        for trial in result.trials
        if trial.failure
    ]


def percent(cell: Cell) -> str:
    """The 95 % interval of survivals, in percent."""
    return f"{cell.low * 100:.0f}-{cell.high * 100:.0f} %"


def modes(result: Result) -> list[str]:
    """In which mode this guard held its agents, a line for each placement and user."""
    found = {
        (trial.placement, trial.user, trial.mode)
        for trial in result.trials
        if trial.placement in CONTAINED and trial.mode
    }
    return [f"{placement}, run by {user}: {mode}" for placement, user, mode in sorted(found)]


def markdown(result: Result) -> str:
    """The whole report."""
    names, host = columns(result), result.host
    tries = {drill.name: drill.tries for drill in DRILLS}
    stops = [[placement.name, placement.words] for placement in PLACEMENTS if placement.name in names]
    lines = [
        f"# Escape drills, {time.strftime('%Y-%m-%d', time.gmtime(result.as_of))}",
        "",
        f"{result.asked} trials in each cell, {_users(result)}. {host.kernel}, {host.cpus} CPUs, {host.bubblewrap}.",
        "",
        *_table(["placement", "what stops the agent"], stops),
        "",
        *_table(TOTALS, totals(result)),
        "",
        HOW_TO_READ,
        "",
        *_table(["drill", *names], survival(result)),
        "",
        REACHED,
        "",
        *_table(["drill", *names], reach(result)),
        "",
        *_table(["drill", "what it tries"], [[row[0], tries[row[0]]] for row in survival(result)]),
        "",
        *(f"- {line}" for line in (*modes(result), *reasons(result))),
        "",
    ]
    return "\n".join(lines)


def _users(result: Result) -> str:
    """Whose guards they were: trials of a cell go round among the users."""
    users = sorted({trial.user for trial in result.trials})
    return f"the guard run by {' and '.join(users)}{' in turn' if len(users) > 1 else ''}"


def _reach(cell: Cell) -> str:
    if cell.reached is None:
        return "-"
    return f"reached {cell.reached} of {cell.n}" if cell.reached else "not reached"


def _grid(result: Result, show: Callable[[Cell], str]) -> list[list[str]]:
    cells = {(cell.drill, cell.placement): show(cell) for cell in result.cells()}
    there = {trial.drill for trial in result.trials} | {skip.drill for skip in result.skips}
    return [
        [drill.name, *(cells.get((drill.name, name), "skipped") for name in columns(result))]
        for drill in DRILLS
        if drill.name in there
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(_escaped(cell) for cell in row)} |"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())
