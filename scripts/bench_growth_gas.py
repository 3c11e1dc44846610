"""What it costs to anchor the growing log on a real council: as a guard does, and in one transaction.

Guarantees: gas is ``gasUsed`` of mined transactions, every one of them counted, and the council's head in the end is
the log's own. A guard that is busy anchors whenever 256 entries wait (`agent_guard/settings.py`); that the transactions
share blocks here changes nothing of their gas. Every head is kept in the store, as a guard keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench_gas import Bench
from bench_log_sample import IDENTITY
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
from agent_guard.merkle import Frontier, range_nodes
from agent_guard.settings import Settings
from agent_guard.store import SavedCheckpoint, SqliteStore

EVERY: int = Settings.model_fields["anchor_entries"].default
TOGETHER = 150
"""Transactions to a block."""
GAS = 150_000
"""The most that one of them may take; 150 of them fit into Anvil's block of 30,000,000."""


class Anchoring:
    """The log's anchors so far: `gas` and `count` of transactions, summed up from the first.

    Args:
        bench: a council in service on a real Anvil.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self._request = bench, bench.web3.provider
        self._operator, self._once = list(bench.people)[7:9]
        origin = log_origin(IDENTITY.chain_id, IDENTITY.council, IDENTITY.operator)
        self._origin, self._signer = origin, Signer(origin, Ed25519PrivateKey.generate())
        self._tree = Frontier()
        self.gas = 0
        self.count = 0

    def to(self, store: SqliteStore, size: int) -> None:
        """Anchors on to `size`, 256 entries at a time; the last of them may be fewer."""
        with store.reader() as reader:
            while self._tree.size < size:
                # No read is open while the heads are saved: it would keep the write-ahead log from being folded.
                end = min(size, self._tree.size + TOGETHER * EVERY)
                part = list(self._steps(list(reader.leaves(self._tree.size, end))))
                for tx, (_, tree) in zip(self._mined([call for call, _ in part]), part, strict=True):
                    store.save_checkpoint(self._checkpoint(tree, tx))
        if self.head() != (size, self._tree.root()):
            raise SystemExit(f"the council's head is not the log's: {self.head()}")

    def head(self) -> tuple[int, bytes]:
        """The size and the root that the council holds."""
        size, root, *_ = self._bench.council.functions.headOf(self._operator).call()
        return int(size), bytes(root)

    def at_once(self) -> int:
        """Gas of anchoring all of it by one transaction, onto an empty log: a tree's frontier is the range from 0."""
        call = self._bench.council.functions.extend(self._tree.size, [], self._tree.nodes)
        return self._bench.undone(lambda: int(self._bench.mined(call, self._once)["gasUsed"]))

    def _steps(self, leaves: Sequence[bytes]) -> Iterator[tuple[str, Frontier]]:
        """For each anchor its call data, and the tree after it."""
        for at in range(0, len(leaves), EVERY):
            part, before = leaves[at : at + EVERY], self._tree
            nodes = range_nodes(before.size, part)
            self._tree = before.copy()
            self._tree.extend_range(before.size + len(part), nodes)
            yield (
                self._bench.council.encode_abi("extend", [self._tree.size, list(before.nodes), nodes]),
                self._tree,
            )

    def _mined(self, calls: list[str]) -> list[str]:
        """Hashes of transactions that all went through, in one block."""
        self._ask("evm_setAutomine", False)
        # Each with its own nonce, for Anvil takes up what comes together in any order.
        transaction = {"from": self._operator, "to": self._bench.council.address, "gas": hex(GAS)}
        requests: list[Any] = [
            ("eth_sendTransaction", [{**transaction, "nonce": hex(self.count + at), "data": call}])
            for at, call in enumerate(calls)
        ]
        answers: Any = self._request.make_batch_request(requests)
        self._ask("evm_mine")
        self._ask("evm_setAutomine", True)
        receipts = self._ask("eth_getBlockReceipts", "latest")
        if len(receipts) != len(calls) or any(int(receipt["status"], 16) != 1 for receipt in receipts):
            raise SystemExit(f"of {len(calls)} anchors not all went through")
        self.gas += sum(int(receipt["gasUsed"], 16) for receipt in receipts)
        self.count += len(receipts)
        return [str(answer["result"]) for answer in answers]

    def _ask(self, method: str, *parameters: object) -> Any:
        answer: Any = self._request.make_request(method, list(parameters))  # type: ignore[arg-type]
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer.get("result")

    def _checkpoint(self, tree: Frontier, tx: str) -> SavedCheckpoint:
        note = sign_note(str(Checkpoint(self._origin, tree.size, tree.root())), [self._signer])
        operators = bytes(65)  # as long as the operator's signature, which nobody looks at here
        return SavedCheckpoint(tree.size, tree.nodes, tree.root(), note, operators, tx)
