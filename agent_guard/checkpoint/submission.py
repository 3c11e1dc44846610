"""What a log sends to a witness: the body of `add-checkpoint` (C2SP `tlog-witness`).

    old <size>
    <consistency proof from that size, one hash in base64 a line, at most 63>
    <empty line>
    <signed note of the checkpoint>

Guarantees: one spelling; nothing is taken apart before its length is bounded. Checks no signature and no proof.
"""

import re
from dataclasses import dataclass

from agent_guard.checkpoint.body import Checkpoint, parse_body
from agent_guard.checkpoint.form import NoteError, from_base64, to_base64
from agent_guard.checkpoint.note import parse_note
from agent_guard.merkle import MAX_SIZE

MAX_PROOF = 63
MAX_SUBMISSION = 256 * 1024
"""Bytes: a proof, and a note with some thirty post-quantum signatures."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed `note` and a proof (32-byte hashes, RFC 6962 section 2.1.2) that its tree extends that of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        """The request's body. `parse_submission` reads it back."""
        return "".join(
            [f"old {self.old_size}\n", *(to_base64(node) + "\n" for node in self.proof), "\n", self.note]
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that the note claims; `NoteError` if it carries none."""
        return parse_body(parse_note(self.note).text)


def parse_submission(body: bytes) -> Submission:
    """The submission that `body` spells, with a checkpoint in its note; else `NoteError`."""
    if len(body) > MAX_SUBMISSION:
        raise NoteError(f"a submission has at most {MAX_SUBMISSION} bytes")
    try:
        head, blank, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise NoteError(f"a submission is UTF-8, and byte {error.start} is not") from error
    if not blank or head.count("\n") > MAX_PROOF:
        raise NoteError(f"a submission is a line, at most {MAX_PROOF} hashes, an empty line and a checkpoint")
    old, *proof = head.split("\n")
    found = _OLD.fullmatch(old)
    if found is None or int(found[1]) > MAX_SIZE:
        raise NoteError("the first line is `old` and a size below 2^63, in decimal without leading zeros")
    submission = Submission(int(found[1]), tuple(map(_hash, proof)), note)
    _ = submission.checkpoint
    return submission


def _hash(line: str) -> bytes:
    node = from_base64(line, "a line of the proof")
    if len(node) != 32:
        raise NoteError("a line of the proof holds a hash of 32 bytes")
    return node
