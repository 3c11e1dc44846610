import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    subtree_of,
    tree_root,
    verify_consistency,
    verify_consistency_as_witness,
    verify_inclusion,
)

pytestmark = pytest.mark.unit

LIMIT = 130
LEAVES = [leaf_hash(number.to_bytes(4)) for number in range(LIMIT)]
SUBTREE = subtree_of(LEAVES)
ROOTS = [tree_root(size, SUBTREE) for size in range(LIMIT + 1)]
OTHER = leaf_hash(b"not in the tree")
sizes = st.integers(1, LIMIT)


def flips(value: bytes):
    """Every single-bit change of a hash."""
    for bit in range(256):
        yield (int.from_bytes(value) ^ (1 << bit)).to_bytes(32)


def mutations(proof: list[bytes]):
    """Every proof with one hash flipped in one bit, omitted, doubled, added, or two swapped."""
    for at, node in enumerate(proof):
        for flipped in flips(node):
            yield [*proof[:at], flipped, *proof[at + 1 :]]
        yield proof[:at] + proof[at + 1 :]
        yield [*proof[:at], node, *proof[at:]]
    for at in range(len(proof) + 1):
        yield [*proof[:at], OTHER, *proof[at:]]
    for first, second in itertools.combinations(range(len(proof)), 2):
        swapped = list(proof)
        swapped[first], swapped[second] = proof[second], proof[first]
        yield swapped


# ------------------------------------------------------------------------------------------------ published


def test_published_inclusion_proofs_verify_and_are_what_we_make(published):
    hashes = [leaf_hash(leaf) for leaf in published["leaves"]]
    for case in published["inclusion"]:
        index, size, proof = case["index"], case["size"], case["proof"]
        assert inclusion_proof(index, size, subtree_of(hashes)) == proof
        verify_inclusion(hashes[index], index, size, proof, published["roots"][size])


def test_published_consistency_proofs_verify_and_are_what_we_make(published):
    subtree = subtree_of([leaf_hash(leaf) for leaf in published["leaves"]])
    for case in published["consistency"]:
        old, new, proof = case["old_size"], case["new_size"], case["proof"]
        assert consistency_proof(old, new, subtree) == proof
        verify_consistency(old, new, published["roots"][old], published["roots"][new], proof)


# ------------------------------------------------------------------------------------------------ inclusion


def test_every_leaf_of_every_size_to_130_is_proven():
    for size in range(1, LIMIT + 1):
        for index in range(size):
            verify_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, SUBTREE), ROOTS[size])


@given(sizes, st.data())
def test_inclusion_proof_is_the_rfcs(naive, size, data):
    index = data.draw(st.integers(0, size - 1))
    assert inclusion_proof(index, size, SUBTREE) == naive.inclusion(index, LEAVES[:size])


@settings(max_examples=40, deadline=None)
@given(sizes, st.data())
def test_inclusion_of_anything_else_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, SUBTREE)
    for changed in mutations(proof):
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, changed, ROOTS[size])
    for leaf in flips(LEAVES[index]):
        with pytest.raises(ProofError):
            verify_inclusion(leaf, index, size, proof, ROOTS[size])
    for root in flips(ROOTS[size]):
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, proof, root)
    for other in set(range(size + 2)) - {index}:
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 4), (2**63 - 1, 2**63 - 1)])
def test_a_leaf_outside_the_tree_is_neither_proven_nor_verified(index, size):
    with pytest.raises(ProofError):
        inclusion_proof(index, size, SUBTREE)
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


def test_a_node_cannot_be_passed_off_as_a_leaf():
    with pytest.raises(ProofError):
        verify_inclusion(SUBTREE(1, 0), 0, 4, [SUBTREE(1, 1)], ROOTS[4])


def test_a_longer_proof_does_not_place_a_leaf_in_a_smaller_tree():
    """Leaf 7 of 8 is the right-most leaf as leaf 3 of 4 is: only the proof's length tells them apart."""
    with pytest.raises(ProofError, match="too long"):
        verify_inclusion(LEAVES[7], 3, 4, inclusion_proof(7, 8, SUBTREE), ROOTS[8])


