"""`agent-guard log prove` and `log verify`: one entry, shown to be in the anchored log, as a file for anyone."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard.cli.asking import asked_on_chain
from agent_guard.cli.cosigned import Witnesses, cosigned, in_cells, witnesses_of
from agent_guard.cli.files import new_file
from agent_guard.cli.log import Seq, reader_of
from agent_guard.cli.options import Agent, Json, LogPlace, Network, RpcUrl, settings
from agent_guard.cli.output import (
    GREEN,
    RED,
    YELLOW,
    Cell,
    Facts,
    Hash,
    Line,
    Moment,
    Output,
    Prose,
    Table,
    Word,
)
from agent_guard.errors import GuardError, Kind

if TYPE_CHECKING:
    from agent_guard.audit import Unreachable
    from agent_guard.audit.bundle import Bundle, Shown
    from agent_guard.audit.terms import Term
    from agent_guard.log.reading import Proof
    from agent_guard.types import Block

STYLES = {"VERIFIED": GREEN, "TAMPERED": RED, "INDETERMINATE": YELLOW}
EXIT_CODES = {"VERIFIED": 0, "TAMPERED": Kind.TAMPERED.value, "INDETERMINATE": Kind.INDETERMINATE.value}
MOST_BYTES = 8 << 20


def prove(
    agent: Agent,
    seq: Seq,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the proof as a file (tlog-proof)."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="With the chain's own proof: needs no node, only a block's hash."),
    ] = False,
    on_chain: Annotated[
        bool, typer.Option("--on-chain", help="Have the chain's own log verifier check the proof, too.")
    ] = False,
    log: LogPlace = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the anchored log: RFC 9162 inclusion, against the head on chain.

    The proof is checked, and its root compared with the chain's, before it is shown or written. With -o it becomes a
    file that others verify with: agent-guard log verify AGENT FILE
    """
    from agent_guard import wiring
    from agent_guard.log.bundle import to_bundle
    from agent_guard.log.reading import prove as make_proof
    from agent_guard.typed_data import agent_id
    from agent_guard.wiring.proving import anchored_root, state_proof

    out, identity = Output(as_json), agent_id(agent)
    if full and output is None:
        raise GuardError("AG101", "--full makes a file. Nothing was proven.", "Name it with -o FILE.")
    with reader_of(agent, log, network, rpc_url) as reader:
        operator = reader.identity().operator
        connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
        block = connection.endpoint.block()
        size = connection.contract.head(operator, block).size
        proof = make_proof(reader, seq, min(size, reader.size()), identity)
    root = anchored_root(connection, operator, proof.checkpoint.size, block)
    if proof.checkpoint.root != root:
        raise _another_root(proof, root)
    verifier = asked_on_chain(connection, operator, proof, size, block) if on_chain else None
    if output is not None:
        state = state_proof(connection, operator, identity, block) if full else None
        if full and proof.checkpoint.size != size:
            raise _no_state(proof, size)
        with new_file(output) as file:
            file.write(to_bundle(proof, state))
    _show(out, proof, operator, block, output, full, verifier)


