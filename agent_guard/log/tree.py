"""The log's tree, rebuilt from what the store holds.

Trusts the store: this is the guard's own view of its own log. An auditor derives every leaf anew (`agent_guard.audit`).
"""

from agent_guard.checkpoint import Checkpoint
from agent_guard.merkle import (
    Frontier,
    Subtree,
    consistency_proof,
    node_hash,
    range_subtrees,
    verify_consistency,
)
from agent_guard.store import Reader, SavedCheckpoint
from agent_guard.store.tiles import TileLog

KEPT = 8
"""The least level of which roots are kept: those over 256 entries."""


class Subtrees:
    """The roots of the perfect subtrees of a log that only grows: what was read once for a proof is not read again.

    Guarantees: a proof from a part of the log that was read before reads no more than three times 256 leaves. Memory:
    some 400 bytes for every 256 entries that were read. May be used from several threads.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bytes] = {}

    def learn(self, tree: Frontier) -> None:
        """Keeps the frontier of the log at some size: with it a proof for one of the newest entries reads little."""
        for (level, index), root in zip(range_subtrees(0, tree.size), tree.nodes, strict=True):
            if level >= KEPT:
                self._known[level, index] = root

    def of(self, reader: Reader | TileLog) -> Subtree:
        """The roots, those not known as `reader` has them. Raises AG515 if leaves are missing."""

        def subtree(level: int, index: int) -> bytes:
            if level < KEPT:
                return reader.subtree(level, index)
            if (level, index) not in self._known:
                self._known[level, index] = (
                    reader.subtree(level, index)
                    if level == KEPT
                    else node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1))
                )
            return self._known[level, index]

        return subtree


def frontier_at(reader: Reader | TileLog, size: int) -> Frontier:
    """The frontier of the first `size` entries: from tiles, or the newest checkpoint before and the leaves after it.

    Raises:
        GuardError: AG515 if leaves are missing.
    """
    if isinstance(reader, TileLog):
        return reader.frontier(size)
    frontier = _start(reader, size)
    frontier.extend(reader.leaves(frontier.size, size))
    return frontier


def _start(reader: Reader, size: int) -> Frontier:
    saved = reader.checkpoint_at_most(size)
    if saved is not None:
        frontier = Frontier.from_nodes(saved.size, saved.frontier)
        # A checkpoint that contradicts itself is worth nothing; the leaves still are.
        if frontier.root() == saved.root:
            return frontier
    return Frontier()


def range_nodes(reader: Reader | TileLog, start: int, end: int) -> list[bytes]:
    """The roots of the perfect subtrees over entries `start` to `end` - 1, as `ICouncil.extend` takes them.

    Reads each leaf once and keeps only frontiers, however long the range.

    Raises:
        GuardError: AG515 if leaves are missing.
    """
    return [reader.subtree(level, index) for level, index in range_subtrees(start, end)]


def leads_to(reader: Reader | TileLog, frontier: Frontier, head: Checkpoint | SavedCheckpoint) -> bool:
    """Whether a log's entries from `frontier` on lead from there to its own head.

    Where they don't, its files are damaged, or whoever gave them lies: then they say nothing of another history.
    """
    tree = frontier.copy()
    if tree.size < head.size:
        tree.extend_range(head.size, range_nodes(reader, tree.size, head.size))
    return tree.root() == head.root


def consistency(reader: Reader, old: int, saved: SavedCheckpoint) -> tuple[bytes, ...]:
    """The proof (RFC 9162 section 2.1.4) that an anchored head extends this log's first `old` entries; checked.

    Left of `old` it needs nothing but the frontier there, so that it reads the leaves since then and no others.

    Raises:
        GuardError: AG515 if leaves are missing.
        ProofError: the leaves do not lead to the head, or it has fewer than `old`.
    """
    if old == 0:
        return ()
    before = frontier_at(reader, old)
    known = dict(zip(range_subtrees(0, old), before.nodes, strict=True))

    def subtree(level: int, index: int) -> bytes:
        return known.get((level, index)) or reader.subtree(level, index)

    proof = consistency_proof(old, saved.size, subtree)
    verify_consistency(old, saved.size, before.root(), saved.root, proof)
    return tuple(proof)
