"""Making inclusion and consistency proofs (RFC 9162 sections 2.1.3.1 and 2.1.4.1) from perfect-subtree roots.

The tree itself stays with the caller: every function asks a `Subtree` accessor for the roots it needs, at most
O(log^2 size) of them, all of perfect subtrees inside the tree. Trusts the accessor; a wrong one gives a proof that
does not verify.
"""

from collections.abc import Callable, Sequence
from functools import cache

from agent_guard.merkle.frontier import range_subtrees
from agent_guard.merkle.hashing import EMPTY_ROOT, ProofError, check_hash, check_size, node_hash

Subtree = Callable[[int, int], bytes]
"""(level, index) to the 32-byte root over the 2^level leaves from index * 2^level on; level 0 is a leaf hash."""


def subtree_of(leaf_hashes: Sequence[bytes]) -> Subtree:
    """An accessor over leaf hashes in memory, which computes each subtree once and keeps it."""
    for number, value in enumerate(leaf_hashes):
        check_hash(value, f"leaf hash {number}")

    @cache
    def subtree(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hashes[index]
        return node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1))

    return subtree


def tree_root(size: int, subtree: Subtree) -> bytes:
    """The RFC 6962 root of the first `size` leaves; `EMPTY_ROOT` for none."""
    check_size(size, "size")
    return _root(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(index, D[size]) of RFC 9162 section 2.1.3.1, lowest hash first; `ProofError` unless index < size."""
    check_size(index, "index")
    check_size(size, "size")
    if index >= size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_root(middle, end, subtree))
            end = middle
        else:
            proof.append(_root(start, middle, subtree))
            start = middle
    return proof[::-1]


def consistency_proof(old_size: int, new_size: int, subtree: Subtree) -> list[bytes]:
    """PROOF(old_size, D[new_size]) of RFC 9162 section 2.1.4.1; `ProofError` unless old_size <= new_size.

    Empty if the sizes are equal, and from size 0, which only `verify_consistency_as_witness` accepts.
    """
    check_size(old_size, "old size")
    check_size(new_size, "new size")
    if old_size > new_size:
        raise ProofError(f"a tree of {new_size} leaves can't extend one of {old_size}")
    if old_size == 0:
        return []
    proof, start, end = [], 0, new_size
    while old_size != end:  # SUBPROOF; `start` stays 0 as long as the RFC's flag b is true
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(_root(middle, end, subtree))
            end = middle
        else:
            proof.append(_root(start, middle, subtree))
            start = middle
    if start:
        proof.append(_root(start, end, subtree))
    return proof[::-1]


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _root(start: int, end: int, subtree: Subtree) -> bytes:
    """MTH of leaves `start` to `end` - 1, where a subtree of the tree's own shape begins at `start`."""
    nodes = [subtree(level, index) for level, index in range_subtrees(start, end)]
    root = nodes.pop()
    while nodes:
        root = node_hash(nodes.pop(), root)
    return root
