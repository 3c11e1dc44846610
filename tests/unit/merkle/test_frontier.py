import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    ProofError,
    leaf_hash,
    range_nodes,
    range_subtrees,
    subtree_of,
    tree_root,
)

pytestmark = pytest.mark.unit

LEAVES = [leaf_hash(number.to_bytes(4)) for number in range(300)]
sizes = st.integers(0, 260)


def grown(size: int) -> Frontier:
    frontier = Frontier()
    frontier.extend(LEAVES[:size])
    return frontier


def test_every_size_to_300_has_the_naive_root(naive):
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, start=1):
        frontier.append(leaf)
        assert frontier.size == size
        assert frontier.root() == naive.root(LEAVES[:size])
        assert tree_root(size, subtree_of(LEAVES)) == frontier.root()


def test_nodes_are_the_perfect_subtrees_largest_first(naive):
    assert grown(11).nodes == (naive.root(LEAVES[:8]), naive.root(LEAVES[8:10]), LEAVES[10])


@given(sizes, st.integers(1, 40))
def test_range_nodes_extend_like_the_leaves_themselves(old, added):
    by_nodes, by_leaves, appended = grown(old), grown(old), grown(old + added)
    by_nodes.extend_range(old + added, range_nodes(old, LEAVES[old : old + added]))
    by_leaves.extend_range(old + added, LEAVES[old : old + added])
    assert by_nodes.nodes == by_leaves.nodes == appended.nodes
    assert by_nodes.size == by_leaves.size == old + added


def rule_of_the_contract(old: int, new: int) -> list[tuple[int, int]]:
    """ICouncil.extend, as its comment says it: c covers 2^min(ctz(c), floor(log2(newSize - c)))."""
    pairs, c = [], old
    while c < new:
        level = 0
        while 2 ** (level + 1) <= new - c and c % 2 ** (level + 1) == 0:
            level += 1
        pairs.append((level, c // 2**level))
        c += 2**level
    return pairs


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_range_subtrees_follow_the_contracts_rule_and_cover_the_range_once(old, added):
    subtrees = list(range_subtrees(old, old + added))
    assert subtrees == rule_of_the_contract(old, old + added)
    covered = [leaf for level, index in subtrees for leaf in range(index << level, (index + 1) << level)]
    assert covered == list(range(old, old + added))


def test_a_range_of_nothing_has_no_nodes():
    assert range_nodes(7, []) == []
    assert list(range_subtrees(7, 7)) == []


def test_range_subtrees_of_a_huge_range_are_few():
    assert len(list(range_subtrees(2**62 - 1, MAX_SIZE))) <= 126


@given(sizes)
def test_from_nodes_continues_the_tree(size):
    restored = Frontier.from_nodes(size, grown(size).nodes)
    restored.append(LEAVES[size])
    assert restored.root() == grown(size + 1).root()


@pytest.mark.parametrize(
    ("size", "nodes"),
    [
        (0, [LEAVES[0]]),
        (1, []),
        (2, LEAVES[:2]),
        (3, LEAVES[:1]),
        (1, [LEAVES[0][:31]]),
        (1, [LEAVES[0] + b"\x00"]),
        (1, ["0" * 32]),
        (-1, LEAVES[:64]),
        (True, LEAVES[:1]),
        (2**63, LEAVES[:1]),
        (1.0, LEAVES[:1]),
    ],
)
def test_from_nodes_refuses_what_is_no_frontier(size, nodes):
    with pytest.raises(ProofError):
        Frontier.from_nodes(size, nodes)


def test_a_copy_grows_alone():
    original = grown(5)
    copy = original.copy()
    copy.append(LEAVES[5])
    assert (original.size, copy.size) == (5, 6)
    assert original.root() == grown(5).root()


@pytest.mark.parametrize("leaf", [b"", bytes(31), bytes(33), "0" * 32, None, 7])
def test_append_refuses_what_is_no_hash_and_stays_as_it_was(leaf):
    frontier = grown(5)
    with pytest.raises(ProofError):
        frontier.append(leaf)
    assert (frontier.size, frontier.root()) == (5, grown(5).root())


def test_extend_keeps_the_leaves_before_a_bad_one():
    frontier = grown(5)
    with pytest.raises(ProofError):
        frontier.extend([LEAVES[5], LEAVES[6], b"bad", LEAVES[7]])
    assert (frontier.size, frontier.root()) == (7, grown(7).root())


def test_a_full_tree_takes_no_more():
    full = Frontier.from_nodes(MAX_SIZE, LEAVES[:63])
    with pytest.raises(ProofError):
        full.append(LEAVES[0])
    with pytest.raises(ProofError):
        full.extend_range(MAX_SIZE + 1, LEAVES[:1])


@pytest.mark.parametrize(
    ("new_size", "nodes"),
    [
        (5, []),
        (4, []),
        (12, LEAVES[:2]),
        (12, LEAVES[:6]),
        (12, []),
        (12, [LEAVES[0], LEAVES[1], b"x"]),
        (True, LEAVES[:1]),
        (2**63, LEAVES[:3]),
    ],
)
def test_extend_range_refuses_a_wrong_range_and_changes_nothing(new_size, nodes):
    frontier = grown(5)
    with pytest.raises(ProofError):
        frontier.extend_range(new_size, nodes)
    assert (frontier.size, frontier.nodes) == (5, grown(5).nodes)


@given(st.integers(1, 200), st.integers(1, 60), st.data())
def test_a_changed_range_node_changes_the_root(old, added, data):
    nodes = range_nodes(old, LEAVES[old : old + added])
    at = data.draw(st.integers(0, len(nodes) - 1))
    nodes[at] = bytes([nodes[at][0] ^ 1]) + nodes[at][1:]
    frontier = grown(old)
    frontier.extend_range(old + added, nodes)
    assert frontier.root() != grown(old + added).root()


class _Reading(bytes):
    """Passes for bytes, and joins to others as it likes."""

    def __radd__(self, other: bytes) -> bytes:
        return b"another"


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (bytes(31), "has 31 bytes, not 32"),
        (bytearray(32), "not bytes, but bytearray"),
        ("0" * 32, "not bytes, but str"),
        (_Reading(32), "not bytes, but _Reading"),
    ],
)
def test_a_leaf_that_is_none_is_refused_by_name(leaf, why):
    frontier = Frontier()
    with pytest.raises(ProofError, match=why):
        frontier.append(leaf)
    assert frontier.size == 0
