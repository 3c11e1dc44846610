"""Receipts: the operator's signed head over an action's entry, for the agent to keep and for anyone to hold against it.

Guarantees: signs only heads of what is on disk, and each size once; a head that covers an entry is given again whenever
it is asked for, and at most one is signed every `interval` seconds, whatever agents ask and however fast the log grows.
Each receipt is checked before it is given; it costs the reading of a few hundred leaves, however long the log, and
once that of older ones which none needed before. Two heads of one log never contradict each other
(`ICouncil.proveFork`); those of a log that was restored from an old copy do, and halt its agents.

Trusts the store and the signer that wiring hands in; it holds no key. May be used from several threads.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.log.tree import Subtrees, frontier_at
from agent_guard.merkle import Frontier, ProofError, inclusion_proof, verify_inclusion
from agent_guard.store import Reader, Row
from agent_guard.typed_data import SignedHead
from agent_guard.types import LogIdentity

SIGN_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed head over an entry, and the entry's RFC 9162 inclusion: 32-byte hashes, lowest first."""

    head: SignedHead
    inclusion: tuple[bytes, ...]


class Receipts:
    """Gives receipts of one log; shared by all its agents.

    Args:
        identity: whose log it is.
        sign: the operator's EIP-712 signature of a head, given as size and root.
        acknowledged: entries that the recorder knows to be on disk. A reader may see more: rows whose COMMIT came back
            with a doubt, which a fail-over of the database could still take away.
        interval: least seconds between two signatures.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        identity: LogIdentity,
        sign: Callable[[int, bytes], bytes],
        acknowledged: Callable[[], int],
        interval: float = SIGN_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity, self._sign, self._acknowledged = identity, sign, acknowledged
        self._interval, self._clock = interval, clock
        self.subtrees = Subtrees()
        """What was read of the log's tree, for whoever else proves something."""
        self._lock = threading.Lock()  # over what follows
        self._tree: Frontier | None = None
        self._last: SignedHead | None = None
        self._next = -float("inf")

    def of(self, reader: Reader, row: Row) -> Receipt | None:
        """The receipt of an entry on disk; None for as long as none is signed that covers it: ask again.

        Raises:
            GuardError: AG515 the log is damaged.
        """
        head = self._covering(reader, row.index)
        if head is None:
            return None
        hashes = tuple(inclusion_proof(row.index, head.size, self.subtrees.of(reader)))
        try:
            verify_inclusion(row.leaf, row.index, head.size, hashes, head.root)
        except ProofError as error:
            raise GuardError(
                "AG515",
                f"No receipt of action {row.index} can be given: its proof does not lead to the signed root ({error}).",
                "Keep the file as evidence, and find out more with: agent-guard audit AGENT",
            ) from error
        return Receipt(head, hashes)

    def _covering(self, reader: Reader, index: int) -> SignedHead | None:
        with self._lock:
            if self._covers(index) or self._clock() < self._next:
                return self._last if self._covers(index) else None
            self._last = self._signed(reader)
            self._next = self._clock() + self._interval
            return self._last if self._covers(index) else None

    def _covers(self, index: int) -> bool:
        return self._last is not None and index < self._last.size

    def _signed(self, reader: Reader) -> SignedHead:
        """The newest head, signed. Only the leaves since the last one are read."""
        size = min(reader.size(), self._acknowledged())
        if self._tree is None:
            tree = frontier_at(reader, size)
        else:
            tree = self._tree.copy()
            tree.extend(reader.leaves(tree.size, size))
        self.subtrees.learn(tree)
        self._tree, root, who = tree, tree.root(), self._identity
        return SignedHead(who.chain_id, who.council, who.operator, size, root, self._sign(size, root))
