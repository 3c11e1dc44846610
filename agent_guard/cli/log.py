"""`agent-guard log`: what a guard wrote, as people read it. Proofs and copies are in `proof.py` and `export.py`."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard import text
from agent_guard.cli.options import Agent, Json, LogPlace, Network, RpcUrl, settings
from agent_guard.cli.output import Facts, Hash, Moment, Output, Prose, Table, Time
from agent_guard.entry import Kind
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.log.reading import AnyLog, LogEntry

app = typer.Typer(help="Read the log of the guard on this host, and prove its entries.", no_args_is_help=True)

Guard = Annotated[
    bool,
    typer.Option(
        "--guard", help="The entries of its guard that concern all agents: ballots, endpoints that differ."
    ),
]
Seq = Annotated[int, typer.Argument(metavar="SEQ", help="The entry's index in the log.")]


@app.command("list")
def list_(
    agent: Agent,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, help="How many, at the most.")] = 20,
    start: Annotated[
        int | None, typer.Option("--from", metavar="SEQ", min=0, help="Only from here on.")
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", metavar="SEQ", min=0, help="Only up to here, with it.")
    ] = None,
    kind: Annotated[
        list[Kind] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; repeat for more.")
    ] = None,
    guard: Guard = False,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """List an agent's newest entries, each in a sentence."""
    from agent_guard.log.selection import select

    if start is not None and end is not None and end < start:
        raise GuardError(
            "AG101",
            f"--from {start} comes after --to {end}, and no entry lies between. Nothing was read.",
            "Name the lower number with --from, the higher with --to.",
        )
    with reader_of(agent, log, network, rpc_url) as reader:
        shown, truncated = select(reader, last, _whose(agent, guard), start, end, kind or ())
    Output(as_json).result(
        {"rows": [row_of(item) for item in shown], "truncated": truncated},
        Table(
            ("seq", "when", "kind", "what", "block"),
            [_cells(item) for item in shown],
            empty="No such entries." if kind or start is not None or end is not None else "No entries yet.",
        ),
    )


@app.command("show")
def show(
    agent: Agent,
    seq: Seq,
    guard: Guard = False,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Show one entry whole."""
    from agent_guard.log.reading import get

    with reader_of(agent, log, network, rpc_url) as reader:
        found = get(reader, seq, _whose(agent, guard))
    entry = found.entry
    content = _absence(found) or json.dumps(found.content, ensure_ascii=False)
    Output(as_json).result(
        {"rows": [row_of(found)], "truncated": False},
        Prose(f"entry {seq} of {agent}: {words_of(found)}"),
        Facts(
            [
                ("kind", entry.kind.value),
                ("when", Moment(entry.time / 1000)),
                ("block", f"{entry.block.number} 0x{entry.block.hash.hex()}" if entry.block else None),
                ("answers entry", entry.refers_to),
                ("agent's entry no.", entry.counter),
                ("content", content),
                ("public facts", json.dumps(dict(entry.meta)) if entry.meta else None),
                ("commitment", Hash(entry.commitment)),
                ("leaf hash", Hash(found.leaf)),
            ]
        ),
    )


@app.command("tail")
def tail(
    agent: Agent,
    guard: Guard = False,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Show entries as they come, until Ctrl-C."""
    from agent_guard.log.reading import entries, newest

    out, identity = Output(as_json), _whose(agent, guard)
    out.narrate(f"following the log of {agent}, times in UTC; Ctrl-C ends this")
    with reader_of(agent, log, network, rpc_url) as reader:
        recent = newest(reader, 10, identity)
        following = recent[-1].entry.index + 1 if recent else 0
        for item in recent:
            _tell(out, item)
        while True:
            for item in entries(reader, identity, following):
                _tell(out, item)
                following = item.entry.index + 1
            time.sleep(0.3)


def _whose(agent: str, guard: bool) -> bytes:
    """Whose entries are meant: the agent's, or the guard's own, which concern all its agents."""
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET

    return FLEET if guard else agent_id(agent)


def reader_of(agent: str, log: str | None, network: str | None, rpc_url: list[str] | None) -> "AnyLog":
    """The log of the agent's operator on this host; the chain is asked only to learn whose that is."""
    from agent_guard.typed_data import agent_id
    from agent_guard.wiring.auditing import connect_or_say_why, find_log, open_log

    identity = agent_id(agent)
    chosen = settings(network=network, rpc_url=rpc_url)
    if log is None:
        log = find_log(chosen, connect_or_say_why(chosen), identity, None)
    return open_log(log, chosen.store_password_file)


def row_of(item: "LogEntry") -> dict[str, Any]:
    entry = item.entry
    return {
        "seq": entry.index,
        "counter": entry.counter,
        "kind": entry.kind.value,
        "time_ms": entry.time,
        "block": {"number": entry.block.number, "hash": "0x" + entry.block.hash.hex()}
        if entry.block
        else None,
        "refers_to": entry.refers_to,
        "meta": dict(entry.meta),
        "content": item.content,
        "erased": item.erased,
        "unreadable": item.unreadable,
        "erasure": item.erasure
        and {
            "seq": item.erasure.entry.index,
            "time_ms": item.erasure.entry.time,
            "content": item.erasure.content,
        },
        "commitment": "0x" + entry.commitment.hex(),
        "leaf_hash": "0x" + item.leaf.hex(),
    }


def _cells(item: "LogEntry") -> tuple[int, Time, str, str, int | None]:
    entry = item.entry
    return (
        entry.index,
        Time(entry.time / 1000),
        entry.kind.value,
        words_of(item),
        entry.block.number if entry.block else None,
    )


def _tell(out: Output, item: "LogEntry") -> None:
    """A row of its own, with the time itself: it is still there to be read when "just now" is long ago."""
    seq, _, kind, what, _ = _cells(item)
    when = text.iso(item.entry.time / 1000)
    out.event(row_of(item), Table((), [(seq, when, kind, what)], least=(5, 24, 8)))


def words_of(item: "LogEntry") -> str:
    from agent_guard.log.words import UNREADABLE, in_words, without_content

    if item.unreadable is not None:
        return without_content(item.entry, UNREADABLE)
    record = None if item.erasure is None else (item.erasure.entry.index, item.erasure.content)
    return in_words(item.entry, item.content, item.erased, record=record)


def _absence(item: "LogEntry") -> str | None:
    """Why the content is not shown; None if it can be."""
    from agent_guard.log.words import erased_by

    if item.unreadable is not None:
        return f"there, and not shown: {item.unreadable}"
    if not item.erased:
        return None
    if item.erasure is None:
        return "not there (no erasure of it is on record here)"
    return erased_by(item.erasure.entry.index, item.erasure.content)
