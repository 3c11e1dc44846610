"""What is asked at the gate and what it answers: frozen values without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agent_guard.gate.receipts import Receipt
from agent_guard.types import Block

POLICY = "none configured: every action is allowed while the agent may run"


class Ruling(Enum):
    """The answer to one proposal. Only ALLOW means *act*; WAIT is for approvals, which no policy asks for yet."""

    ALLOW = "allow"
    DENY = "deny"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action that the agent asks to do. `tool` and `arguments` are the agent's words: hostile.

    The same `idempotency_key` with the same words is the same action; `critical` asks for an anchor at once.
    """

    tool: str
    arguments: Mapping[str, Any]
    idempotency_key: str | None = None
    critical: bool = False

    def content(self) -> dict[str, Any]:
        """What the intent's entry commits to."""
        return {"tool": self.tool, "arguments": dict(self.arguments)}


@dataclass(frozen=True, slots=True)
class Answer:
    """A ruling whose intent is on disk.

    `seq` is the intent's index in the guard's log, `leaf_hash` its 32-byte RFC 6962 leaf hash, `observed_block` the
    block that the guard had read when it decided.
    """

    ruling: Ruling
    seq: int
    leaf_hash: bytes
    observed_block: Block | None


@dataclass(frozen=True, slots=True)
class Closing:
    """An outcome that is on disk: its own index and leaf hash, and the intent it closes."""

    seq: int
    outcome_seq: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Inclusion:
    """RFC 6962 inclusion of one entry in an anchored head: all hashes of 32 bytes, lowest first.

    `checkpoint` is the head as a C2SP signed note, `tx` the transaction that anchored it, None if it is not known.
    """

    index: int
    tree_size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str
    tx: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An intent as the log holds it.

    `tool` and `arguments` are None where the content was erased; `entry` is the entry's canonical JSON. `closed_by` is
    the index of its outcome, or of the refusal that withdrew the yes. `proof` is None until a head that covers it is
    anchored, `receipt` until a head over it is signed: a moment, if that.
    """

    seq: int
    tool: str | None
    arguments: Mapping[str, Any] | None
    entry: bytes
    leaf_hash: bytes
    closed_by: int | None
    proof: Inclusion | None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """The log's tail that no anchor covers yet: entries, and the age of its oldest in seconds."""

    entries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the gate fails closed.

    The unanchored tail (`tail_entries`, `tail_seconds`), the records in flight at once, how long one may take until
    the gate answers "in doubt", and the refusals of one kind that are recorded: `refusal_burst` at once, then one per
    `refusal_refill` seconds.
    """

    tail_entries: int = 10_000
    tail_seconds: float = 600.0
    in_flight: int = 1_024
    answer_seconds: float = 5.0
    refusal_burst: int = 64
    refusal_refill: float = 60.0
