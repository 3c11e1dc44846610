"""Verifier keys as one line of text, `name+hex(key id)+base64(type || key)` (C2SP `signed-note`, "Verifier keys").

The type is one byte that says what a signature of the key means; it is part of the id, so that one key pair under two
types is two keys.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Self

from agent_guard.checkpoint.form import NoteError, check_name, from_base64, to_base64

NOTE = b"\x01"
"""Ed25519 over the note's text."""
COSIGNATURE = b"\x04"
"""Ed25519 over a time and a checkpoint (C2SP `tlog-cosignature`)."""
MAX_VKEY = 4_096
"""Characters, whatever the name."""

KEY_LENGTH = 32

_SMALL_ORDER = frozenset(
    map(
        bytes.fromhex,
        [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ],
    )
)
"""All encodings of points whose order is at most 8, listed in C2SP/CCTV (`ed25519/README.md`): keys without a private
half, in whose name anyone can make signatures. 32 zero bytes, a likely placeholder, are one of them."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key (32 bytes) under a name; the subclass sets the type. `NoteError` for other values."""

    KIND: ClassVar[bytes]

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != KEY_LENGTH:
            raise NoteError("an Ed25519 public key is 32 bytes")
        if self.public_key in _SMALL_ORDER:
            raise NoteError("a public key of small order is nobody's: anyone can sign for it")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || type || key), the first 4 bytes."""
        return sha256(self.name.encode() + b"\n" + self.KIND + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """The vkey. `parse` reads it back."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(self.KIND + self.public_key)}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """The key of a vkey of this type; `NoteError` for other forms and types, and for false ids."""
        name, identity, key = _parts(vkey)
        if key[:1] != cls.KIND:
            raise NoteError(f"the verifier key is not of the type {cls.KIND.hex()}")
        read = cls(name, key[1:])
        if identity != read.key_id.hex():
            raise NoteError("the verifier key's hash is not that of its name and key")
        return read


def kind_of(vkey: str) -> bytes:
    """The type's byte, nothing else checked; `NoteError` if there is none."""
    return _parts(vkey)[2][:1]


def _parts(vkey: str) -> tuple[str, str, bytes]:
    if len(vkey) > MAX_VKEY:
        raise NoteError(f"a verifier key has at most {MAX_VKEY} characters")
    parts = vkey.split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key has the form name+hash+key")
    return parts[0], parts[1], from_base64(parts[2], "the verifier key")
