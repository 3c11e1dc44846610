"""Rebuilds the log's tree and holds it against every head that the operator ever anchored.

Guarantees: `proven` counts only entries under a root that equals the chain's. Where a root differs, the fault lies
between the last anchor that agreed and this one.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from agent_guard.audit.facts import ChainFacts, Extension
from agent_guard.audit.result import Aspect, Fault
from agent_guard.merkle import Frontier

BATCH = 4096


class AnchoredTree:
    """Takes leaf hashes in order; compares roots as the tree passes each anchored size."""

    def __init__(self, chain: ChainFacts | None) -> None:
        self._anchors = _anchors(chain)
        self._next = next(self._anchors, None)
        self._tree = Frontier()
        self._waiting: list[bytes] = []
        self._broken = False
        self.proven = 0

    def append(self, leaf: bytes) -> Fault | None:
        """Adds a leaf. The fault of the segment that it completes, if the chain has another root."""
        if self._broken or self._next is None:
            return None
        self._waiting.append(leaf if len(leaf) == 32 else bytes(32))
        complete = self._tree.size + len(self._waiting) == self._next.size
        if not complete and len(self._waiting) < BATCH:
            return None
        self._tree.extend(self._waiting)
        self._waiting.clear()
        return self._compare(self._next) if complete else None

    def room(self) -> int:
        """How many leaves it takes to the next anchored size; 0 if there is none any more."""
        if self._broken or self._next is None:
            return 0
        return self._next.size - self._tree.size - len(self._waiting)

    def extend(self, leaves: Sequence[bytes]) -> Fault | None:
        """Adds leaves of 32 bytes, no more than there is `room` for, or any number if there is none."""
        if self._broken or self._next is None or not self.room():
            return None
        self._tree.extend(self._waiting)
        self._waiting.clear()
        self._tree.extend(leaves)
        return self._compare(self._next) if self._tree.size == self._next.size else None

    def break_off(self) -> None:
        """A leaf is missing: no root after this can be computed."""
        self._broken = True

    def _compare(self, anchor: "_Anchor") -> Fault | None:
        start, self._next = self.proven, next(self._anchors, None)
        if self._tree.root() == anchor.root:
            self.proven = anchor.size
            return None
        self._broken = True
        anchored = f"in block {anchor.block}" if anchor.block is not None else "on chain"
        return Fault(
            Aspect.INTEGRITY,
            start,
            f"entries [{start}, {anchor.size})",
            f"they do not hash to the root anchored {anchored}; which of them was changed can't be told",
        )


@dataclass(frozen=True, slots=True)
class _Anchor:
    size: int
    root: bytes
    block: int | None


def _anchors(chain: ChainFacts | None) -> Iterator[_Anchor]:
    """Every anchor, by size; of two with one size the later. The head is the contract's own word and comes last."""
    if chain is None or not chain.head.size:
        return
    given, head = chain.extensions, chain.head
    places = sorted(range(len(given)), key=lambda place: given[place].new_size)
    for size, same in groupby(map(given.__getitem__, places), key=_new_size):
        if 0 < size < head.size:
            last = deque(same, maxlen=1).pop()
            yield _Anchor(size, last.root, last.block.number)
    yield _Anchor(head.size, head.root, None)


def _new_size(extension: Extension) -> int:
    return extension.new_size
