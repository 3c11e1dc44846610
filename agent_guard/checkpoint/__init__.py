"""Checkpoints of a log and the signed notes that carry them, in the formats of C2SP (`tlog-checkpoint`, `signed-note`).

Guarantees: `parse` takes one spelling per checkpoint; `open_note` and `open_checkpoint` return only what a key that the
caller named has signed, and refuse a note in which a named key's signature is wrong. Everything refused is a
`NoteError`. Trusts nobody; a checkpoint that was only parsed is a claim. Pure, without I/O.
"""

from agent_guard.checkpoint.body import Checkpoint, identity_of, log_origin
from agent_guard.checkpoint.form import NoteError
from agent_guard.checkpoint.note import (
    Note,
    Signature,
    Signer,
    Verifier,
    open_checkpoint,
    open_note,
    parse,
    parse_note,
    sign_note,
)

__all__ = [
    "Checkpoint",
    "Note",
    "NoteError",
    "Signature",
    "Signer",
    "Verifier",
    "identity_of",
    "log_origin",
    "open_checkpoint",
    "open_note",
    "parse",
    "parse_note",
    "sign_note",
]
