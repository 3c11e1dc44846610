"""One entry's inclusion proof with the signed head that it leads to, in one file (C2SP `tlog-proof`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_guard.checkpoint import Checkpoint, NoteError, Verifier, open_checkpoint, parse, parse_note
from agent_guard.checkpoint.form import from_base64, to_base64
from agent_guard.merkle import verify_inclusion
from agent_guard.tlog.form import FormatError, parse_number

HEADING = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
MAX_EXTRA = 4 << 20
"""Bytes of extra data: room for the content of an entry (1 MiB) and a proof of the chain's state."""
MAX_PROOF = MAX_EXTRA * 4 // 3 + 1_100_000
"""Characters of a proof: the extra data in base64, and a note."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof as it lies in a file: nothing of it is checked but its form.

    Args:
        index: of the entry in the log, from 0.
        hashes: RFC 6962 inclusion proof, 32 bytes each, the leaf's sibling first.
        note: the signed checkpoint, verbatim.
        extra: opaque bytes that nothing authenticates (what they hold must be checked by itself), or None.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    def __str__(self) -> str:
        """The file's text. `parse_proof` reads it back."""
        lines = [HEADING]
        if self.extra is not None:
            lines.append(f"extra {to_base64(self.extra)}")
        lines += [f"index {self.index}", *map(to_base64, self.hashes), "", self.note]
        return "\n".join(lines)

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note claims; its signatures are not checked here. Raises `NoteError`."""
        return parse(parse_note(self.note).text)

    def verify(self, leaf_hash: bytes, verifiers: Sequence[Verifier], origin: str) -> Checkpoint:
        """The checkpoint, signed by one of `verifiers` and of the log `origin`, that holds the leaf at `index`.

        Raises:
            NoteError: no such signature, or another log. merkle.ProofError: the proof does not lead to the root.
        """
        checkpoint = open_checkpoint(self.note, verifiers, origin)
        verify_inclusion(leaf_hash, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


def parse_proof(text: str) -> TlogProof:
    """The proof of a file's text, in its only spelling; else `FormatError`."""
    if len(text) > MAX_PROOF:
        raise FormatError(f"a proof has at most {MAX_PROOF} characters")
    head, blank, note = text.partition("\n\n")
    heading, *lines = head.split(
        "\n", MAX_HASHES + 3
    )  # heading, extra data, index: the rest stays one bad hash
    if heading != HEADING or not blank:
        raise FormatError(f"a proof begins with the line {HEADING} and ends with a signed checkpoint")
    try:
        extra = _extra(lines)
        index = _index(lines)
        hashes = tuple(from_base64(line, "a hash of the proof") for line in lines[: MAX_HASHES + 1])
        proof = TlogProof(index, hashes, note, extra)
        proof.checkpoint  # noqa: B018 - refuses a note that holds none
    except NoteError as error:
        raise FormatError(str(error)) from error
    if len(hashes) > MAX_HASHES or any(len(value) != 32 for value in hashes):
        raise FormatError(f"a proof has at most {MAX_HASHES} hashes of 32 bytes")
    if extra is not None and len(extra) > MAX_EXTRA:
        raise FormatError(f"the extra data has at most {MAX_EXTRA} bytes")
    return proof


def _extra(lines: list[str]) -> bytes | None:
    """Takes the line off that may come first."""
    if not lines or not lines[0].startswith("extra "):
        return None
    return from_base64(lines.pop(0).removeprefix("extra "), "the extra data")


def _index(lines: list[str]) -> int:
    """Takes the line off that must come next."""
    if not lines or not lines[0].startswith("index "):
        raise FormatError("a proof names the index of its entry: index <number>")
    return parse_number(lines.pop(0).removeprefix("index "), "the index")
