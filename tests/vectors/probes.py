"""The corruptions by which Certificate Transparency's suite tries a verifier, made anew on the published tree.

`transparency-dev/merkle` ships them as files under `testdata/inclusion` and `testdata/consistency`, named as here; each
is one proof of the eight-leaf tree with one thing wrong. Only the names and what is wrong are taken. Sizes count in
64 bits there, so that "one less" than 0 is 2^64 - 1.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from agent_guard.merkle import leaf_hash

PUBLISHED = json.loads((Path(__file__).parent / "rfc6962.json").read_text())
ROOTS = [bytes.fromhex(root) for root in PUBLISHED["roots"]]
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in PUBLISHED["leaves"]]
EMPTY = sha256().digest()
RANDOM = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
WORD = 2**64


class Inclusion(NamedTuple):
    leaf: bytes
    index: int
    size: int
    proof: list[bytes]
    root: bytes


class Consistency(NamedTuple):
    old_size: int
    new_size: int
    old_root: bytes
    new_root: bytes
    proof: list[bytes]


def inclusions() -> list[Inclusion]:
    """The published inclusion proofs, which hold."""
    return [
        Inclusion(LEAVES[case["index"]], case["index"], case["size"], _hashes(case), ROOTS[case["size"]])
        for case in PUBLISHED["inclusion"]
    ]


def consistencies() -> list[Consistency]:
    """The published consistency proofs, which hold."""
    return [
        Consistency(old, new, ROOTS[old], ROOTS[new], _hashes(case))
        for case in PUBLISHED["consistency"]
        for old, new in [(case["old_size"], case["new_size"])]
    ]


def wrong_inclusions(right: Inclusion) -> Iterator[tuple[str, Inclusion]]:
    """What the suite makes of a proof: name, and what must be refused."""
    proof = right.proof
    yield "leafIdx - 1", right._replace(index=(right.index - 1) % WORD)
    yield "leafIdx + 1", right._replace(index=right.index + 1)
    yield "leafIdx ^ 2", right._replace(index=right.index ^ 2)
    yield "treeSize * 2", right._replace(size=right.size * 2)
    yield "treeSize div 2", right._replace(size=right.size // 2)
    yield "wrong leaf", right._replace(leaf=b"WrongLeaf")
    yield "random leaf", right._replace(leaf=RANDOM)
    yield "empty root", right._replace(root=EMPTY)
    yield "random root", right._replace(root=RANDOM)
    yield "empty root and random leaf", right._replace(root=EMPTY, leaf=RANDOM)
    yield from _dressed(right, {"garbage": b"", "root": right.root})
    yield from _bent(right, 8)
    if proof:
        yield "removed component", right._replace(proof=proof[:-1])
    if len(proof) > 1:
        yield "inserted component", right._replace(proof=[proof[0], RANDOM, *proof[1:]])


def wrong_consistencies(right: Consistency) -> Iterator[tuple[str, Consistency]]:
    """What the suite makes of a proof that is not empty: name, and what must be refused."""
    proof = right.proof
    yield "size1 - 1", right._replace(old_size=(right.old_size - 1) % WORD)
    yield "size1 + 1", right._replace(old_size=right.old_size + 1)
    yield "size1 ^ 2", right._replace(old_size=right.old_size ^ 2)
    yield "size2 * 2", right._replace(new_size=right.new_size * 2)
    yield "size2 div 2", right._replace(new_size=right.new_size // 2)
    yield "wrong root1", right._replace(old_root=b"WrongRoot")
    yield "wrong root2", right._replace(new_root=b"WrongRoot")
    yield "swapped roots", right._replace(old_root=right.new_root, new_root=right.old_root)
    yield "empty proof", right._replace(proof=[])
    yield "truncated proof", right._replace(proof=proof[:-1])
    yield "preceding proof[0]", right._replace(proof=[proof[0], *proof])
    yield from _dressed(right, {"garbage": b"", "root1": right.old_root, "root2": right.new_root})
    yield from _bent(right, 16)


def additional_consistencies() -> Iterator[tuple[str, Consistency]]:
    """The suite's cases of small sizes that must be refused; sizes 0 are refused by a strict verifier in any case."""
    for size in (0, 1):
        yield f"roots do not match and sizes are {size}", Consistency(size, size, EMPTY, RANDOM, [])
        yield f"proof is not empty and sizes are {size}", Consistency(size, size, EMPTY, EMPTY, [EMPTY])
    yield "size1 is greater than size2", Consistency(1, 0, EMPTY, RANDOM, [])
    yield "size1 is greater than size2 again", Consistency(2, 1, EMPTY, RANDOM, [])
    yield "sizes do not match and proof is empty", Consistency(1, 2, EMPTY, RANDOM, [])
    yield "size1 is zero and proof is not empty", Consistency(0, 1, EMPTY, EMPTY, [EMPTY])


def _dressed(right: Any, things: dict[str, bytes]) -> Iterator[tuple[str, Any]]:
    """Each of the things before and after the proof."""
    for name, thing in things.items():
        yield f"preceding {name}", right._replace(proof=[thing, *right.proof])
        yield f"trailing {name}", right._replace(proof=[*right.proof, thing])


def _bent(right: Any, bit: int) -> Iterator[tuple[str, Any]]:
    """One bit of each hash flipped."""
    for at, node in enumerate(right.proof):
        bent = bytes([node[0] ^ bit]) + node[1:]
        yield f"modified proof[{at}]", right._replace(proof=[*right.proof[:at], bent, *right.proof[at + 1 :]])


def _hashes(case: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(node) for node in case["proof"]]
