"""The log's tree, rebuilt from what the store holds.

Trusts the store: this is the guard's own view of its own log. An auditor derives every leaf anew (`agent_guard.audit`).
"""

from agent_guard.merkle import Frontier, range_subtrees
from agent_guard.store import Reader
from agent_guard.store.tiles import TileLog


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
