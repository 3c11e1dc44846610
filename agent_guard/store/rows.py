"""The shapes in which a log is written and read, the same for every store. Values without behaviour, and one name.

Rows and contents are named tuples: an audit makes millions of them, in a fifth of the time of a frozen dataclass.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Content(NamedTuple):
    """What an entry commits to: SHA-256(salt || body) stands in the entry. `body` is canonical JSON (RFC 8785)."""

    salt: bytes
    body: bytes


class Row(NamedTuple):
    """One entry as it lies in a log.

    `index` counts the log's entries from 0, `counter` those of this agent (a 32-byte id). `body` is the entry's
    canonical JSON, `leaf` its RFC 6962 leaf hash (32 bytes) as the writer computed it, `content` None where it was
    erased.
    """

    index: int  # type: ignore[assignment]  # hides the tuple's method of that name, which nobody needs
    agent: bytes
    counter: int
    kind: str
    body: bytes
    leaf: bytes
    content: Content | None
    idempotency_key: str | None = None


def erasure_key(index: int) -> str:
    """The idempotency key under which the erasure of entry `index` is on record; no agent can choose such a key."""
    return f"erase:{index}"


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A head that was anchored, with all that is needed to go on from it.

    `frontier` holds the popcount(size) roots of the perfect subtrees, largest first; `note` is a C2SP signed note,
    `signature` the operator's EIP-712 signature of the head (65 bytes), `tx` the hash of the transaction that
    anchored it, None if it was found on chain after a crash.
    """

    size: int
    frontier: tuple[bytes, ...]
    root: bytes
    note: str
    signature: bytes
    tx: str | None
