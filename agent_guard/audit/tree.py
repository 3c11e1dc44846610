"""Rebuilds the log's tree and holds it against every head that the operator ever anchored.

Guarantees: `proven` counts only entries under a root that equals the chain's. Where a root differs, the fault lies
between the last anchor that agreed and this one.
"""

from collections.abc import Sequence

from agent_guard.audit.facts import ChainFacts
from agent_guard.audit.result import Aspect, Fault
from agent_guard.merkle import Frontier

BATCH = 4096


class AnchoredTree:
    """Takes leaf hashes in order; compares roots as the tree passes each anchored size."""

    def __init__(self, chain: ChainFacts | None) -> None:
        self._anchors = _anchors(chain)
        self._next = 0
        self._tree = Frontier()
        self._waiting: list[bytes] = []
        self._broken = False
        self.proven = 0

    def append(self, leaf: bytes) -> Fault | None:
        """Adds a leaf. The fault of the segment that it completes, if the chain has another root."""
        if self._broken or self._next == len(self._anchors):
            return None
        self._waiting.append(leaf if len(leaf) == 32 else bytes(32))
        size, root, _ = self._anchors[self._next]
        complete = self._tree.size + len(self._waiting) == size
        if not complete and len(self._waiting) < BATCH:
            return None
        self._tree.extend(self._waiting)
        self._waiting.clear()
        return self._compare(root) if complete else None

    def room(self) -> int:
        """How many leaves it takes to the next anchored size; 0 if there is none any more."""
        if self._broken or self._next == len(self._anchors):
            return 0
        return self._anchors[self._next][0] - self._tree.size - len(self._waiting)

    def extend(self, leaves: Sequence[bytes]) -> Fault | None:
        """Adds leaves of 32 bytes, no more than there is `room` for, or any number if there is none."""
        if not self.room():
            return None
        self._tree.extend(self._waiting)
        self._waiting.clear()
        self._tree.extend(leaves)
        size, root, _ = self._anchors[self._next]
        return self._compare(root) if self._tree.size == size else None

    def break_off(self) -> None:
        """A leaf is missing: no root after this can be computed."""
        self._broken = True

    def _compare(self, root: bytes) -> Fault | None:
        size, _, block = self._anchors[self._next]
        start, self._next = self.proven, self._next + 1
        if self._tree.root() == root:
            self.proven = size
            return None
        self._broken = True
        anchored = f"in block {block}" if block is not None else "on chain"
        return Fault(
            Aspect.INTEGRITY,
            start,
            f"entries [{start}, {size})",
            f"they do not hash to the root anchored {anchored}; which of them was changed can't be told",
        )


def _anchors(chain: ChainFacts | None) -> list[tuple[int, bytes, int | None]]:
    """(size, root, block number) of every anchor, by size. The head is the contract's own word and comes last."""
    if chain is None:
        return []
    found = {
        extension.new_size: (extension.root, extension.block.number)
        for extension in chain.extensions
        if 0 < extension.new_size < chain.head.size
    }
    anchors: list[tuple[int, bytes, int | None]] = [(size, *found[size]) for size in sorted(found)]
    return [*anchors, (chain.head.size, chain.head.root, None)] if chain.head.size else anchors
