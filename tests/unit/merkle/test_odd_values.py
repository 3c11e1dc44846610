"""The fixed names, called with whatever type: what is not right is a `ValueError` (or, to hash, a `TypeError`)."""

from array import array
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest

from agent_guard.checkpoint import Checkpoint, NoteError, parse
from agent_guard.merkle import (
    Frontier,
    ProofError,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_consistency_as_witness,
    verify_inclusion,
)

pytestmark = pytest.mark.unit

LEAF, OTHER = leaf_hash(b"x"), leaf_hash(b"y")
ROOT = node_hash(LEAF, OTHER)


class Agreeable(bytes):
    """Equal to all, and what is added to it is forgotten."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __radd__(self, other: bytes) -> bytes:
        return b"forgotten"


class Shifty(list[bytes]):
    """Says that it is empty, and raises what nobody expects."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        raise KeyError("gone")


class Number(int):
    pass


class Index:
    def __index__(self) -> int:
        return 0


NUMBERS = [
    True,
    -1,
    2**63,
    10**400,
    1.0,
    float("nan"),
    float("inf"),
    1j,
    Fraction(1),
    Decimal(1),
    Number(0),
    Index(),
]
TEXTS = ["", "a", LEAF.hex(), "x" * 32, "0"]
BYTES = [b"", LEAF[:31], LEAF + b"\0", bytearray(LEAF), memoryview(LEAF), array("B", LEAF), Agreeable(LEAF)]
LISTS = [
    *([None], ["a"], [[LEAF]], [bytearray(LEAF)], [Agreeable(OTHER)], {LEAF}, {LEAF: 1}, frozenset({LEAF})),
    *(range(3), iter([OTHER]), (one for one in [OTHER]), [OTHER] * 1_000_000, Shifty([OTHER])),
]
ODD = [None, ..., object(), int, *NUMBERS, *TEXTS, *BYTES, *LISTS]

RIGHT: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
    (verify_inclusion, (LEAF, 0, 2, [OTHER], ROOT)),
    (verify_consistency, (1, 2, LEAF, ROOT, [OTHER])),
    (verify_consistency_as_witness, (1, 2, LEAF, ROOT, [OTHER])),
]


@pytest.mark.parametrize(("verify", "right"), RIGHT)
def test_proofs_are_lists_and_tuples_alike(verify: Callable[..., None], right: tuple[Any, ...]) -> None:
    for form in (list, tuple):
        verify(*(form(value) if isinstance(value, list) else value for value in right))


@pytest.mark.parametrize(("verify", "right"), RIGHT)
def test_one_odd_value_anywhere_is_a_proof_error(verify: Callable[..., None], right: tuple[Any, ...]) -> None:
    for at, odd in product(range(len(right)), ODD):
        with pytest.raises(ProofError, match=r"\w+ \w+"):
            verify(*right[:at], odd, *right[at + 1 :])


@pytest.mark.parametrize(("verify", "right"), RIGHT)
def test_two_odd_values_anywhere_are_a_proof_error(
    verify: Callable[..., None], right: tuple[Any, ...]
) -> None:
    for (one, two), odd, odder in product(combinations(range(len(right)), 2), ODD, ODD):
        given = list(right)
        given[one], given[two] = odd, odder
        with pytest.raises(ProofError):
            verify(*given)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_leaf_is_not_appended(odd: Any) -> None:
    frontier = Frontier()
    with pytest.raises(ProofError):
        frontier.append(odd)
    assert (frontier.size, frontier.nodes) == (0, ())


@pytest.mark.parametrize(
    "odd", [odd for odd in ODD if not isinstance(odd, (bytes, bytearray, memoryview, array))]
)
def test_what_is_no_bytes_is_not_hashed(odd: Any) -> None:
    for call in (lambda: leaf_hash(odd), lambda: node_hash(odd, LEAF), lambda: node_hash(LEAF, odd)):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_value_is_no_checkpoint_and_no_part_of_one(odd: Any) -> None:
    with pytest.raises(NoteError):
        parse(odd)
    if not (isinstance(odd, str) and odd):
        with pytest.raises(NoteError):
            Checkpoint(odd, 1, LEAF)
    for given in (("o", odd, LEAF), ("o", 1, odd), ("o", 1, LEAF, odd)):
        with pytest.raises(NoteError):
            Checkpoint(*given)
