"""`agent-guard drill`: what an agent may try against its stop, tried on this host and counted."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.options import Json, settings
from agent_guard.cli.output import Block, Line, Output, Table
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.drill.exercise import Plan
    from agent_guard.drill.result import Result, Trial

app = typer.Typer(
    help="Escape drills: agents that resist their stop, in five placements of it.", no_args_is_help=True
)

FORMATS = ("md", "json", "svg", "png")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the drills: what each tries, and what it needs of the host; and the placements of the stop."""
    from agent_guard.drill.catalogue import DRILLS, PLACEMENTS

    rows = [
        {
            "drill": drill.name,
            "family": drill.family,
            "tries": drill.tries,
            "harm": drill.harm and drill.harm.value,
            "needs": drill.need and drill.need.value,
        }
        for drill in DRILLS
    ]
    placements = [
        {"placement": place.name, "stop": place.words, "needs_root": place.two_users} for place in PLACEMENTS
    ]
    Output(as_json).result(
        {
            "as_of": int(time.time()),
            "block": None,
            "rows": rows,
            "placements": placements,
            "truncated": False,
        },
        Table(("drill", "tries", "needs"), [(row["drill"], row["tries"], row["needs"]) for row in rows]),
        Line(""),
        Table(("placement", "what stops the agent"), [(place.name, place.words) for place in PLACEMENTS]),
    )


@app.command("run")
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Drills to run (see `drill list`).")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Run all of them.")] = False,
    n: Annotated[
        int, typer.Option("--n", min=1, max=1000, help="Trials of each drill in each placement.")
    ] = 3,
    placement: Annotated[
        list[str] | None, typer.Option("--placement", metavar="NAME", help="Only this placement; repeat.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Keep the result here, not under the home's drills/."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run drills on this host: real processes that resist, stopped in five ways, and what is left of them counted.

    Takes minutes. What is started is bounded and ended, also at Ctrl-C. As root it tries guards of root's and of an
    ordinary user's. Exit 1 if anything survived this guard, or reached what it must not.
    """
    from agent_guard.drill.catalogue import DRILLS, PLACEMENTS, named, placed
    from agent_guard.drill.exercise import exercise, plan
    from agent_guard.drill.report import payload
    from agent_guard.drill.result import file_name, save

    if bool(names) == every:
        raise GuardError(
            "AG101", "Name the drills to run, or say --all. Nothing was run.", "See: agent-guard drill list"
        )
    out, home = Output(as_json), settings().home
    drills = DRILLS if every else named(names or [])
    planned = plan(drills, placed(placement) if placement else PLACEMENTS, n)
    out.narrate(f"{len(planned.trials)} trials; Ctrl-C ends them and all they started")
    with out.progress("trials", len(planned.trials)) as advance:
        result = exercise(planned, _jobs(), _teller(out, planned, advance))
    path = output or home / "drills" / file_name(result.as_of)
    save(result, path)
    failure = result.failure()
    if as_json:
        out.result(payload(result) | {"file": str(path)} | (failure.as_dict() if failure else {}))
        raise typer.Exit(failure.exit_code if failure else 0)
    _show(out, result)
    out.narrate(f"kept in {path}; agent-guard drill report makes Markdown, JSON or a chart of it")
    if failure:
        raise failure


@app.command("report")
def report(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A result of `drill run`. Default: the newest.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="md (default), json, svg or png; else as -o's name ends.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here; charts need it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a report of a run: Markdown, JSON, or a chart of what survived in each placement."""
    from agent_guard.drill.report import markdown, payload
    from agent_guard.drill.result import load, newest

    out = Output(as_json)
    chosen = _format(form, output, as_json)
    result = load(file or newest(settings().home / "drills"))
    if chosen in ("svg", "png"):
        from agent_guard.drill.picture import draw

        content = draw(result, chosen)
    else:
        content = (
            json.dumps(payload(result), indent=2) + "\n" if chosen == "json" else markdown(result)
        ).encode()
    if output is None:
        out.document(content.decode())
        return
    _write(output, content)
    detail = {"target": str(output), "applied": True, "tx": None, "detail": {"format": chosen}}
    out.result(detail, Line(f"{chosen} in {output}"))


def _jobs() -> int:
    """Trials at once: most of a trial is waiting."""
    return min(8, 2 * (os.cpu_count() or 1))


def _format(form: str | None, output: Path | None, as_json: bool) -> str:
    """The format asked for. Raises AG101."""
    named = output.suffix.removeprefix(".") if output else ""
    chosen = form or (named if named in FORMATS else "json" if as_json and output is None else "md")
    if chosen not in FORMATS:
        raise GuardError(
            "AG101", f"There is no format {chosen!r}. Nothing was written.", f"Use {', '.join(FORMATS)}."
        )
    if chosen in ("svg", "png") and output is None:
        raise GuardError("AG101", "A chart needs a file. Nothing was written.", "Name it with -o FILE.")
    return chosen


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise GuardError(
            "AG104", f"{path} can't be written ({error.strerror}).", "Name another file with -o."
        ) from error


def _teller(out: Output, planned: "Plan", advance: Callable[[int], None]) -> Callable[["Trial"], None]:
    """Draws the bar; where there is no terminal for one, a line when a drill has ended everywhere."""
    left = Counter(drill.name for drill, _, _ in planned.trials)
    done = 0

    def tell(trial: "Trial") -> None:
        nonlocal done
        done += 1
        advance(done)
        left[trial.drill] -= 1
        if not left[trial.drill] and not os.isatty(2):
            out.narrate(f"{trial.drill}: done ({done} of {len(planned.trials)} trials)")

    return tell


def _show(out: Output, result: "Result") -> None:
    from agent_guard.drill import report

    names, reach = report.columns(result), report.reach(result)
    blocks: list[Block] = [
        Line("attempted/survived of n trials:"),
        Table(("drill", *names), report.survival(result)),
    ]
    if reach:
        blocks += [Line(""), Line("what is not the agent's own was:"), Table(("drill", *names), reach)]
    blocks += [Line(""), Table(report.TOTALS, report.totals(result))]
    out.result({}, *blocks, *(Line(reason) for reason in report.reasons(result)))
