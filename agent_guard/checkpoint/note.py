"""C2SP signed notes, signed with Ed25519 (type 0x01) and with what else a caller's verifiers know (`cosignature`).

Guarantees of `open_note`, in this order:
  1. the note has the one form that the specification gives it, within our bounds;
  2. signatures of keys that the caller did not name are left aside, whatever they hold;
  3. every signature of a named key (name and key id) verifies over the text, or the whole note is refused;
  4. at least one does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent_guard.checkpoint import vkey
from agent_guard.checkpoint.body import Checkpoint, parse_body
from agent_guard.checkpoint.form import (
    NoteError,
    check_characters,
    check_name,
    check_text,
    from_base64,
    to_base64,
)
from agent_guard.checkpoint.vkey import VerifierKey

MAX_NOTE = 1_000_000
"""Characters of a note: room for 100 post-quantum signatures."""
MAX_SIGNATURES = 100
"""C2SP asks for 16 or more."""

_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name, the 4-byte key id, and what follows it (64 bytes if Ed25519)."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        """The line without its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.value)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, ending in a newline, and its signatures; of `open_note` only those that were verified."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n" + "".join(f"{signature}\n" for signature in self.signatures)


class NoteVerifier(Protocol):
    """A public key under a name, of any type, that knows its own signatures (`Verifier`, `CosignatureVerifier`)."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...
    def verify(self, text: str, signature: Signature) -> None:
        """Raises `NoteError` unless `signature` is this key's over `text`."""


@dataclass(frozen=True, slots=True)
class Verifier(VerifierKey):
    """A key that signs notes. `str` gives its vkey, `parse` reads one."""

    KIND = vkey.NOTE

    def verify(self, text: str, signature: Signature) -> None:
        """Raises `NoteError` unless `signature` is this key's over `text`."""
        check_ed25519(self.name, self.public_key, signature.value, text.encode())


def check_ed25519(name: str, public_key: bytes, signature: bytes, message: bytes) -> None:
    """RFC 8032. Raises `NoteError`, which names the key, unless it is its signature over the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NoteError(f"the signature of {name} does not verify") from error


class Signer:
    """An Ed25519 private key under a name. Keeps the key; gives out signatures and the public half."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """The signature over a note's text."""
        return Signature(self.verifier.name, self.verifier.key_id, self._key.sign(text.encode()))


def sign_note(text: str, signers: Sequence[Signer]) -> str:
    """The signed note. `text` is not empty and ends in a newline; at least one signer, else `NoteError`."""
    check_characters(text)
    if not text.endswith("\n") or not signers:
        raise NoteError("a note is text that ends in a newline, and at least one signature")
    return str(Note(text, tuple(signer.sign(text) for signer in signers)))


def parse_note(note: str) -> Note:
    """A note's text and all its signatures, none of them checked; `NoteError` if it has not the form of a note."""
    check_text(note, "a note")
    if len(note) > MAX_NOTE:
        raise NoteError(f"a note has at most {MAX_NOTE} characters")
    check_characters(note)
    text, blank, tail = note.rpartition("\n\n")
    if not blank:
        raise NoteError("a note is text, an empty line, and signature lines")
    return Note(text + "\n", parse_signatures(tail))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Signature lines alone, each ended by a newline, none of them checked; `NoteError` for other text or too many."""
    check_text(lines, "a signature line")
    if len(lines) > MAX_NOTE:
        raise NoteError(f"a note has at most {MAX_NOTE} characters")
    check_characters(lines)
    *found, end = lines.split("\n")
    if end or not found:
        raise NoteError("signatures are lines, each ended by a newline, and at least one")
    if len(found) > MAX_SIGNATURES:
        raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")
    return tuple(map(_parse_signature, found))


def open_note(note: str, verifiers: Sequence[NoteVerifier]) -> Note:
    """The note with the signatures of `verifiers` alone, each verified and named once; else `NoteError`."""
    parsed = parse_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    if len(known) != len(set(verifiers)):
        raise NoteError("two verifier keys share a name and a key id")
    ours = [found for found in parsed.signatures if (found.name, found.key_id) in known]
    for signature in ours:
        known[signature.name, signature.key_id].verify(parsed.text, signature)
    if not ours:
        raise NoteError("the note is not signed by any of the keys that were asked for")
    return Note(parsed.text, tuple(dict.fromkeys(ours)))


def open_checkpoint(note: str, verifiers: Sequence[Verifier], origin: str) -> Checkpoint:
    """The checkpoint of a signed note that `open_note` accepts and that is of this log; else `NoteError`.

    Takes keys of the log alone: a witness's word about a log does not replace the log's own (`cosignatures` reads it).
    """
    checkpoint = parse_body(open_note(note, verifiers).text)
    if checkpoint.origin != origin:
        raise NoteError(f"the checkpoint is of another log than {origin}")
    return checkpoint


def parse(text: str) -> Checkpoint:
    """The checkpoint of a note's text, or of a whole signed note; `NoteError` if it is not in its only spelling.

    Checks no signature, so that what it returns is a claim: to trust a signed note use `open_checkpoint`.
    """
    check_text(text, "a checkpoint")
    return parse_body(parse_note(text).text if "\n\n" in text else text)


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteError("a signature line is an em dash, a name and base64, with a space between")
    check_name(name)
    data = from_base64(encoded, "a signature")
    if len(data) < 5:
        raise NoteError("a signature has a key id of 4 bytes and at least one byte more")
    return Signature(name, data[:4], data[4:])