def test_a_shorter_proof_does_not_place_a_leaf_in_a_larger_tree():
    with pytest.raises(ProofError, match="too short"):
        verify_inclusion(LEAVES[0], 0, 16, inclusion_proof(0, 8, SUBTREE), ROOTS[8])


# ---------------------------------------------------------------------------------------------- consistency


def test_every_pair_of_sizes_to_130_is_consistent():
    for new in range(1, LIMIT + 1):
        for old in range(1, new + 1):
            verify_consistency(old, new, ROOTS[old], ROOTS[new], consistency_proof(old, new, SUBTREE))


@given(sizes, st.data())
def test_consistency_proof_is_the_rfcs(naive, new, data):
    old = data.draw(st.integers(1, new))
    assert consistency_proof(old, new, SUBTREE) == naive.consistency(old, LEAVES[:new])


@settings(max_examples=40, deadline=None)
@given(sizes, st.data())
def test_consistency_of_anything_else_is_refused(new, data):
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, SUBTREE)
    for changed in mutations(proof):
        with pytest.raises(ProofError):
            verify_consistency(old, new, ROOTS[old], ROOTS[new], changed)
    for root in flips(ROOTS[old]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, root, ROOTS[new], proof)
    for root in flips(ROOTS[new]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, ROOTS[old], root, proof)


@given(st.integers(2, LIMIT), st.data())
def test_a_rewritten_leaf_is_not_consistent(new, data):
    old = data.draw(st.integers(1, new))
    at = data.draw(st.integers(0, old - 1))
    forged = subtree_of([*LEAVES[:at], OTHER, *LEAVES[at + 1 :]])
    with pytest.raises(ProofError):
        verify_consistency(old, new, ROOTS[old], tree_root(new, forged), consistency_proof(old, new, forged))


@pytest.mark.parametrize(("claimed", "why"), [((3, 4), "too long"), ((7, 16), "too short")])
def test_a_proof_for_7_to_8_does_not_pass_for_other_sizes(claimed, why):
    """The hashes lead to both roots; only the proof's length tells the sizes apart."""
    with pytest.raises(ProofError, match=why):
        verify_consistency(*claimed, ROOTS[7], ROOTS[8], consistency_proof(7, 8, SUBTREE))


def test_a_shrunk_tree_is_neither_proven_nor_verified():
    with pytest.raises(ProofError):
        consistency_proof(5, 4, SUBTREE)
    with pytest.raises(ProofError):
        verify_consistency(5, 4, ROOTS[5], ROOTS[4], [])


def test_strict_verifier_refuses_old_size_0_however_it_is_dressed():
    for new in (0, 1, 5):
        with pytest.raises(ProofError):
            verify_consistency(0, new, EMPTY_ROOT, ROOTS[new], [])


def test_witness_accepts_the_first_tree_with_an_empty_proof():
    for new in (0, 1, 5):
        assert consistency_proof(0, new, SUBTREE) == []
        verify_consistency_as_witness(0, new, EMPTY_ROOT, ROOTS[new], [])


@pytest.mark.parametrize(
    ("new", "old_root", "new_root", "proof"),
    [
        (5, EMPTY_ROOT, ROOTS[5], [ROOTS[5]]),
        (5, ROOTS[1], ROOTS[5], []),
        (0, EMPTY_ROOT, ROOTS[5], []),
        (0, ROOTS[5], ROOTS[5], []),
        (5, EMPTY_ROOT, ROOTS[5][:31], []),
    ],
)
def test_witness_refuses_a_false_start(new, old_root, new_root, proof):
    with pytest.raises(ProofError):
        verify_consistency_as_witness(0, new, old_root, new_root, proof)


