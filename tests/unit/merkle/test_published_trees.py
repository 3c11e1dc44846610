"""Other people's trees: real logs, vectors proposed to C2SP, an IETF draft's digest of every proof of 130 leaves."""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent_guard.checkpoint import Verifier, open_checkpoint, parse
from agent_guard.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    Subtree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_subtrees,
    subtree_of,
    tree_root,
    verify_consistency,
    verify_consistency_as_witness,
    verify_inclusion,
)

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parents[2] / "vectors"
TREES = json.loads((VECTORS / "trees.json").read_text())
LOGS = json.loads((VECTORS / "logs.json").read_text())
CCTV, ACCUMULATED, GOLDEN = TREES["cctv"], TREES["accumulated"], TREES["golden"]


def hashes(texts: Iterable[str]) -> list[bytes]:
    return [b64decode(text) for text in texts]


def in_hex(texts: Iterable[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


# --------------------------------------------------------------------------------------------------------- hashing


def test_certificate_transparencys_hasher_gives_the_same() -> None:
    """Its node is over values that are no hashes: `node_hash` takes what it is given."""
    given = {
        "empty": EMPTY_ROOT,
        "leaf of nothing": leaf_hash(b""),
        "leaf L123456": leaf_hash(b"L123456"),
        "node N123 N456": node_hash(b"N123", b"N456"),
    }
    assert {name: value.hex() for name, value in given.items()} == TREES["hasher"]


def test_certificate_transparencys_compact_ranges_have_its_golden_roots() -> None:
    frontier, tiles = Frontier(), subtree_of(golden_leaves(65_535))
    for size, root in GOLDEN["roots"]:
        frontier.extend(golden_leaves(size)[frontier.size :])
        assert frontier.root() == b64decode(root)
        assert tree_root(size, tiles) == b64decode(root)


@pytest.mark.parametrize(("start", "end", "nodes"), GOLDEN["ranges"])
def test_certificate_transparencys_ranges_have_our_subtrees(
    start: int, end: int, nodes: list[list[int]]
) -> None:
    assert [list(node) for node in range_subtrees(start, end)] == nodes


@cache
def golden_leaves(size: int) -> list[bytes]:
    return [leaf_hash(bytes([number & 0xFF, number >> 8])) for number in range(size)]


# ------------------------------------------------------------------------------------------------------- real logs


def test_an_entry_and_an_older_head_of_argon2020_are_proven_in_a_head_of_961984013_entries() -> None:
    log = LOGS["argon2020"]
    size, root = log["size"], b64decode(log["root"])
    verify_inclusion(leaf_hash(b64decode(log["entry"])), log["index"], size, hashes(log["inclusion"]), root)
    old_root = b64decode(log["old_root"])
    verify_consistency(log["old_size"], size, old_root, root, hashes(log["consistency"]))


@pytest.mark.parametrize("at", [0, 14, 29])
def test_a_bent_proof_of_argon2020_is_refused(at: int) -> None:
    log = LOGS["argon2020"]
    size, root, leaf = log["size"], b64decode(log["root"]), leaf_hash(b64decode(log["entry"]))
    with pytest.raises(ProofError):
        verify_inclusion(leaf, log["index"], size, bent(hashes(log["inclusion"]), at), root)
    old_root, proof = b64decode(log["old_root"]), bent(hashes(log["consistency"]), at)
    with pytest.raises(ProofError):
        verify_consistency(log["old_size"], size, old_root, root, proof)


def bent(proof: list[bytes], at: int) -> list[bytes]:
    return [*proof[:at], proof[at][:-1] + bytes([proof[at][-1] ^ 1]), *proof[at + 1 :]]


def test_an_entry_of_rekor_is_proven_by_its_checkpoint() -> None:
    log = LOGS["rekor"]
    head = parse(log["checkpoint"])
    assert head.origin.startswith(log["log"])
    leaf = leaf_hash(b64decode(log["entry"]))
    verify_inclusion(leaf, log["index"], head.size, hashes(log["inclusion"]), head.root)


def test_the_witness_suites_signed_heads_follow_on_each_other() -> None:
    log = LOGS["monkeys"]
    old, new = heads_of(log, "heads")
    verify_consistency(old.size, new.size, old.root, new.root, in_hex(log["consistency"]))
    verify_consistency_as_witness(old.size, new.size, old.root, new.root, in_hex(log["consistency"]))
    with pytest.raises(ProofError):
        verify_consistency(new.size, old.size, new.root, old.root, in_hex(log["consistency"]))


def test_the_witness_suites_compact_ranges_are_our_frontiers() -> None:
    """What extends a frontier there is what `ICouncil.extend` takes here."""
    log = LOGS["monkeys"]
    old, new = heads_of(log, "range_heads")
    frontier = Frontier.from_nodes(old.size, in_hex(log["frontier"]))
    assert frontier.root() == old.root
    frontier.extend_range(new.size, in_hex(log["range"]))
    assert (frontier.size, frontier.root()) == (new.size, new.root)


def heads_of(log: dict[str, Any], name: str) -> Iterator[Any]:
    key = Verifier.parse(log["key"])
    return (open_checkpoint(note, [key], "Log Checkpoint v0") for note in log[name])


# ------------------------------------------------------------------------------------------------------ C2SP / CCTV


def test_cctvs_tree_has_its_leaves_and_its_roots() -> None:
    frontier = Frontier()
    for data, leaf, root in CCTV["tree"]:
        assert leaf_hash(data.encode()) == b64decode(leaf)
        frontier.append(b64decode(leaf))
        assert frontier.root() == b64decode(root)


def test_cctvs_proofs_hold_and_are_the_ones_that_are_made() -> None:
    subtree = subtree_of([b64decode(leaf) for _, leaf, _ in CCTV["tree"]])
    for leaf, index, size, root, proof in CCTV["inclusion"]:
        verify_inclusion(b64decode(leaf), index, size, hashes(proof), b64decode(root))
        assert inclusion_proof(index, size, subtree) == hashes(proof)
    for old, new, old_root, new_root, proof in CCTV["consistency"]:
        verify_consistency_as_witness(old, new, b64decode(old_root), b64decode(new_root), hashes(proof))
        assert consistency_proof(old, new, subtree) == hashes(proof)


def test_the_strict_verifier_parts_from_cctv_at_the_empty_tree_alone() -> None:
    """There (0, 0) and (0, 1) hold with an empty proof; as in `transparency-dev/merkle`, here nothing is proven."""
    for old, new, old_root, new_root, proof in CCTV["consistency"]:
        arguments = (old, new, b64decode(old_root), b64decode(new_root), hashes(proof))
        if old:
            verify_consistency(*arguments)
        else:
            with pytest.raises(ProofError, match="nothing to prove"):
                verify_consistency(*arguments)


def test_cctvs_wrong_proofs_are_refused() -> None:
    for leaf, index, size, root, proof in CCTV["wrong inclusion"]:
        with pytest.raises(ProofError):
            verify_inclusion(b64decode(leaf), index, size, hashes(proof), b64decode(root))
    for old, new, old_root, new_root, proof in CCTV["wrong consistency"]:
        for verify in (verify_consistency, verify_consistency_as_witness):
            with pytest.raises(ProofError):
                verify(old, new, b64decode(old_root), b64decode(new_root), hashes(proof))


# -------------------------------------------------------------------------------- every proof of up to 130 leaves
# draft-ietf-plants-merkle-tree-certs, appendix "Subtree Test Vectors": a line for each output, in order, and SHA-256
# over all of them. A subtree there is what lies over leaves `start` to `end` - 1, if `start` is a multiple of the next
# power of two from their number on: our trees of that many leaves, and for `start` 0 the log's own.

MOST = 130
LEAVES = [leaf_hash(bytes([number])) for number in range(MOST)]


def test_the_drafts_subtrees_have_our_roots() -> None:
    lines = (f"[{start}, {end}) {root_of(start, end).hex()}\n" for start, end in subtrees(MOST))
    assert digest(lines) == ACCUMULATED["subtrees"]


def test_the_drafts_inclusion_proofs_are_ours() -> None:
    lines = (
        f"{index} [{start}, {end})" + shown(inclusion_proof(index - start, end - start, over(start, end)))
        for start, end in subtrees(MOST)
        for index in range(start, end)
    )
    assert digest(lines) == ACCUMULATED["inclusion"]


def test_the_drafts_consistency_proofs_are_ours() -> None:
    lines = (
        f"[{start}, {end}) {size}" + shown(proof_of(start, end, 0, size))
        for size in range(MOST + 1)
        for start, end in subtrees(size)
    )
    assert digest(lines) == ACCUMULATED["consistency"]


def subtrees(size: int) -> Iterator[tuple[int, int]]:
    for end in range(size + 1):
        for start in range(end + 1):
            if start == end or start % (1 << (end - start - 1).bit_length()) == 0:
                yield start, end


@cache
def over(start: int, end: int) -> Subtree:
    return subtree_of(LEAVES[start:end])


@cache
def root_of(start: int, end: int) -> bytes:
    return tree_root(end - start, over(start, end))


def proof_of(start: int, end: int, low: int, high: int) -> list[bytes]:
    """That the tree over leaves `low` to `high` - 1 holds the subtree: down to its start, then `consistency_proof`."""
    if start == end:
        return []
    if start == low:
        return consistency_proof(end - start, high - low, over(low, high))
    ((level, _), *_) = range_subtrees(0, high - low - 1)
    middle = low + (1 << level)
    if end <= middle:
        return [*proof_of(start, end, low, middle), root_of(middle, high)]
    return [*proof_of(start, end, middle, high), root_of(low, middle)]


def shown(proof: list[bytes]) -> str:
    return "".join(f" {node.hex()}" for node in proof) + "\n"


def digest(lines: Iterable[str]) -> str:
    return sha256("".join(lines).encode()).hexdigest()
