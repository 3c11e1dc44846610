"""A log of the test's own, a real witness with its memory on disk, and a clock that the test sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import Checkpoint, Cosigner, Signer, Submission, sign_note
from agent_guard.merkle import consistency_proof, leaf_hash, subtree_of, tree_root
from agent_guard.store.ledger import Ledger
from agent_guard.witness import Answer, Witness, trusted_logs

ORIGIN = "example.com/log"


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


class Log:
    """A log of which there are many versions: `world` names one, which shares the first `shared` entries."""

    def __init__(self, origin: str = ORIGIN, number: int = 1) -> None:
        self.origin = origin
        self.signer = Signer(origin, key(number))

    def tree(self, size: int, world: str = "", shared: int = 0) -> list[bytes]:
        return [leaf_hash(f"{world if n >= shared else ''}{n}".encode()) for n in range(size)]

    def note(self, size: int, world: str = "", shared: int = 0, extra: Sequence[str] = ()) -> str:
        root = tree_root(size, subtree_of(self.tree(size, world, shared)))
        return sign_note(str(Checkpoint(self.origin, size, root)), [self.signer]) + "".join(extra)

    def submit(self, old: int, size: int, world: str = "", shared: int = 0) -> bytes:
        """The request to go on from `old` to `size`, with the proof that holds."""
        proof = (
            consistency_proof(old, size, subtree_of(self.tree(size, world, shared))) if old <= size else []
        )
        return str(Submission(old, tuple(proof), self.note(size, world, shared))).encode()


@dataclass
class Stand:
    """The witness and what is around it."""

    path: Path
    log: Log = field(default_factory=Log)
    other: Log = field(default_factory=lambda: Log("example.com/other", 2))
    cosigner: Cosigner = field(default_factory=lambda: Cosigner("witness.example/w1", key(9)))
    now: int = 1_700_000_000

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.path)
        logs = trusted_logs([self.log.signer.verifier, self.other.signer.verifier])
        self.witness = Witness(logs, self.cosigner, self.ledger, lambda: self.now)

    def reopen(self) -> None:
        self.ledger.close()
        self.open()

    def ask(self, body: bytes) -> Answer:
        return self.witness.add_checkpoint(body)

    def size(self) -> int:
        with self.ledger.turn() as turn:
            found = turn.latest(ORIGIN)
        return found.size if found else 0


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path / "state" / "witness.sqlite")
    yield made
    made.ledger.close()
