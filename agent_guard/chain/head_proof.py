"""Where a council keeps a log's head and an agent's operator, for state proofs (`proof.prove`).

The layout is that of `contracts/README.md`, which a test holds to the compiler's.
"""

from eth_hash.auto import keccak

from agent_guard.chain.proof import slot_of

HEADS_SLOT = 7
"""Where the mapping of heads lies."""

_SIZE = (1 << 64) - 1
_ADDRESS = (1 << 160) - 1


def head_slots(operator: str) -> tuple[bytes, bytes]:
    """The slots (32 bytes each) of an operator's head: the root, and the size with the time of the anchor."""
    root = keccak(bytes.fromhex(operator[2:]).rjust(32, b"\0") + HEADS_SLOT.to_bytes(32, "big"))
    return root, _next(root)


def operator_slot(agent: bytes) -> bytes:
    """The slot (32 bytes) that names the operator of an agent (its 32-byte id)."""
    return _next(slot_of(agent))


def size_in(word: int) -> int:
    """The size that the second word of a head holds."""
    return word & _SIZE


def operator_in(word: int) -> str:
    """The operator that an agent's second word names, "0x" and 40 digits in lower case."""
    return f"0x{word & _ADDRESS:040x}"


def _next(slot: bytes) -> bytes:
    return (int.from_bytes(slot, "big") + 1).to_bytes(32, "big")
