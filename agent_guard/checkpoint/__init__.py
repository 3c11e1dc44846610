"""Checkpoints of a log, the signed notes that carry them, and cosignatures of witnesses, in the formats of C2SP
(`tlog-checkpoint`, `signed-note`, `tlog-cosignature` with Ed25519, and the request of `tlog-witness`).

Guarantees: `parse` takes one spelling per checkpoint; `open_note` and `open_checkpoint` return only what a key that the
caller named has signed, and refuse a note in which a named key's signature is wrong; a log's keys and witnesses' keys
may be named side by side. ML-DSA-44 cosignatures (type 0x06) are unknown keys to us. Everything refused is a
`NoteError`. Trusts nobody; a checkpoint that was only parsed is a claim. Pure, without I/O.

Narrower than some readers, as `tests/vectors/README.md` lists: a root is 32 bytes, each signature of a named key must
verify (not only its first), and a public key of small order, for which anyone can sign, is no key.
"""

from agent_guard.checkpoint.body import Checkpoint, identity_of, log_origin
from agent_guard.checkpoint.cosignature import (
    Cosignature,
    CosignatureVerifier,
    Cosigner,
    cosignatures,
    merge_cosignatures,
    parse_verifier,
)
from agent_guard.checkpoint.form import NoteError
from agent_guard.checkpoint.note import (
    Note,
    NoteVerifier,
    Signature,
    Signer,
    Verifier,
    open_checkpoint,
    open_note,
    parse,
    parse_note,
    parse_signatures,
    sign_note,
)
from agent_guard.checkpoint.submission import MAX_SUBMISSION, Submission, parse_submission

__all__ = [
    "MAX_SUBMISSION",
    "Checkpoint",
    "Cosignature",
    "CosignatureVerifier",
    "Cosigner",
    "Note",
    "NoteError",
    "NoteVerifier",
    "Signature",
    "Signer",
    "Submission",
    "Verifier",
    "cosignatures",
    "identity_of",
    "log_origin",
    "merge_cosignatures",
    "open_checkpoint",
    "open_note",
    "parse",
    "parse_note",
    "parse_signatures",
    "parse_submission",
    "parse_verifier",
    "sign_note",
]
