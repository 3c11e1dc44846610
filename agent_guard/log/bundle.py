"""Puts a proof of one entry into a file that stands for itself: `tlog-proof` with our evidence (`agent_guard.tlog`).

What it writes is the guard's word until somebody verifies it: `agent_guard.audit.bundle`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_guard.chain.proof import HEADER
from agent_guard.log.reading import Proof
from agent_guard.store import Content
from agent_guard.tlog import Evidence, OpenContent, StateProof, TlogProof


def to_bundle(proof: Proof, state: StateProof | None = None) -> str:
    """The file's text: the entry, its content where it is there, and what the chain's state proves (see `state_of`).

    A content that is not even text (no guard writes one) can't stand in it, and is left out like one that is gone.
    """
    signature = proof.checkpoint.signature
    evidence = Evidence(
        entry=proof.body.decode(),
        content=_open(proof.content),
        signature="0x" + signature.hex() if signature else None,  # a copy may have none
        state=state,
    )
    return str(TlogProof(proof.index, proof.hashes, proof.checkpoint.note, evidence.encode()))


def state_of(header: Mapping[str, Any], answer: Mapping[str, Any]) -> StateProof:
    """The evidence of a block's header and of what `eth_getProof` answered for root, size and operator there."""
    root, size, operator = (_nodes(given["proof"]) for given in answer["storageProof"])
    return StateProof(
        account=_nodes(answer["accountProof"]),
        header={name: str(header[name]) for name in HEADER if name in header},
        operator=operator,
        root=root,
        size=size,
    )


def _open(content: Content | None) -> OpenContent | None:
    try:
        return content and OpenContent(body=content.body.decode(), salt="0x" + content.salt.hex())
    except UnicodeDecodeError:
        return None


def _nodes(given: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, given))
