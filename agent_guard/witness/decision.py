"""What a signed submission deserves, given what was cosigned before. Pure; asks nobody.

The order of the checks is that of C2SP `tlog-witness`: old size, root at one size, then the consistency proof.
"""

from dataclasses import dataclass

from agent_guard.checkpoint import Checkpoint
from agent_guard.merkle import EMPTY_ROOT, ProofError, verify_consistency_as_witness
from agent_guard.types import Head

TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, body and media type."""

    status: int
    body: str
    media_type: str = TEXT


def refusal(
    old_size: int, proof: tuple[bytes, ...], checkpoint: Checkpoint, latest: Head | None
) -> Answer | None:
    """Why the checkpoint is not cosigned, None if it may be.

    Args:
        old_size, proof: what the submission says it goes on from, and how it proves that.
        checkpoint: what the log has signed; its signature was verified.
        latest: the newest checkpoint cosigned for this log, None if there was none.
    """
    size, root = (latest.size, latest.root) if latest else (0, EMPTY_ROOT)
    if old_size > checkpoint.size:
        return Answer(400, f"the old size {old_size} is larger than the checkpoint's {checkpoint.size}\n")
    if old_size != size:
        return Answer(409, f"{size}\n", SIZE)
    if is_fork(checkpoint, latest):
        return Answer(409, f"another root of {size} entries was cosigned before; both are kept as evidence\n")
    try:
        verify_consistency_as_witness(size, checkpoint.size, root, checkpoint.root, proof)
    except ProofError as error:
        return Answer(422, f"{error}\n")
    return None


def unanchored(checkpoint: Checkpoint, held: Checkpoint) -> Answer | None:
    """Why a witness that reads the chain does not cosign, None if `held`, the log's head on chain, is this checkpoint.

    Of another size it may be a node that lags, or an anchor that just went through: 503, try again.
    """
    if contradicts(checkpoint, held):
        return Answer(422, f"the chain holds another root of {held.size} entries\n")
    if held.size != checkpoint.size:
        return Answer(503, f"the chain's head has {held.size} entries, as far as this witness's node knows\n")
    return None


def contradicts(checkpoint: Checkpoint, held: Checkpoint) -> bool:
    """Whether the log has signed another root than it anchored, for as many entries."""
    return held.size == checkpoint.size and held.root != checkpoint.root


def is_fork(checkpoint: Checkpoint, latest: Head | None) -> bool:
    """Whether the log has signed two roots of one size: what an honest log never does."""
    return latest is not None and latest.size == checkpoint.size and latest.root != checkpoint.root
