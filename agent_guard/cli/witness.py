"""`agent-guard witness`: watches over other people's logs, and shows what it saw."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard.cli.options import Json, Network, settings
from agent_guard.cli.output import RED, Facts, Hash, Line, Output, Table, Time, Word
from agent_guard.cli.signals import told_to_end
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.store.ledger import Cosigned, Fork

app = typer.Typer(
    help="Witness logs (C2SP tlog-witness): cosign heads that only ever extend.", no_args_is_help=True
)

State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="The witness's memory. Default: witness/ in AGENT_GUARD_HOME."
    ),
]


@app.command("serve")
def serve(
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="This witness's name, such as example.org/w1.")
    ],
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="VKEY", help="A log to cosign, by its verifier key; repeat."),
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option("--logs", metavar="FILE", help="More of them, one a line; # begins a comment."),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve; port 0 is any free one.")
    ] = "127.0.0.1:8720",
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="Its key, made at first use. Default: DIR/key."),
    ] = None,
    state: State = None,
    network: Network = None,
    rpc_url: Annotated[
        list[str] | None,
        typer.Option(
            "--rpc-url",
            metavar="URL",
            help="Read the chain here, and cosign only the heads that it holds; repeat.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve a witness until Ctrl-C: POST /add-checkpoint, persistent and atomic."""
    from agent_guard.wiring.witnessing import witnessing

    out, folder = Output(as_json), _folder(state)
    known = [*(log or ()), *_from_file(logs)]
    if not known:
        raise GuardError(
            "AG101",
            "No log was named. Nothing is served.",
            "Name each log with --log VKEY, or all in a --logs FILE.",
        )
    chain = settings(network=network, rpc_url=rpc_url) if rpc_url else None
    key = key_file or folder / "key"
    with told_to_end() as told, witnessing(name, listen, key, known, folder, chain) as serving:
        url = f"http://{f'[{serving.host}]' if ':' in serving.host else serving.host}:{serving.port}"
        out.event(
            {
                "event": "ready",
                "url": url,
                "vkey": serving.vkey,
                "logs": list(serving.origins),
                "state": str(folder),
            },
            Facts([("witness", serving.vkey), ("serves", url), ("memory", str(folder))]),
            Table(("log",), [(origin,) for origin in serving.origins]),
            Line(f'next: in a guard\'s agent_guard.toml: witnesses = ["{url} {serving.vkey}"]'),
        )
        while not told():
            serving.check()
            time.sleep(0.1)


@app.command("list")
def list_(state: State = None, as_json: Json = False) -> None:
    """List what the witness has cosigned, and the forks it was shown, with both signed notes as evidence."""
    from agent_guard.wiring.witnessing import seen

    cosigned, forks = seen(_folder(state))
    Output(as_json).result(
        {
            "rows": [_row(one) for one in cosigned],
            "forks": [_evidence(one) for one in forks],
            "truncated": False,
        },
        Table(
            ("log", "size", "root", "cosigned"),
            [(one.origin, one.size, Hash(one.root), Time(one.time)) for one in cosigned],
            empty="Nothing was cosigned yet.",
        ),
        *(block for one in forks for block in _told(one)),
    )


def _row(one: "Cosigned") -> dict[str, Any]:
    return {
        "origin": one.origin,
        "size": one.size,
        "root": "0x" + one.root.hex(),
        "time": one.time,
        "note": one.note,
    }


def _evidence(one: "Fork") -> dict[str, Any]:
    return {"origin": one.origin, "size": one.size, "time": one.time, "notes": [one.ours, one.theirs]}


def _told(one: "Fork") -> list[Line | Facts]:
    from agent_guard.checkpoint import parse

    roots = [("one root", parse(one.ours).root), ("another", parse(one.theirs).root)]
    return [
        Line(Word(f"FORK: {one.origin} has two roots of {one.size} entries", RED)),
        Facts([*((label, Hash(root)) for label, root in roots), ("shown", Time(one.time))]),
        Line("both signed notes: agent-guard witness list --json"),
    ]


def _folder(state: Path | None) -> Path:
    return state if state is not None else Path(settings().home) / "witness"


def _from_file(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GuardError(
            "AG101",
            f"{path} can't be read ({error}). Nothing is served.",
            "Name a text file of verifier keys.",
        ) from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
