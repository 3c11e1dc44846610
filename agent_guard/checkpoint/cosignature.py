"""Cosignatures of witnesses with Ed25519 (C2SP `tlog-cosignature`, type 0x04, "cosignature/v1").

A cosignature says: as of this time, the largest tree that the cosigner has seen of the log with this origin has this
size and root, and it extends every tree that he saw before. Guarantees: what `cosignatures` and `merge_cosignatures`
return was verified with a key that the caller named. Trusts nobody; what a cosigner claims is his word. A time in the
future is not refused here: whoever cares compares it with his own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import vkey
from agent_guard.checkpoint.body import parse_body
from agent_guard.checkpoint.form import NoteError
from agent_guard.checkpoint.note import (
    MAX_SIGNATURES,
    Note,
    Signature,
    Verifier,
    check_ed25519,
    parse_note,
    parse_signatures,
)
from agent_guard.checkpoint.vkey import VerifierKey

MAX_TIME = 2**63 - 1

_LENGTH = 8 + 64


@dataclass(frozen=True, slots=True)
class CosignatureVerifier(VerifierKey):
    """A witness's key. `str` gives its vkey, `parse` reads one."""

    KIND = vkey.COSIGNATURE

    def verify(self, text: str, signature: Signature) -> None:
        """Raises `NoteError` unless `signature` is this key's cosignature of the checkpoint `text`."""
        message = _message(text, time_of(signature))
        check_ed25519(self.name, self.public_key, signature.value[8:], message)


class Cosigner:
    """A witness's private key under its name. Keeps the key; gives out cosignatures and the public half.

    The signed message does not name the cosigner: use the key under this one name, and for nothing else.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = CosignatureVerifier(name, key.public_key().public_bytes_raw())

    def sign(self, text: str, time: int) -> Signature:
        """The cosignature of a checkpoint's text at `time` (unix seconds); `NoteError` if it is no checkpoint."""
        parse_body(text)
        if type(time) is not int or not 0 <= time <= MAX_TIME:
            raise NoteError("a cosignature's time is an integer from 0 to 2^63 - 1")
        value = time.to_bytes(8, "big") + self._key.sign(_message(text, time))
        return Signature(self.verifier.name, self.verifier.key_id, value)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """That a witness vouched for a checkpoint at `time`, in unix seconds."""

    witness: CosignatureVerifier
    time: int


def parse_verifier(text: str) -> Verifier | CosignatureVerifier:
    """The key of a vkey of either kind; `NoteError` for other types."""
    cosigns = vkey.kind_of(text) == vkey.COSIGNATURE
    return CosignatureVerifier.parse(text) if cosigns else Verifier.parse(text)


def cosignatures(note: str, witnesses: Sequence[CosignatureVerifier]) -> tuple[Cosignature, ...]:
    """Which of `witnesses` have cosigned the note, in their order, each with its newest time; perhaps none.

    Raises `NoteError` if a cosignature of one of them is wrong, or it is no note.
    """
    parsed = parse_note(note)
    newest = _newest(parsed.text, parsed.signatures, witnesses)
    return tuple(Cosignature(one, time_of(newest[one])) for one in witnesses if one in newest)


def merge_cosignatures(note: str, lines: str, witnesses: Sequence[CosignatureVerifier]) -> str:
    """The note with the cosignatures that `lines`, a witness's answer, brings of `witnesses`.

    Each is verified; of one key only the newest is kept; lines of other keys are left out, and what the note held of
    other keys stays as it was.

    Raises:
        NoteError: `lines` are no signature lines or hold none of `witnesses`, one of theirs is wrong, or the note
            would have too many.
    """
    parsed = parse_note(note)
    brought = parse_signatures(lines)
    if not _newest(parsed.text, brought, witnesses):
        raise NoteError("there is no cosignature of the witness in its answer")
    newest = _newest(parsed.text, (*parsed.signatures, *brought), witnesses)
    known = {(one.name, one.key_id) for one in witnesses}
    kept = [one for one in parsed.signatures if (one.name, one.key_id) not in known]
    if len(kept) + len(newest) > MAX_SIGNATURES:
        raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")
    return str(Note(parsed.text, (*kept, *newest.values())))


def _newest(
    text: str, signatures: Iterable[Signature], witnesses: Sequence[CosignatureVerifier]
) -> dict[CosignatureVerifier, Signature]:
    """Of each witness its newest cosignature; all of them verified."""
    known = {(one.name, one.key_id): one for one in witnesses}
    found: dict[CosignatureVerifier, Signature] = {}
    for signature in dict.fromkeys(signatures):
        witness = known.get((signature.name, signature.key_id))
        if witness is None:
            continue
        witness.verify(text, signature)
        if witness not in found or time_of(found[witness]) < time_of(signature):
            found[witness] = signature
    return found


def time_of(signature: Signature) -> int:
    """The time that a cosignature claims, in unix seconds, nothing verified; `NoteError` if it can't be one."""
    if len(signature.value) != _LENGTH:
        raise NoteError(f"a cosignature of {signature.name} has not {_LENGTH} bytes")
    time = int.from_bytes(signature.value[:8], "big")
    if time > MAX_TIME:
        raise NoteError(f"the time of a cosignature of {signature.name} is beyond 2^63 - 1")
    return time


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
