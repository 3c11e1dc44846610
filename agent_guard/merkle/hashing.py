"""The two hash functions of RFC 6962 section 2.1 and the checks on what goes into them.

Leaves and nodes carry different prefixes, so that no node can be passed off as an entry.
"""

from hashlib import sha256

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
"""Entries a tree can have (C2SP: sizes are below 2^63)."""

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without entries: SHA-256 of nothing (RFC 6962 section 2.1)."""


class ProofError(ValueError):
    """A proof, or one of the values it is about, does not hold."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of an entry's bytes: SHA-256(0x00 || data), 32 bytes (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node above two 32-byte hashes: SHA-256(0x01 || left || right) (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def check_hash(value: object, what: str) -> None:
    """Raises `ProofError` unless `value` is 32 bytes, and no subclass, which could call itself equal to anything."""
    if type(value) is not bytes:
        raise ProofError(f"{what} is not bytes, but {type(value).__name__}")
    if len(value) != HASH_SIZE:
        raise ProofError(f"{what} has {len(value)} bytes, not {HASH_SIZE}")


def check_size(value: object, what: str) -> None:
    """Raises `ProofError` unless `value` is an integer (no bool) from 0 to `MAX_SIZE`."""
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise ProofError(f"{what} is not an integer from 0 to {MAX_SIZE}")
