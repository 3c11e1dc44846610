"""The program `agent-guard`: its commands, and the one way out for errors.

Command modules import what is heavy (web3, FastAPI) only when they run, so that --help answers at once.
"""

import logging
import os
import re
import sys
from typing import Annotated

import typer

from agent_guard import __version__
from agent_guard.cli import (
    accuse,
    agent,
    audit,
    council,
    demo,
    deployment,
    devnet,
    doctor,
    drill,
    erase,
    export,
    key,
    log,
    mirror,
    proof,
    run,
    serve,
    status,
    vote,
    witness,
)
from agent_guard.cli.options import Json
from agent_guard.cli.output import Facts, Line, Output, Records
from agent_guard.errors import CATALOGUE, GuardError, Kind

app = typer.Typer(
    name="agent-guard",
    help="An off-switch for AI agents that no agent can reach and no single person can take away.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        Output().result({"version": __version__}, Line(f"agent-guard {__version__}"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("run", no_args_is_help=True)(run.run)
app.command("status")(status.status)
app.add_typer(vote.app, name="vote")
app.command("audit")(audit.audit)
log.app.command("prove")(proof.prove)
log.app.command("accuse")(accuse.accuse)
log.app.command("verify")(proof.verify)
log.app.command("export")(export.export)
log.app.command("erase")(erase.erase)
app.add_typer(log.app, name="log")
app.command("mirror", no_args_is_help=True)(mirror.mirror)
app.command("serve", no_args_is_help=True)(serve.serve)
app.add_typer(agent.app, name="agent")
app.add_typer(council.app, name="council")
app.add_typer(deployment.app, name="deployment")
app.add_typer(key.app, name="key")
app.add_typer(drill.app, name="drill")
app.add_typer(witness.app, name="witness")
app.command("devnet")(devnet.devnet)


@app.command("help")
def explain(
    code: Annotated[str, typer.Argument(metavar="AGnnn", help="The code of an error.")],
    as_json: Json = False,
) -> None:
    """Explain an error's code."""
    entry = CATALOGUE.get(code.upper())
    if entry is None:
        raise GuardError("AG101", f"There is no error {code!r}.", "Codes look like AG201.")
    payload = {
        "code": code.upper(),
        "kind": entry.kind.name.lower(),
        "title": entry.title,
        "text": entry.text,
    }
    Output(as_json).result(
        payload,
        Line(f"{code.upper()}  {entry.title}"),
        Line(entry.text),
        Facts([("exit code", f"{entry.kind.value} ({entry.kind.name.lower()})")]),
    )


def main() -> None:
    """Entry point: runs the command and turns whatever it raises into one error and its exit code."""
    out = Output(as_json="--json" in sys.argv)
    logging.basicConfig(handlers=[Records(out)])
    try:
        code = app(standalone_mode=False, prog_name="agent-guard")
    except GuardError as error:
        out.error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = Kind.INTERRUPTED.value
    except BrokenPipeError:
        # Whoever read our output went away; what is left of it has nowhere to go.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        code = 0
    except Exception as error:  # noqa: BLE001 - the last resort of the program: nothing runs on after it
        code = _unexpected(out, error)
    sys.exit(code if isinstance(code, int) else 0)


def _unexpected(out: Output, error: Exception) -> int:
    """The exit code of what no command raises itself, told as an error; no arguments at all ask for the help."""
    if type(error).__name__ == "NoArgsIsHelpError" and not out.as_json:
        for line in error.format_message().splitlines():  # type: ignore[attr-defined]
            out.relay(line, indent=0)
        return Kind.USAGE.value
    failure = _translated(error)
    if failure.code == "AG100" and "AGENT_GUARD_DEBUG" in os.environ:
        out.trace()
    out.error(failure)
    return failure.exit_code


def _translated(error: Exception) -> GuardError:
    """Typer's own errors as AG101 and AG103, anything nobody foresaw as AG100."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        said = error.format_message().rstrip(".")
        negative = re.fullmatch(r"No such option: -\d+", said)
        remedy = (
            "A number here is 0 or more: see --help of the command."
            if negative
            else "See --help of the command."
        )
        return GuardError("AG101", f"{said}. Nothing was done.", remedy)
    if type(error).__name__ == "Abort":
        return GuardError(
            "AG103", "The input ended. Nothing was signed or sent.", "Run it again if you meant it."
        )
    return GuardError(
        "AG100",
        f"{type(error).__name__}: {error}.",
        "Run again with AGENT_GUARD_DEBUG=1 and report what it prints.",
    )
