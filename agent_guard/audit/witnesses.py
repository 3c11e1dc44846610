"""Which of the witnesses that somebody names have cosigned the head that an audit judged: a fact beside the verdict.

Guarantees: counts only cosignatures that verify, over a checkpoint of this very log, of the size and root that the
chain holds. A wrong signature under a named key refuses the whole note (C2SP `signed-note`), and then nobody's counts.
The verdict rests on the chain and does not change: a witness that was asked late, or never, says nothing against a log.
Trusts no witness: what one cosigned is its word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_guard.audit.facts import ChainFacts, Unreachable
from agent_guard.checkpoint import (
    Checkpoint,
    CosignatureVerifier,
    NoteError,
    cosignatures,
    log_origin,
    parse,
    parse_note,
)
from agent_guard.types import LogIdentity


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What witnesses say of a head.

    Args:
        size: its entries; 0 if no head was proven.
        times: each named witness and when it cosigned that head (unix seconds), None if it did not.
        doubt: why none of them could count, None if they could.
    """

    size: int
    times: tuple[tuple[str, int | None], ...]
    doubt: str | None = None

    @property
    def count(self) -> int:
        """How many of them have cosigned it."""
        return sum(time is not None for _, time in self.times)

    @property
    def detail(self) -> str:
        """All that in a line; empty if no witness was named."""
        if not self.times:
            return ""
        said = f"{self.count} of {len(self.times)} cosigned the head of {self.size} entries"
        return f"none could be counted: {self.doubt}" if self.doubt else said

    def as_dict(self) -> dict[str, Any]:
        """Its part of the JSON of `audit --json`."""
        counts = {"count": self.count, "total": len(self.times), "size": self.size, "detail": self.detail}
        return {
            "witnesses": [{"name": name, "cosigned_at": time} for name, time in self.times],
            "cosigned": counts if self.times else None,
        }


NOBODY = Cosigned(0, ())
"""No witness was named."""


def cosigned(
    witnesses: Sequence[CosignatureVerifier],
    note: str | None,
    identity: LogIdentity,
    size: int,
    root: bytes | None,
) -> Cosigned:
    """Which of `witnesses` have cosigned a head.

    Args:
        note: the checkpoint of that head as the log has it, a claim; None if it has none.
        identity: whose log it is.
        size, root: the head that was proven (32 bytes); None if none was.
    """
    nobody = tuple((one.name, None) for one in witnesses)
    if root is None:
        return Cosigned(0, nobody, "no head of the log was proven")
    if note is None:
        return Cosigned(size, nobody, f"the log has no checkpoint of the {size} entries that were proven")
    try:
        held = parse(parse_note(note).text)
        found = {one.witness: one.time for one in cosignatures(note, witnesses)}
    except NoteError as error:
        return Cosigned(size, nobody, f"the log's checkpoint is refused: {error}")
    if held != Checkpoint(log_origin(identity.chain_id, identity.council, identity.operator), size, root):
        return Cosigned(size, nobody, "the log's checkpoint is of another head than the one that was proven")
    return Cosigned(size, tuple((one.name, found.get(one)) for one in witnesses))


def root_on_chain(facts: ChainFacts | Unreachable, size: int) -> bytes | None:
    """The root (32 bytes) that the contract holds, or held, for `size` entries of the log; None if it held none."""
    if isinstance(facts, Unreachable) or size == 0:
        return None
    if facts.head.size == size:
        return facts.head.root
    return next((one.root for one in facts.extensions if one.new_size == size), None)
