"""Options that several commands share, and the settings and outputs they lead to."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_guard.cli.output import Output
from agent_guard.errors import GuardError

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RpcUrl = Annotated[
    list[str] | None,
    typer.Option(
        "--rpc-url",
        metavar="URL",
        help="JSON-RPC node; repeat for a quorum. Default: ETH_RPC_URL, settings, local devnet.",
    ),
]
Network = Annotated[
    str | None, typer.Option("--network", metavar="NAME", help="Which record under deployments/ to use.")
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="A keystore in ~/.foundry/keystores.")
]
Keystore = Annotated[Path | None, typer.Option("--keystore", metavar="PATH", help="A keystore file.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="PATH", help="The password is this file's first line; else it is asked."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; for scripts.")]
Reason = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="Why. Its hash goes on chain, where it stays for ever."),
]
SignOnly = Annotated[
    bool, typer.Option("--sign-only", help="Sign a ballot that anyone may submit later; send nothing.")
]
OutFile = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write the signed ballot.")
]
To = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        metavar="SOCKET|URL|FOLDER",
        help="Of a halt: a guard that gets the ballot itself, and at once; repeat.",
    ),
]
LogPlace = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="FILE|DIR|URL",
        help="The guard's log (a file, or postgresql://…), or a copy of it as tiles. Default: this host's own.",
    ),
]
LogPlaces = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="FILE|DIR|URL",
        help="The guard's log (a file, or postgresql://…), or a copy of it as tiles; of several operators that guarded"
        " the agent, one each. Default: this host's own.",
    ),
]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]

CONFIG_FILE = "agent_guard.toml"


def config_file() -> Path:
    """Where the settings file is looked for; it need not exist."""
    return Path(os.environ.get("AGENT_GUARD_CONFIG", CONFIG_FILE))


def settings(**flags: Any) -> Any:
    """The settings in force: flags over environment over file. Raises AG102."""
    from agent_guard.settings import parse

    path = config_file()
    try:
        toml = path.read_text() if path.exists() or "AGENT_GUARD_CONFIG" in os.environ else ""
    except (OSError, UnicodeDecodeError) as error:
        raise GuardError(
            "AG102",
            f"The settings file {path} can't be read ({error}). Nothing was started.",
            "Make it readable.",
        ) from error
    rpc_url = flags.pop("rpc_url", None)
    return parse(toml, os.environ, {**flags, "rpc_url": tuple(rpc_url) if rpc_url else None})


def confirm(out: Output, question: str, answer: str, yes: bool) -> None:
    """Goes on only if the person types `answer`. Raises AG103 otherwise, AG101 where nobody can be asked."""
    if yes:
        return
    if not os.isatty(0):
        raise GuardError(
            "AG101",
            "This needs a confirmation and there is no terminal to ask on. Nothing was signed or sent.",
            "Add --yes if this is a script that means it.",
        )
    out.ask(question)
    try:
        given = input()
    except EOFError:
        given = ""
    if given.strip().lower() != answer.lower():
        raise GuardError(
            "AG103", "Not confirmed. Nothing was signed or sent.", "Run it again if you meant it."
        )
