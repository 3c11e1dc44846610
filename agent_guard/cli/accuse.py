"""`agent-guard log accuse`: shows the council two histories that one operator signed, which halts its agent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard.cli.options import (
    Account,
    Agent,
    Json,
    Keystore,
    Network,
    PasswordFile,
    RpcUrl,
    Yes,
    confirm,
    settings,
)
from agent_guard.cli.output import Facts, Hash, Line, Output
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.log.fork import Claim, Fork
    from agent_guard.log.reading import AnyLog
    from agent_guard.typed_data import SignedHead
    from agent_guard.types import AgentState, Block
    from agent_guard.wiring import Connection

Heads = Annotated[
    list[Path],
    typer.Argument(metavar="HEAD...", help="Signed heads, as files; one alone is held against the chain's."),
]
NewerLog = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="FILE|DIR|URL",
        help="A log that has the newer head; needed if their sizes differ. Default: this host's own.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the proof, say what it would do; send nothing.")
]


def accuse(
    agent: Agent,
    heads: Heads,
    log: NewerLog = None,
    dry_run: DryRun = False,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Prove that AGENT's operator signed two histories. Halts the agent, without a vote; anyone may.

    Everything is checked here, and by the council in a simulation, before anything is sent. The account only pays.
    """
    from agent_guard import typed_data, wiring
    from agent_guard.chain import fork_proof
    from agent_guard.log import fork as forks

    out, signed = Output(as_json), _read(heads)
    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    council, block = connection.contract, connection.endpoint.block()
    identity = typed_data.agent_id(agent)
    state = council.snapshot([identity], block)[identity]
    for head in signed:
        _check_owner(connection, agent, state, head)
    claims = _claims(signed, state)
    fork = forks.find(*claims, lambda: _log(connection, state, log))
    fork_proof.would_halt(council, state.operator, identity, fork, block)
    _narrate(out, agent, state, fork)
    if dry_run:
        _report(out, agent, state, fork, block, None)
        return
    confirm(out, "Send the proof? [y]", "y", yes)
    payer = wiring.unlock(connection.settings, wiring.KeyChoice(account, keystore, password_file))
    receipt = fork_proof.prove(council, state.operator, identity, fork, connection.sender(payer))
    after = connection.endpoint.block(receipt["blockNumber"])
    state = council.snapshot([identity], after)[identity]
    _report(out, agent, state, fork, after, "0x" + bytes(receipt["transactionHash"]).hex())


def _read(paths: list[Path]) -> list["SignedHead"]:
    """The heads of one or two files. Raises AG101, AG432."""
    from agent_guard.typed_data import MalformedBallot, SignedHead
    from agent_guard.typed_data.signed_head import MAX_FILE

    if len(paths) > 2:
        raise GuardError(
            "AG101", "A fork is proven by one or two heads. Nothing was done.", "log accuse --help"
        )
    found = []
    for path in paths:
        try:
            with path.open(encoding="utf-8") as file:
                found.append(SignedHead.decode(file.read(MAX_FILE + 1)))
        except (OSError, UnicodeDecodeError, MalformedBallot) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise GuardError(
                "AG432",
                f"{path} holds no signed head: {why}. Nothing was sent.",
                "The SDK gives them: action.receipt().head.encode() is such a file's text.",
            ) from error
    return found


def _check_owner(connection: "Connection", agent: str, state: "AgentState", head: "SignedHead") -> None:
    """That a head is of this council, and signed by the agent's present operator, as far as ECDSA can tell."""
    from agent_guard.log.fork import no_fork

    here = (connection.deployment.chain_id, connection.contract.address)
    if (head.chain_id, head.council) != here:
        raise no_fork(
            f"a head is of council {head.council} on chain {head.chain_id}; asked was {here[1]} on {here[0]}"
        )
    if head.operator != state.operator:
        raise no_fork(f"a head is of operator {head.operator}, and {agent} is guarded by {state.operator}")
    signer = head.signer()
    if signer != head.operator and not _is_contract(connection, head.operator):
        raise no_fork(
            f"a head of {head.size} entries is signed by {signer or 'nobody'}, not by {head.operator}"
        )


def _is_contract(connection: "Connection", address: str) -> bool:
    from agent_guard.chain.deployment import NO_CODE, code_hash

    return code_hash(connection.endpoint, address) != NO_CODE


def _claims(signed: list["SignedHead"], state: "AgentState") -> tuple["Claim", "Claim"]:
    from agent_guard.log.fork import Claim

    claims = [Claim(head.size, head.root, head.signature) for head in signed]
    return claims[0], claims[1] if len(claims) == 2 else Claim(state.head.size, state.head.root, b"")


def _log(connection: "Connection", state: "AgentState", given: str | None) -> "AnyLog":
    """The log named, else this host's of that operator. Raises AG510."""
    from agent_guard.wiring.auditing import find_log, open_log

    return open_log(find_log(connection.settings, connection, state.agent, given))


def _narrate(out: Output, agent: str, state: "AgentState", fork: "Fork") -> None:
    out.narrate(f"Operator {state.operator} vouches for two histories:")
    for name, claim in (("older", fork.older), ("newer", fork.newer)):
        out.narrate(f"  {name}: {claim.size} entries, root 0x{claim.root.hex()} ({claim.source})")
    out.narrate(_consequence(agent, state))


def _consequence(agent: str, state: "AgentState") -> str:
    from agent_guard.types import State

    if state.state in (State.HALTED, State.RETIRED):
        return f"{agent} is {state.state.name} already: the proof goes on record, and changes nothing else."
    return f"The proof halts {agent} ({state.state.name}, epoch {state.epoch}) without a vote. R signers can undo it."


def _report(
    out: Output, agent: str, state: "AgentState", fork: "Fork", block: "Block", transaction: str | None
) -> None:
    detail = {
        "operator": state.operator,
        "older": _shown(fork.older),
        "newer": _shown(fork.newer),
        "state": state.state.name.lower(),
        "epoch": state.epoch,
        "block": block.number,
    }
    said = "the proof holds; nothing was sent" if transaction is None else f"{agent} is {state.state.name}"
    out.result(
        {"target": agent, "applied": transaction is not None, "tx": transaction, "detail": detail},
        Line(f"{said} (epoch {state.epoch}, block {block.number})"),
        Facts([("operator", state.operator), ("transaction", Hash(transaction) if transaction else None)]),
    )


def _shown(claim: "Claim") -> dict[str, Any]:
    return {"size": claim.size, "root": "0x" + claim.root.hex(), "source": claim.source}
