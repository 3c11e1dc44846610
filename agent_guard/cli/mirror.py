"""`agent-guard mirror`: follow a published log, keep a copy, and say so if it turns on its past."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard import text
from agent_guard.cli.options import Json, Network, RpcUrl, settings
from agent_guard.cli.output import RED, Line, Output, Prose, Word
from agent_guard.cli.signals import told_to_end
from agent_guard.errors import GuardError, Kind

if TYPE_CHECKING:
    from agent_guard.mirror import Mirror, Taken


def mirror(
    source: Annotated[str, typer.Argument(metavar="URL", help="Where the log is published (or a folder).")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The copy: made, or gone on with.")],
    vkey: Annotated[
        str | None,
        typer.Option("--vkey", metavar="VKEY", help="The log's key: take only heads that it has signed."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end; for cron.")] = False,
    every: Annotated[
        float, typer.Option("--every", metavar="S", min=0.5, max=86_400, help="Seconds between two looks.")
    ] = 30.0,
    no_chain: Annotated[
        bool,
        typer.Option("--no-chain", help="Don't ask a chain: only what was seen before is held against it."),
    ] = False,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Follow a published log and keep a copy that only ever grows, until Ctrl-C.

    Each head must extend the one before, hash from its entries, and stand on chain. One that does not is a fork: it is
    kept in DIR/evidence, nothing is taken, and the program ends with 5; if the operator signed it (head.json), it says
    with which command anyone halts his agents. A source that fails is asked again.
    """
    out = Output(as_json)
    following = _mirror(source, folder, vkey, no_chain, network, rpc_url)
    told_last = ""
    with told_to_end() as told:
        while not told():
            told_last = _look(out, following, told_last, once)
            next_look = time.monotonic() + every
            while not once and not told() and time.monotonic() < next_look:
                time.sleep(0.1)
            if once:
                return


def _mirror(
    source: str,
    folder: Path,
    vkey: str | None,
    no_chain: bool,
    network: str | None,
    rpc_url: list[str] | None,
) -> "Mirror":
    from agent_guard.checkpoint import NoteError, Verifier
    from agent_guard.mirror import Mirror
    from agent_guard.wiring.proving import asking_chain
    from agent_guard.wiring.publishing import source_of

    try:
        verifier = Verifier.parse(vkey) if vkey else None
    except NoteError as error:
        raise GuardError(
            "AG101",
            f"--vkey is no verifier key: {error}. Nothing was copied.",
            "Ask the log's operator for it.",
        ) from error
    anchored = None if no_chain else asking_chain(settings(network=network, rpc_url=rpc_url))
    return Mirror(source_of(source), folder, anchored, verifier)


def _look(out: Output, following: "Mirror", told_last: str, once: bool) -> str:
    """Looks, and tells what is new; a failure that lasts is told once. Raises what is a fork, and all if `once`."""

    try:
        with out.progress("copying", None) as advance:
            taken = following.look(advance)
    except GuardError as error:
        if once or error.kind in (Kind.TAMPERED, Kind.USAGE):
            raise
        if error.message != told_last:
            out.event(
                {"event": "trouble", **error.as_dict()}, Prose(Word(f"{error.code}: {error.message}", RED))
            )
        return error.message
    said = f"{taken.news.value} {taken.size} {taken.signed} {taken.unsigned and taken.unsigned.message}"
    if said != told_last:
        _tell(out, taken)
    return said


_FOUND = {"grown": "it grew", "same": "nothing is new", "behind": "the source shows fewer"}


def _tell(out: Output, taken: "Taken") -> None:
    payload = {
        "event": taken.news.value,
        "size": taken.size,
        "root": "0x" + taken.root.hex(),
        "signed": taken.signed,
    }
    held = text.amount(taken.size, "entry", "entries")
    signed = (
        "its head is signed by the operator"
        if taken.signed
        else "its head bears no signature of the operator's"
    )
    out.event(payload, Line(f"the copy holds {held} ({_FOUND[taken.news.value]}); {signed}"))
    if (error := taken.unsigned) is not None:
        out.event({"event": "trouble", **error.as_dict()}, Prose(Word(f"{error.code}: {error.message}", RED)))
