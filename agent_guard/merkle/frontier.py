"""The frontier of a tree: the roots of its perfect subtrees, largest first. Enough to append and to know the root.

Guarantees: a `Frontier` that only ever saw `append` and `extend` has the RFC 6962 root of those leaves, and
`extend_range` accepts and computes exactly what `ICouncil.extend` does. A frontier made by `from_nodes` is no more
than a claim until its `root()` equals a root that the caller trusts.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Self

from agent_guard.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_SIZE,
    ProofError,
    check_hash,
    check_size,
    node_hash,
)


class Frontier:
    """A growing tree of which only the frontier is kept: popcount(size) hashes of 32 bytes, largest subtree first.

    Not for use from several threads at once.
    """

    __slots__ = ("_nodes", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._nodes: list[bytes] = []

    @classmethod
    def from_nodes(cls, size: int, nodes: Sequence[bytes]) -> Self:
        """The frontier of a tree of `size` leaves; `ProofError` unless there are popcount(size) hashes."""
        check_size(size, "size")
        if len(nodes) != size.bit_count():
            raise ProofError(
                f"a tree of {size} leaves has {size.bit_count()} frontier nodes, not {len(nodes)}"
            )
        _check_hashes(nodes)
        frontier = cls()
        frontier._size, frontier._nodes = size, list(nodes)
        return frontier

    def copy(self) -> Self:
        """An independent frontier of the same tree."""
        return self.from_nodes(self._size, self._nodes)

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._size

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """Roots of the perfect subtrees, largest first: popcount(size) of them."""
        return tuple(self._nodes)

    def append(self, leaf_hash: bytes) -> None:
        """Adds one leaf; `ProofError` if it is not 32 bytes or the tree is full."""
        self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Adds leaves in order, in one tight loop. After a `ProofError` those before the bad one are in the tree."""
        size, nodes = self._size, self._nodes
        try:
            for node in leaf_hashes:
                if type(node) is not bytes or len(node) != HASH_SIZE or size >= MAX_SIZE:
                    check_hash(node, "a leaf hash")
                    raise ProofError(f"the tree is full: it has {MAX_SIZE} leaves")
                carry = size
                # node_hash() written out: in this loop audits spend their time
                while carry & 1:
                    node = sha256(b"\x01" + nodes.pop() + node).digest()
                    carry >>= 1
                nodes.append(node)
                size += 1
        finally:
            self._size = size

    def extend_range(self, new_size: int, nodes: Sequence[bytes]) -> None:
        """Extends the tree to `new_size` leaves as the contract does (`ICouncil.extend`); all or nothing.

        `nodes` are the new leaf hashes or the roots of `range_subtrees(size, new_size)`, told apart by their number.
        """
        check_size(new_size, "new size")
        if new_size <= self._size:
            raise ProofError(f"new size {new_size} is not greater than {self._size}")
        _check_hashes(nodes)
        if len(nodes) == new_size - self._size:
            self.extend(nodes)
            return
        subtrees = list(range_subtrees(self._size, new_size))
        if len(nodes) != len(subtrees):
            raise ProofError(f"{len(subtrees)} range nodes expected, {len(nodes)} given")
        for (level, _), node in zip(subtrees, nodes, strict=True):
            self._push(level, node)

    def _push(self, level: int, node: bytes) -> None:
        """Adds a perfect subtree of 2^level leaves; `size` must be a multiple of 2^level."""
        carry = self._size >> level
        while carry & 1:
            node = node_hash(self._nodes.pop(), node)
            carry >>= 1
        self._nodes.append(node)
        self._size += 1 << level

    def root(self) -> bytes:
        """The RFC 6962 root: 32 bytes, `EMPTY_ROOT` if there are no leaves."""
        if not self._nodes:
            return EMPTY_ROOT
        root = self._nodes[-1]
        for node in reversed(self._nodes[:-1]):
            root = node_hash(node, root)
        return root


def range_subtrees(old_size: int, new_size: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees that cover leaves `old_size` to `new_size` - 1, left to right, as (level, index) pairs.

    A subtree at (level, index) covers the 2^level leaves from index * 2^level on. The rule is that of
    `ICouncil.extend`: with c starting at `old_size`, level = min(ctz(c), floor(log2(new_size - c))).
    """
    check_size(old_size, "old size")
    check_size(new_size, "new size")
    start = old_size
    while start < new_size:
        level = (new_size - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def range_nodes(old_size: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """The contract's `nodes`: the roots of `range_subtrees` when `leaf_hashes` follow `old_size` leaves."""
    check_size(old_size, "old size")
    _check_hashes(leaf_hashes)
    return [
        _perfect_root(leaf_hashes[(index << level) - old_size : ((index + 1) << level) - old_size])
        for level, index in range_subtrees(old_size, old_size + len(leaf_hashes))
    ]


def _perfect_root(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for number, value in enumerate(hashes):
        check_hash(value, f"hash {number}")
