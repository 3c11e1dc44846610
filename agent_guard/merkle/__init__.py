"""Merkle trees over a log's entries, as RFC 6962 and RFC 9162 define them: hashing, frontiers, proofs, verification.

Guarantees: what `verify_*` lets pass holds if SHA-256 is collision resistant; everything else, including values of the
wrong type or length, raises `ProofError`. Trusts nobody: all arguments may come from an adversary. Verification
(`verify.py`) and proving (`prove.py`) share no code beyond the two hash functions, so that a mistake in one shows in
the other. Pure, without I/O.

Note what a root does not say: the size of its tree. A root means something only together with its size, as a
checkpoint or the contract holds them.
"""

from agent_guard.merkle.frontier import Frontier, range_nodes, range_subtrees
from agent_guard.merkle.hashing import EMPTY_ROOT, MAX_SIZE, ProofError, leaf_hash, node_hash
from agent_guard.merkle.prove import (
    Subtree,
    consistency_proof,
    inclusion_proof,
    subtree_of,
    tree_root,
)
from agent_guard.merkle.verify import verify_consistency, verify_consistency_as_witness, verify_inclusion

__all__ = [
    "EMPTY_ROOT",
    "MAX_SIZE",
    "Frontier",
    "ProofError",
    "Subtree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "range_nodes",
    "range_subtrees",
    "subtree_of",
    "tree_root",
    "verify_consistency",
    "verify_consistency_as_witness",
    "verify_inclusion",
]
