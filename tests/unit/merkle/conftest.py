"""RFC 6962 section 2.1 word for word, recursive and slow: the tree that the real one is compared with."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

VECTORS = Path(__file__).parents[2] / "vectors"


def naive_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """MTH over leaf hashes."""
    if not leaf_hashes:
        return sha256().digest()
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    split = 1
    while split * 2 < len(leaf_hashes):
        split *= 2
    return sha256(b"\x01" + naive_root(leaf_hashes[:split]) + naive_root(leaf_hashes[split:])).digest()


def naive_inclusion(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """PATH(index, D) of section 2.1.1."""
    if len(leaf_hashes) == 1:
        return []
    split = 1
    while split * 2 < len(leaf_hashes):
        split *= 2
    left, right = leaf_hashes[:split], leaf_hashes[split:]
    if index < split:
        return [*naive_inclusion(index, left), naive_root(right)]
    return [*naive_inclusion(index - split, right), naive_root(left)]


def naive_consistency(old_size: int, leaf_hashes: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF(old_size, D, whole) of section 2.1.2."""
    if old_size == len(leaf_hashes):
        return [] if whole else [naive_root(leaf_hashes)]
    split = 1
    while split * 2 < len(leaf_hashes):
        split *= 2
    left, right = leaf_hashes[:split], leaf_hashes[split:]
    if old_size <= split:
        return [*naive_consistency(old_size, left, whole), naive_root(right)]
    return [*naive_consistency(old_size - split, right, False), naive_root(left)]


@pytest.fixture(scope="session")
def naive() -> SimpleNamespace:
    return SimpleNamespace(root=naive_root, inclusion=naive_inclusion, consistency=naive_consistency)


@pytest.fixture(scope="session")
def published() -> Any:
    """The eight-leaf tree of Certificate Transparency (tests/vectors/README.md), hashes and data as bytes."""
    vectors = json.loads((VECTORS / "rfc6962.json").read_text())
    vectors["leaves"] = [bytes.fromhex(leaf) for leaf in vectors["leaves"]]
    vectors["roots"] = [bytes.fromhex(root) for root in vectors["roots"]]
    for case in vectors["inclusion"] + vectors["consistency"]:
        case["proof"] = [bytes.fromhex(node) for node in case["proof"]]
    return vectors