def verify(
    agent: Agent,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A proof made with: log prove AGENT SEQ -o FILE")
    ],
    block_hash: Annotated[
        str | None,
        typer.Option(
            "--block-hash",
            metavar="HASH",
            help="Of the block that the proof names, from whom you trust: no node is asked then.",
        ),
    ] = None,
    witness: Witnesses = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Verify a proof of one entry that somebody gave you: VERIFIED (0), TAMPERED (5) or INDETERMINATE (6).

    The head that it leads to must be on chain: by the word of a node, or by the state proof in it (made with --full)
    and a block's hash that you have from elsewhere. Council and chain are those of your own deployment record. Whose
    log it is, and whether it came onto the chain while he guarded the agent, a node tells.
    """
    from agent_guard.audit.bundle import open_bundle
    from agent_guard.audit.bundle import verify as check
    from agent_guard.typed_data import agent_id

    out, identity = Output(as_json), agent_id(agent)
    witnesses = witnesses_of(witness, settings(network=network, rpc_url=rpc_url))
    bundle = open_bundle(_read(file))
    times = cosigned(bundle.proof.note, witnesses)
    root, term = root_on_chain(bundle, identity, block_hash, network, rpc_url)
    shown = check(bundle, identity, root, term)
    _tell(out, agent, bundle, shown, times, term)
    raise typer.Exit(EXIT_CODES[shown.check.result.value])


def root_on_chain(
    bundle: "Bundle", agent: bytes, block_hash: str | None, network: str | None, rpc_url: Any
) -> "tuple[bytes | Unreachable | None, Term | None]":
    """What is known of the root on chain: by the state proof and the hash, else by a node (the term, too)."""
    from agent_guard.audit.bundle import root_in_state
    from agent_guard.wiring.auditing import connect_or_say_why
    from agent_guard.wiring.proving import other_council, root_for

    chosen = settings(network=network, rpc_url=rpc_url)
    if block_hash is None:
        chain = connect_or_say_why(chosen)
        return root_for(chain, agent, bundle.identity, bundle.checkpoint.size, bundle.proof.index)
    if not re.fullmatch("0x[0-9a-fA-F]{64}", block_hash):
        raise GuardError(
            "AG101",
            "--block-hash is no block's hash. Nothing was verified.",
            "Give 0x and 64 hexadecimal digits.",
        )
    other = other_council(chosen, bundle.identity)
    return other or root_in_state(bundle, agent, bytes.fromhex(block_hash[2:])), None


def proof_in(where: str) -> str | None:
    """The text of a proof, if that is what lies there; None for a log."""
    from agent_guard.tlog import HEADING

    path = Path(where)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(len(HEADING)) != HEADING.encode():
            return None
    return _read(path)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise GuardError(
                "AG544", f"{path} is longer than any proof. Nothing was verified.", "Check the file's name."
            )
        return data.decode()
    except OSError as error:
        raise GuardError(
            "AG101",
            f"{path} can't be read ({error.strerror}). Nothing was verified.",
            "Check the file's name.",
        ) from error
    except UnicodeDecodeError as error:
        raise GuardError(
            "AG544", f"{path} is not UTF-8 and no proof. Nothing was verified.", "Check the file's name."
        ) from error


def _show(
    out: Output,
    proof: "Proof",
    operator: str,
    block: "Block",
    output: Path | None,
    full: bool,
    verifier: str | None,
) -> None:
    held = proof.checkpoint
    row = {
        "seq": proof.index,
        "entry": proof.body.decode(),
        "leaf_hash": "0x" + proof.leaf.hex(),
        "size": held.size,
        "root": "0x" + held.root.hex(),
        "hashes": ["0x" + sibling.hex() for sibling in proof.hashes],
        "operator": operator,
        "checkpoint": held.note,
        "file": None if output is None else str(output),
        "block": {"number": block.number, "hash": "0x" + block.hash.hex()},
    }
    facts: list[tuple[str, Cell]] = [("leaf hash", Hash(proof.leaf)), ("root on chain", Hash(held.root))]
    if full:
        facts.append(("under the block", f"{block.number} 0x{block.hash.hex()}"))
    if verifier is not None:
        row["verified_by"] = verifier
        facts.append(("verified on chain", f"by the log verifier {verifier}"))
    if output is not None:
        facts.append(("written to", str(output)))
    out.result(
        {"as_of": block.timestamp, "block": block.number, "rows": [row], "truncated": False},
        Line(f"entry {proof.index} is in the log of {held.size:,} entries that the chain holds"),
        Facts(facts),
        *([] if output is not None else _siblings(out, proof)),
    )


def _siblings(out: Output, proof: "Proof") -> list[Prose | Table]:
    """The path of hashes; not on a terminal, where they would be cut short and nobody could check them."""
    if out.terminal:
        return [Prose(f"{len(proof.hashes)} hashes lead from the one to the other: keep them with -o FILE.")]
    return [Table(("", "sibling hash"), [(level, Hash(value)) for level, value in enumerate(proof.hashes)])]


def _tell(
    out: Output,
    agent: str,
    bundle: "Bundle",
    shown: "Shown",
    times: list[tuple[str, int | None]],
    term: "Term | None",
) -> None:
    import json

    verdict, entry, held = shown.check.result.value, shown.entry, bundle.checkpoint
    payload = {
        "agent": agent,
        "result": verdict,
        "detail": shown.check.detail,
        "seq": bundle.proof.index,
        "entry": bundle.evidence.entry,
        "content": shown.content,
        "unreadable": shown.unreadable,
        "size": held.size,
        "root": "0x" + held.root.hex(),
        "operator": bundle.identity.operator,
        "term": None
        if term is None
        else {"since": term.since, "until": term.until, "start": term.start, "end": term.end},
        "council": bundle.identity.council,
        "chain_id": bundle.identity.chain_id,
        "witnesses": [{"name": name, "cosigned_at": time} for name, time in times],
    }
    facts: list[tuple[str, Cell]] = [("found", shown.check.detail)]
    if entry is not None:
        content = (
            "not in the file" if shown.content is None else json.dumps(shown.content, ensure_ascii=False)
        )
        if shown.unreadable is not None:
            content = f"there, and not shown: {shown.unreadable}"
        facts += [("kind", entry.kind.value), ("when", Moment(entry.time / 1000)), ("content", content)]
    facts += [("operator", Hash(bundle.identity.operator)), ("root", Hash(held.root)), *in_cells(times)]
    out.result(
        payload,
        Line(Word(f"{verdict}: entry {bundle.proof.index} of {agent}", STYLES[verdict])),
        Facts(facts),
    )


def _another_root(proof: "Proof", root: bytes | None) -> GuardError:
    size = proof.checkpoint.size
    chain = f"the chain's is 0x{root.hex()}" if root else "the chain never held a head of that size"
    return GuardError(
        "AG542",
        f"The log proves entry {proof.index} under root 0x{proof.checkpoint.root.hex()} for {size} entries; {chain}."
        " The proof is worth nothing.",
        "Find out more with: agent-guard audit AGENT",
    )


def _no_state(proof: "Proof", size: int) -> GuardError:
    return GuardError(
        "AG541",
        f"The proof leads to the head of {proof.checkpoint.size} entries, and the chain's state holds that of {size} by"
        " now. Nothing was written.",
        "Prove it from the guard's own log, or from a newer copy.",
    )
