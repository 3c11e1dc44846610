"""Verifying inclusion and consistency proofs: the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2, step by step.

Guarantees: returns None only if the proof holds; raises `ProofError`, and nothing else, in every other case, whatever
the arguments are. Trusts nobody. Needs nothing but the arguments.
"""

from collections.abc import Sequence
from itertools import islice

from agent_guard.merkle.hashing import EMPTY_ROOT, ProofError, check_hash, check_size, node_hash

MAX_PROOF = 64
"""No proof over fewer than 2^63 leaves needs more hashes."""


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that `leaf_hash` is leaf `index` (from 0) of the tree of `size` leaves with `root` (RFC 9162, 2.1.3.2).

    `proof` holds 32-byte hashes, the lowest first. Raises `ProofError` if it does not hold.
    """
    check_hash(leaf_hash, "leaf hash")
    check_hash(root, "root")
    check_size(index, "index")
    check_size(size, "size")
    path = _checked(proof)
    if index >= size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    fn, sn, r = index, size - 1, leaf_hash
    for p in path:
        if sn == 0:
            raise ProofError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            fn, sn = _skip(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("the inclusion proof is too short")
    if r != root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Checks that the tree of `new_size` leaves extends that of `old_size` (RFC 9162 section 2.1.4.2).

    Strict: `old_size` is from 1 to `new_size`; for equal sizes the roots are equal and the proof is empty.
    Raises `ProofError` if it does not hold.
    """
    path = _checked_consistency(old_size, new_size, old_root, new_root, proof)
    if old_size == 0:
        raise ProofError("the empty tree is consistent with every tree; there is nothing to prove")
    if old_size == new_size:
        if path or old_root != new_root:
            raise ProofError("trees of the same size have the same root and an empty proof")
        return
    if not path:
        raise ProofError("the consistency proof is empty")
    if old_size.bit_count() == 1:  # step 2: the old root itself is the first node
        path.insert(0, old_root)
    _follow(old_size, new_size, old_root, new_root, path)


def verify_consistency_as_witness(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """`verify_consistency` for the C2SP witness protocol, which starts from the empty tree with an empty proof.

    From `old_size` 0 it asks that `old_root` is `EMPTY_ROOT` (as must be `new_root` if `new_size` is 0 too) and that
    the proof is empty: the first tree seen is believed. Raises `ProofError` if it does not hold.
    """
    path = _checked_consistency(old_size, new_size, old_root, new_root, proof)
    if old_size != 0:
        verify_consistency(old_size, new_size, old_root, new_root, path)
        return
    if path:
        raise ProofError("a consistency proof from the empty tree is empty")
    if old_root != EMPTY_ROOT or (new_size == 0 and new_root != EMPTY_ROOT):
        raise ProofError("the root of the empty tree is SHA-256 of nothing")


def _follow(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    """Steps 3 to 7 of RFC 9162 section 2.1.4.2."""
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise ProofError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            fn, sn = _skip(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("the consistency proof is too short")
    if fr != old_root:
        raise ProofError("the consistency proof leads to another old root")
    if sr != new_root:
        raise ProofError("the consistency proof leads to another new root")


def _skip(fn: int, sn: int) -> tuple[int, int]:
    """Goes up while the node has no sibling: until the lowest bit of `fn` is set or `fn` is 0."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _checked(proof: Sequence[bytes]) -> list[bytes]:
    """The hashes, read once and no further than a proof can go, whatever length the sequence says it has."""
    if not isinstance(proof, Sequence) or isinstance(proof, (str, bytes, bytearray, memoryview)):
        raise ProofError("a proof is a sequence of hashes")
    try:
        path = list(islice(proof, MAX_PROOF + 1))
    except Exception as error:
        raise ProofError(f"the proof can't be read ({type(error).__name__})") from error
    if len(path) > MAX_PROOF:
        raise ProofError(f"a proof has at most {MAX_PROOF} hashes")
    for number, value in enumerate(path):
        check_hash(value, f"proof hash {number}")
    return path


def _checked_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> list[bytes]:
    check_size(old_size, "old size")
    check_size(new_size, "new size")
    check_hash(old_root, "old root")
    check_hash(new_root, "new root")
    if old_size > new_size:
        raise ProofError(f"a tree of {new_size} leaves can't extend one of {old_size}")
    return _checked(proof)
