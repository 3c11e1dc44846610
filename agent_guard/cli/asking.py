"""Has the chain itself check a proof: what `agent-guard log prove --on-chain` adds."""

from typing import TYPE_CHECKING

from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.log.reading import Proof
    from agent_guard.types import Block
    from agent_guard.wiring import Connection


def asked_on_chain(connection: "Connection", operator: str, proof: "Proof", size: int, block: "Block") -> str:
    """Has the log verifier check the entry's bytes against the chain's head; the contract's address.

    Args:
        size: entries of the chain's head at this block.

    Raises:
        GuardError: AG430 no verifier is recorded, AG431 it refuses the proof, AG541 the proof is of an older head.
    """
    from agent_guard import wiring

    held = proof.checkpoint
    if held.size != size:
        raise GuardError(
            "AG541",
            f"The proof leads to the head of {held.size} entries, and the chain holds that of {size} by now. Nothing"
            " was verified on chain.",
            "Prove it from the guard's own log, or from a newer copy.",
        )
    verifier = wiring.log_verifier(connection)
    council = connection.contract.address
    found = verifier.verify_entry(council, operator, proof.index, proof.body, proof.hashes, block)
    if found != (held.size, held.root):
        raise GuardError(
            "AG431",
            f"The log verifier {verifier.address} answers for another head, of {found[0]} entries, than the council.",
            "One of the answers is the node's own: ask another with --rpc-url.",
        )
    return verifier.address
