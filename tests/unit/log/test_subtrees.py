"""Proofs of a log that grows: the same as those made from all its leaves, and what was read once is not read again."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from agent_guard.log.tree import Subtrees, frontier_at
from agent_guard.merkle import Frontier, inclusion_proof
from agent_guard.merkle.prove import subtree_of
from agent_guard.store import Row, SqliteReader, SqliteStore
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit
SIZE = 3_000
MOST = 3 * 256
"""Leaves that a proof may need: the entry's own 256, those of an entry that was proven before, the log's end."""
LEAVES = [sha256(b"%d" % index).digest() for index in range(SIZE)]


class Counting(SqliteReader):
    """Counts the leaves that are read."""

    read = 0

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        self.read += end - start
        return super().leaves(start, end)


@pytest.fixture
def reader(path: Path, identity: LogIdentity) -> Iterator[Counting]:
    with SqliteStore(path, identity) as store:
        store.append([Row(n, bytes(32), n, "intent", b"{}", leaf, None) for n, leaf in enumerate(LEAVES)])
        with Counting(path) as reader:
            yield reader


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1_023, 2_048, 2_999, SIZE])
def test_proofs_are_those_of_all_leaves(reader: Counting, size: int) -> None:
    subtrees, plain = Subtrees(), subtree_of(LEAVES[:size])
    for index in {0, size // 3, size // 2, size - 1}:
        assert inclusion_proof(index, size, subtrees.of(reader)) == inclusion_proof(index, size, plain)


def test_what_was_read_once_is_not_read_again_at_any_later_size(reader: Counting) -> None:
    subtrees = Subtrees()
    inclusion_proof(0, 2_900, subtrees.of(reader))
    assert reader.read >= 2_900 - 1
    for index in (0, 1_000, 2_047, 2_048, 2_899):
        for size in (2_900, 2_950, SIZE):
            reader.read = 0
            proof = inclusion_proof(index, size, subtrees.of(reader))
            assert reader.read < MOST
            assert proof == inclusion_proof(index, size, subtree_of(LEAVES[:size]))


def test_with_the_frontier_of_a_size_little_is_read_for_its_newest_entries(reader: Counting) -> None:
    size = 0b101110110101  # 2,997
    subtrees, tree = Subtrees(), Frontier()
    tree.extend(LEAVES[:size])
    subtrees.learn(tree)
    for index in (size - 1, size - 200):
        reader.read = 0
        proof = inclusion_proof(index, size, subtrees.of(reader))
        assert reader.read < MOST
        assert proof == inclusion_proof(index, size, subtree_of(LEAVES[:size]))


def test_frontier_of_the_log_is_what_may_be_learnt(reader: Counting) -> None:
    subtrees = Subtrees()
    subtrees.learn(frontier_at(reader, SIZE))
    reader.read = 0
    assert subtrees.of(reader)(11, 0) == subtree_of(LEAVES)(11, 0)
    assert reader.read == 0
