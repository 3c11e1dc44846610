"""`agent-guard serve`: a published log over HTTP, read-only, for auditors and mirrors."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.log import reader_of
from agent_guard.cli.options import Json, LogPlace, Network, RpcUrl
from agent_guard.cli.output import Line, Output, Prose
from agent_guard.cli.signals import told_to_end
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.api.server import Server

LISTEN = "127.0.0.1:8730"


def serve(
    tiles: Annotated[
        Path,
        typer.Option("--tiles", metavar="DIR", help="The folder to serve: log export or mirror keeps it."),
    ],
    agent: Annotated[
        str | None,
        typer.Option("--publish", metavar="AGENT", help="Keep the folder up to date with this agent's log."),
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="With --publish: the contents of this agent's entries, too.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", metavar="S", min=0.5, max=3_600, help="Seconds between two looks.")
    ] = 10.0,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to answer.")] = LISTEN,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Serve a log as static tiles over HTTP, until Ctrl-C. Read-only: nothing that comes in changes anything.

    With --publish it is the guard's own log that is served, and what is anchored later follows. Put a web server or a
    cache before it for the world; the files may be cached for ever, but for the checkpoint and head.json.
    """
    out = Output(as_json)
    update = _updating(out, agent, tiles, content, log, network, rpc_url)
    update()
    with told_to_end() as told, _site(tiles, listen):
        out.event(
            {"event": "serving", "url": f"http://{listen}", "folder": str(tiles)},
            Line(f"serving {tiles} at http://{listen}; Ctrl-C ends it"),
        )
        next_look = time.monotonic() + every
        while not told():
            time.sleep(0.1)
            if time.monotonic() >= next_look:
                update()
                next_look = time.monotonic() + every


def _updating(
    out: Output,
    agent: str | None,
    tiles: Path,
    content: bool,
    log: str | None,
    network: str | None,
    rpc_url: list[str] | None,
) -> Callable[[], None]:
    """Publishes what is new and tells of it; a failure is told once and does not end the serving."""
    from agent_guard.log.publish import publish
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET
    from agent_guard.wiring.publishing import check_published

    if agent is None:
        check_published(tiles)
        return lambda: None
    opened = {agent_id(agent), FLEET} if content else set()
    reader = reader_of(agent, log, network, rpc_url)
    told: list[str | int] = [""]

    def update() -> None:
        try:
            size = publish(reader, tiles, opened.__contains__).size
        except GuardError as error:
            if told[0] != error.code:
                out.event({"event": "trouble", **error.as_dict()}, Prose(f"{error.code}: {error.message}"))
            told[0] = error.code
            return
        if told[0] != size:
            out.event({"event": "published", "size": size}, Line(f"{size} anchored entries"))
        told[0] = size

    return update


@contextmanager
def _site(tiles: Path, listen: str) -> Iterator["Server"]:
    from agent_guard.api.connections import ConnectionLimits
    from agent_guard.api.server import Server
    from agent_guard.api.site import site_app
    from agent_guard.api.socket import bind_tcp, parse_address

    address = parse_address(listen)
    if address is None or address[1] == 0:
        raise GuardError(
            "AG101", f"{listen} is no HOST:PORT. Nothing is served.", f"Such as --listen {LISTEN}"
        )
    bound = bind_tcp(*address)
    server = Server("site")
    server.start()
    try:
        # A large file over a slow line takes its time.
        server.open(site_app(tiles), bound, limits=ConnectionLimits(most=512, seconds=600.0))
        yield server
    finally:
        server.stop()
