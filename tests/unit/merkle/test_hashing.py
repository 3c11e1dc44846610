from hashlib import sha256

import pytest

from agent_guard import merkle

pytestmark = pytest.mark.unit


def test_empty_root_is_sha256_of_nothing():
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_leaf_and_node_of_the_same_bytes_have_different_hashes():
    left, right = bytes(32), bytes([1] * 32)
    assert merkle.leaf_hash(left + right) == sha256(b"\x00" + left + right).digest()
    assert merkle.node_hash(left, right) == sha256(b"\x01" + left + right).digest()
    assert merkle.node_hash(left, right) != merkle.node_hash(right, left)


def test_proof_error_is_a_value_error():
    assert issubclass(merkle.ProofError, ValueError)


def test_published_tree_has_its_published_roots_in_every_way_of_building(published):
    hashes = [merkle.leaf_hash(leaf) for leaf in published["leaves"]]
    frontier = merkle.Frontier()
    assert frontier.root() == published["roots"][0]
    for size, leaf in enumerate(hashes, start=1):
        frontier.append(leaf)
        assert frontier.root() == published["roots"][size]
        assert merkle.tree_root(size, merkle.subtree_of(hashes)) == published["roots"][size]
    assert merkle.tree_root(0, merkle.subtree_of([])) == published["roots"][0]