@given(sizes, st.data())
def test_witness_agrees_with_the_strict_verifier_from_size_1(new, data):
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, SUBTREE)
    verify_consistency_as_witness(old, new, ROOTS[old], ROOTS[new], proof)
    with pytest.raises(ProofError):
        verify_consistency_as_witness(old, new, ROOTS[old], OTHER, proof)


# ----------------------------------------------------------------------------------- what is no proof at all

NO_SIZES = [-1, True, 2**63, 1.0, "1", None]
NO_HASHES = [b"", bytes(31), bytes(33), "0" * 32, bytearray(32), None]
NO_PROOFS = [None, 7, "abc", b"", bytes(32), [None], ["0" * 32], [bytes(31)], [OTHER] * 65, {OTHER}, iter([])]


@pytest.mark.parametrize("bad", NO_SIZES)
def test_a_size_that_is_none_is_refused_everywhere(bad):
    calls = [
        lambda: verify_inclusion(LEAVES[0], bad, 1, [], LEAVES[0]),
        lambda: verify_inclusion(LEAVES[0], 0, bad, [], LEAVES[0]),
        lambda: verify_consistency(bad, 1, LEAVES[0], LEAVES[0], []),
        lambda: verify_consistency(1, bad, LEAVES[0], LEAVES[0], []),
        lambda: verify_consistency_as_witness(bad, 1, EMPTY_ROOT, LEAVES[0], []),
        lambda: inclusion_proof(bad, 5, SUBTREE),
        lambda: inclusion_proof(0, bad, SUBTREE),
        lambda: consistency_proof(bad, 5, SUBTREE),
        lambda: consistency_proof(1, bad, SUBTREE),
        lambda: tree_root(bad, SUBTREE),
    ]
    for call in calls:
        with pytest.raises(ProofError):
            call()


@pytest.mark.parametrize("bad", NO_HASHES)
def test_a_hash_that_is_none_is_refused_everywhere(bad):
    calls = [
        lambda: verify_inclusion(bad, 0, 1, [], LEAVES[0]),
        lambda: verify_inclusion(LEAVES[0], 0, 1, [], bad),
        lambda: verify_consistency(1, 1, bad, LEAVES[0], []),
        lambda: verify_consistency(1, 1, LEAVES[0], bad, []),
        lambda: verify_consistency(1, 1, bad, bad, []),
        lambda: subtree_of([bad]),
    ]
    for call in calls:
        with pytest.raises(ProofError):
            call()


@pytest.mark.parametrize("bad", NO_PROOFS)
def test_a_proof_that_is_none_is_refused_everywhere(bad):
    calls = [
        lambda: verify_inclusion(LEAVES[0], 0, 1, bad, LEAVES[0]),
        lambda: verify_consistency(1, 1, LEAVES[0], LEAVES[0], bad),
        lambda: verify_consistency_as_witness(0, 0, EMPTY_ROOT, EMPTY_ROOT, bad),
    ]
    for call in calls:
        with pytest.raises(ProofError):
            call()


def test_an_endless_proof_is_refused_before_it_is_hashed():
    with pytest.raises(ProofError, match="at most 64"):
        verify_inclusion(LEAVES[0], 0, 8, [OTHER] * 100_000, ROOTS[8])


def test_proofs_in_a_tree_of_nearly_2_to_the_63_leaves_verify():
    """Sizes that no test can fill: every subtree of one same leaf, so that only the shape counts."""
    levels = [LEAVES[0]]
    for _ in range(63):
        frontier = Frontier.from_nodes(1, [levels[-1]])
        frontier.append(levels[-1])
        levels.append(frontier.root())
    size, old = 2**63 - 1, 2**62 + 12345
    uniform = lambda level, _: levels[level]  # noqa: E731
    root = tree_root(size, uniform)
    for index in (0, 1, 2**62, size - 1):
        verify_inclusion(LEAVES[0], index, size, inclusion_proof(index, size, uniform), root)
    proof = consistency_proof(old, size, uniform)
    assert len(proof) <= 64
    verify_consistency(old, size, tree_root(old, uniform), root, proof)
