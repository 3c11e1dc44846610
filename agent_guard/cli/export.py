"""`agent-guard log export`: entries as JSON lines, or the whole anchored log as tiles for anyone to check."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agent_guard import text
from agent_guard.cli.files import new_file
from agent_guard.cli.log import reader_of, row_of
from agent_guard.cli.options import Agent, Json, LogPlace, Network, RpcUrl
from agent_guard.cli.output import Facts, Hash, Line, Output
from agent_guard.errors import GuardError


def export(
    agent: Agent,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="A new file of JSON lines, contents included."),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option("--tiles", metavar="DIR", help="A folder of C2SP tiles: made, or brought up to date."),
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="With --tiles: the contents of this agent's entries, too.")
    ] = False,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Write an agent's entries to a file of JSON lines, or its guard's anchored log to a folder of tiles.

    The tiles hold the public entries of all agents of the guard, and no content unless --content is given. Any web
    server may serve the folder: agent-guard serve does.
    """
    if (output is None) == (tiles is None):
        raise GuardError(
            "AG101", "Where to is not said, or twice. Nothing was written.", "Give -o or --tiles."
        )
    out = Output(as_json)
    if output is not None:
        _to_lines(out, agent, output, log, network, rpc_url)
    elif tiles is not None:
        _to_tiles(out, agent, tiles, content, log, network, rpc_url)


def _to_lines(
    out: Output, agent: str, output: Path, log: str | None, network: str | None, rpc_url: list[str] | None
) -> None:
    from agent_guard.log.reading import entries
    from agent_guard.typed_data import agent_id

    count = 0
    with new_file(output) as file, reader_of(agent, log, network, rpc_url) as reader:
        for item in entries(reader, agent_id(agent)):
            file.write(json.dumps(row_of(item)) + "\n")
            count += 1
    out.result(
        {"target": str(output), "applied": True, "tx": None, "detail": {"entries": count}},
        Line(f"{count} entries of {agent} in {output}"),
    )


def _to_tiles(
    out: Output,
    agent: str,
    tiles: Path,
    content: bool,
    log: str | None,
    network: str | None,
    rpc_url: list[str] | None,
) -> None:
    from agent_guard.log.publish import publish
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET

    opened = {agent_id(agent), FLEET} if content else set()
    with reader_of(agent, log, network, rpc_url) as reader:
        with out.progress(f"publishing into {tiles}", reader.size()) as advance:
            saved = publish(reader, tiles, opened.__contains__, advance)
        identity = reader.identity()
    out.result(
        {
            "target": str(tiles),
            "applied": True,
            "tx": None,
            "detail": {
                "size": saved.size,
                "root": "0x" + saved.root.hex(),
                "operator": identity.operator,
                "signed": bool(saved.signature),
            },
        },
        Line(f"{text.amount(saved.size, 'anchored entry', 'anchored entries')} in {tiles}"),
        Facts(
            [
                ("root on chain", Hash(saved.root)),
                ("operator", Hash(identity.operator)),
                ("his signature", "head.json" if saved.signature else "not in this log"),
            ]
        ),
    )
