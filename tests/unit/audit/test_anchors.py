"""Anchors in little memory: what went in comes out, in order, and an audit can't tell them from a list."""

from struct import error

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.audit import Anchors, Extension, Result
from agent_guard.types import Block
from tests.unit.audit.conftest import World

pytestmark = pytest.mark.unit

U64 = st.integers(0, 2**64 - 1)
HASH = st.binary(min_size=32, max_size=32)
EXTENSION = st.builds(Extension, st.builds(Block, U64, HASH, U64), U64, U64, HASH)


@given(st.lists(EXTENSION, max_size=5), st.slices(5))
def test_anchors_give_back_what_they_were_given(extensions: list[Extension], part: slice) -> None:
    anchors = Anchors(iter(extensions))
    assert list(anchors) == extensions
    assert [anchors[at] for at in range(-len(extensions), 0)] == extensions
    assert list(anchors[part]) == extensions[part]
    with pytest.raises(IndexError):
        anchors[len(extensions)]


def test_a_number_that_no_chain_has_is_refused() -> None:
    with pytest.raises(error):
        Anchors([Extension(Block(2**64, bytes(32), 0), 0, 1, bytes(32))])


def test_of_two_anchors_with_one_size_the_later_counts_in_whatever_order_sizes_come(honest: World) -> None:
    first, *others = honest.extensions
    wrong = Extension(first.block, first.old_size, first.new_size, bytes(32))
    found = honest.audit(honest.facts(extensions=Anchors([*others, wrong, first])))
    assert found.integrity.result is Result.VERIFIED
    found = honest.audit(honest.facts(extensions=Anchors([*others, first, wrong])))
    assert found.integrity.result is Result.TAMPERED
    assert f"anchored in block {wrong.block.number}" in found.integrity.detail
