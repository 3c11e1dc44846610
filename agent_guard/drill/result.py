"""What drills found: trials, the cells they add up to, and the file they are kept in.

A trial that could not be run says nothing and is counted nowhere but among the failures.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from agent_guard import wilson
from agent_guard.drill.catalogue import GUARD, PLACEMENTS
from agent_guard.errors import GuardError

VERSION = 1
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Trial:
    """One agent, one tactic, one stop.

    `user`: whose guard it was, root's or an ordinary user's. `attempted`: the tactic said that it did what it tries;
    `words` are what it said, or why it could not. After the stop `alive` processes were found, and `beats` heard of
    them. `reached`: whether it got at what it must not (None where there is no such thing). `stop`: what the stop said
    of itself, after `stop_ms`. `failure`: why the trial could not be run.
    """

    drill: str
    placement: str
    user: str
    attempted: bool = False
    words: str = ""
    alive: Count = 0
    beats: Count = 0
    reached: bool | None = None
    mode: str = ""
    stop: str = ""
    stop_ms: float | None = None
    failure: str = ""

    @property
    def survived(self) -> bool:
        """Whether anything of the agent lived on."""
        return self.alive > 0 or self.beats > 0


@dataclass(frozen=True, slots=True)
class Skip:
    """A drill that was not run in a placement, and why."""

    drill: str
    placement: str
    why: str


@dataclass(frozen=True, slots=True)
class Host:
    """Where the drills ran, as far as it matters: no name, no address."""

    kernel: str
    cpus: int
    user: str
    bubblewrap: str
    python: str
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One run of drills. `as_of` in unix seconds; `trials` were asked for in each cell."""

    as_of: int
    host: Host
    asked: Count
    trials: tuple[Trial, ...]
    skips: tuple[Skip, ...] = ()
    version: int = VERSION

    def failure(self) -> GuardError | None:
        """What must end a run with an error: AG450 if this guard did not hold, AG454 if that was not found out."""
        ours = [cell for cell in self.cells() if cell.placement == GUARD]
        held = [cell.drill for cell in ours if cell.survived or cell.reached]
        if held:
            return GuardError(
                "AG450",
                f"This guard did not hold against {', '.join(held)}: something of the agent lived on, or reached what"
                " is not its own.",
                "Trust no agent to this host before you know why; the result's file holds every trial.",
            )
        failed = [cell.drill for cell in ours if cell.failed]
        if failed:
            return GuardError(
                "AG454",
                f"Trials of {', '.join(failed)} under this guard could not be run, so they show nothing.",
                "The reasons stand below the table; agent-guard doctor checks this host.",
            )
        return None

    def cells(self) -> Iterator["Cell"]:
        """Every drill in every placement that it was run in, in the order of the trials."""
        groups: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault((trial.drill, trial.placement), []).append(trial)
        for (drill, placement), trials in groups.items():
            yield count(drill, placement, trials)

    def totals(self) -> list["Cell"]:
        """All drills of each placement together, in the placements' order."""
        placements = [placement.name for placement in PLACEMENTS]
        groups = [[trial for trial in self.trials if trial.placement == name] for name in placements]
        return [count("all", name, group) for name, group in zip(placements, groups, strict=True) if group]


@dataclass(frozen=True, slots=True)
class Cell:
    """What `n` trials of one kind showed; `low` and `high` bound the share of survivals (95 %, Wilson).

    `reached` is None where nothing could be reached.
    """

    drill: str
    placement: str
    n: int
    attempted: int
    survived: int
    low: float
    high: float
    reached: int | None
    failed: int


def count(drill: str, placement: str, trials: Sequence[Trial]) -> Cell:
    """The cell of these trials."""
    valid = [trial for trial in trials if not trial.failure]
    survived = sum(trial.survived for trial in valid)
    asked = [trial.reached for trial in valid if trial.reached is not None]
    return Cell(
        drill,
        placement,
        len(valid),
        sum(trial.attempted for trial in valid),
        survived,
        *wilson.interval(survived, len(valid)),
        sum(asked) if asked else None,
        len(trials) - len(valid),
    )


def save(result: Result, path: Path) -> None:
    """Write it as JSON. Raises AG104."""
    text = _ADAPTER.dump_json(result, indent=1).decode() + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise GuardError(
            "AG104",
            f"The drills were run, but {path} can't be written ({error.strerror}).",
            "Name another file with -o.",
        ) from error


def load(path: Path) -> Result:
    """Read what `save` wrote. Raises AG451."""
    try:
        result = _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{error.error_count()} fields make no sense"
        raise GuardError(
            "AG451",
            f"{path} can't be read as the result of drills: {why}.",
            "Run: agent-guard drill run --all",
        ) from error
    if result.version != VERSION:
        raise GuardError(
            "AG451",
            f"{path} has version {result.version}; this program knows {VERSION}.",
            "Run: agent-guard drill run --all",
        )
    return result


def file_name(as_of: int) -> str:
    """Where a run of this second is kept, under the folder of all runs; names sort by time."""
    return time.strftime("%Y-%m-%dT%H-%M-%SZ.json", time.gmtime(as_of))


def newest(folder: Path) -> Path:
    """The latest result in the folder. Raises AG451 if there is none."""
    found = sorted(folder.glob("*.json"))
    if not found:
        raise GuardError("AG451", f"There is no result in {folder}.", "Run: agent-guard drill run --all")
    return found[-1]


_ADAPTER = TypeAdapter(Result)
