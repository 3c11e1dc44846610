"""`agent-guard log`: what the guard on this host wrote, as people read it, and proofs of it."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard.cli.options import Agent, Json, Network, RpcUrl, settings
from agent_guard.cli.output import Facts, Hash, Line, Output, Table, Time
from agent_guard.entry import Kind
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.log.reading import LogEntry
    from agent_guard.store import Reader

app = typer.Typer(help="Read the log of the guard on this host, and prove its entries.", no_args_is_help=True)

LogFile = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="The guard's log. Default: this host's own.")
]
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
    log: LogFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """List an agent's newest entries, each in a sentence."""
    from agent_guard.log.selection import select

    with _reader(agent, log, network, rpc_url) as reader:
        shown, truncated = select(reader, last, _whose(agent, guard), start, end, kind or ())
    Output(as_json).result(
        {"rows": [_row(item) for item in shown], "truncated": truncated},
        Table(
            ("seq", "when", "kind", "what", "block"),
            [_cells(item) for item in shown],
            empty="No entries yet.",
        ),
    )


@app.command("show")
def show(
    agent: Agent,
    seq: Seq,
    guard: Guard = False,
    log: LogFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Show one entry whole."""
    from agent_guard.log.reading import get

    with _reader(agent, log, network, rpc_url) as reader:
        found = get(reader, seq, _whose(agent, guard))
    entry = found.entry
    content = "erased" if found.erased else json.dumps(found.content, ensure_ascii=False)
    Output(as_json).result(
        {"rows": [_row(found)], "truncated": False},
        Line(f"entry {seq} of {agent}: {_in_words(found)}"),
        Facts(
            [
                ("kind", entry.kind.value),
                ("when", Time(entry.time / 1000)),
                ("block", f"{entry.block.number} 0x{entry.block.hash.hex()}" if entry.block else None),
                ("answers", entry.refers_to),
                ("counter", entry.counter),
                ("content", content),
                ("public", json.dumps(dict(entry.meta)) if entry.meta else None),
                ("commitment", Hash(entry.commitment)),
                ("leaf hash", Hash(found.leaf)),
            ]
        ),
    )


@app.command("tail")
def tail(
    agent: Agent,
    guard: Guard = False,
    log: LogFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Show entries as they come, until Ctrl-C."""
    from agent_guard.log.reading import entries, newest

    out, identity = Output(as_json), _whose(agent, guard)
    with _reader(agent, log, network, rpc_url) as reader:
        recent = newest(reader, 10, identity)
        following = recent[-1].entry.index + 1 if recent else 0
        for item in recent:
            _tell(out, item)
        while True:
            for item in entries(reader, identity, following):
                _tell(out, item)
                following = item.entry.index + 1
            time.sleep(0.3)


@app.command("prove")
def prove(
    agent: Agent,
    seq: Seq,
    log: LogFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the anchored log: RFC 9162 inclusion, against the head on chain.

    The proof is checked, and its root compared with the chain's, before it is shown.
    """
    from agent_guard import wiring
    from agent_guard.log.reading import prove as make_proof
    from agent_guard.typed_data import agent_id

    with _reader(agent, log, network, rpc_url) as reader:
        operator = reader.identity().operator
        connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
        block = connection.endpoint.block()
        head = connection.contract.head(operator, block)
        proof = make_proof(reader, seq, head.size, agent_id(agent))
    if proof.checkpoint.root != head.root:
        raise GuardError(
            "AG542",
            f"The log proves entry {seq} under root 0x{proof.checkpoint.root.hex()}; the chain's root for {head.size}"
            f" entries is 0x{head.root.hex()}. The proof is worth nothing.",
            "Find out more with: agent-guard audit AGENT",
        )
    row = {
        "seq": seq,
        "entry": proof.body.decode(),
        "leaf_hash": "0x" + proof.leaf.hex(),
        "size": head.size,
        "root": "0x" + head.root.hex(),
        "hashes": ["0x" + sibling.hex() for sibling in proof.hashes],
        "operator": operator,
        "checkpoint": proof.checkpoint.note,
    }
    Output(as_json).result(
        {"as_of": block.timestamp, "block": block.number, "rows": [row], "truncated": False},
        Line(f"entry {seq} is in the log of {head.size} entries that the chain holds"),
        Facts([("leaf hash", Hash(proof.leaf)), ("root on chain", Hash(head.root))]),
        Table(("", "sibling hash"), [(level, Hash(sibling)) for level, sibling in enumerate(proof.hashes)]),
    )


@app.command("export")
def export(
    agent: Agent,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A new file of JSON lines.")],
    log: LogFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Write an agent's entries, with their content, to a file of JSON lines."""
    from agent_guard.log.reading import entries
    from agent_guard.typed_data import agent_id

    count = 0
    try:
        with _reader(agent, log, network, rpc_url) as reader, output.open("x") as file:
            for item in entries(reader, agent_id(agent)):
                file.write(json.dumps(_row(item)) + "\n")
                count += 1
    except FileExistsError as error:
        raise GuardError(
            "AG101", f"{output} exists; nothing was written.", "Name another file with -o."
        ) from error
    Output(as_json).result(
        {"target": str(output), "applied": True, "tx": None, "detail": {"entries": count}},
        Line(f"{count} entries of {agent} in {output}"),
    )


def _whose(agent: str, guard: bool) -> bytes:
    """Whose entries are meant: the agent's, or the guard's own, which concern all its agents."""
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET

    return FLEET if guard else agent_id(agent)


def _reader(agent: str, log: Path | None, network: str | None, rpc_url: list[str] | None) -> "Reader":
    """The log of the agent's operator on this host; the chain is asked only to learn whose that is."""
    from agent_guard.typed_data import agent_id
    from agent_guard.wiring.auditing import connect_or_say_why, find_log, open_log

    identity = agent_id(agent)
    if log is not None:
        return open_log(log)
    chosen = settings(network=network, rpc_url=rpc_url)
    return open_log(find_log(chosen, connect_or_say_why(chosen), identity, None))


def _row(item: "LogEntry") -> dict[str, Any]:
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
        "commitment": "0x" + entry.commitment.hex(),
        "leaf_hash": "0x" + item.leaf.hex(),
    }


def _cells(item: "LogEntry") -> tuple[int, Time, str, str, int | None]:
    entry = item.entry
    return (
        entry.index,
        Time(entry.time / 1000),
        entry.kind.value,
        _in_words(item),
        entry.block.number if entry.block else None,
    )


def _tell(out: Output, item: "LogEntry") -> None:
    seq, when, kind, what, _ = _cells(item)
    out.event(_row(item), Table((), [(seq, when, kind, what)]))


def _in_words(item: "LogEntry") -> str:
    from agent_guard.log.words import in_words

    return in_words(item.entry, item.content, item.erased)
