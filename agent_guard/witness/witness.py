"""The witness itself: from the bytes of a request to an answer that is durable before it is given.

Steps, each of which ends it if it fails: the request has the one form (400) · its origin is a log that we know (404) ·
one of that log's keys has signed it, and no signature of theirs is wrong (403) · in one turn at the memory: it goes on
from what was cosigned last (400, 409, 422; `decision.py`) · where a chain is asked, it is the head there (422, 503) ·
it is cosigned and kept · the turn ends, on disk (200). Whatever fails in a turn leaves the memory as it was, and no
cosignature gets out.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from agent_guard.checkpoint import (
    Checkpoint,
    Cosigner,
    Note,
    NoteError,
    Submission,
    Verifier,
    open_note,
    parse_submission,
)
from agent_guard.store.ledger import Cosigned, Fork, Ledger, Turn
from agent_guard.types import Head
from agent_guard.witness.decision import Answer, contradicts, is_fork, refusal, unanchored

logger = logging.getLogger(__name__)


def trusted_logs(keys: Sequence[Verifier]) -> Mapping[str, tuple[Verifier, ...]]:
    """The keys by the origin that each may sign for: its own name. A log may have several keys."""
    logs: dict[str, tuple[Verifier, ...]] = defaultdict(tuple)
    for key in dict.fromkeys(keys):
        logs[key.name] += (key,)
    return dict(logs)


class Witness:
    """Cosigns checkpoints of the logs it knows.

    Args:
        logs: each log's keys, by origin.
        cosigner: the witness's own key.
        ledger: its memory, which no witness with another key may share.
        on_chain: gives the head on chain of the log with an origin; then nothing but that head is cosigned. Raises
            AG2xx. None: no chain is asked.
        now: unix seconds. Should this clock go back, cosignatures of a log keep the last time rather than go back too.
    """

    def __init__(
        self,
        logs: Mapping[str, tuple[Verifier, ...]],
        cosigner: Cosigner,
        ledger: Ledger,
        now: Callable[[], int],
        on_chain: Callable[[str], Checkpoint] | None = None,
    ) -> None:
        self._logs, self._cosigner, self._ledger, self._now = logs, cosigner, ledger, now
        self._on_chain = on_chain

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answers one request; may be called from any thread.

        Raises:
            GuardError: AG562 the memory failed, AG2xx the chain can't be read; nothing was cosigned.
        """
        try:
            submission = parse_submission(body)
            checkpoint = submission.checkpoint
        except NoteError as error:
            return Answer(400, f"{error}\n")
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return Answer(404, "this witness does not know the log\n")
        try:
            signed = open_note(submission.note, keys)
        except NoteError as error:
            return Answer(403, f"{error}\n")
        held = self._on_chain(checkpoint.origin) if self._on_chain else None
        with self._ledger.turn() as turn:
            return self._judge(turn, submission, checkpoint, signed, held)

    def _judge(
        self,
        turn: Turn,
        submission: Submission,
        checkpoint: Checkpoint,
        signed: Note,
        held: Checkpoint | None,
    ) -> Answer:
        latest = turn.latest(checkpoint.origin)
        head = Head(latest.size, latest.root) if latest else None
        if latest is not None and is_fork(checkpoint, head):
            self._keep_fork(turn, checkpoint, latest.note, signed)
        if held is not None and contradicts(checkpoint, held):
            self._keep_fork(turn, checkpoint, str(held), signed)
        refused = refusal(submission.old_size, submission.proof, checkpoint, head)
        if refused is None and held is not None:
            refused = unanchored(checkpoint, held)
        if refused is not None:
            return refused
        time = max(self._now(), latest.time if latest else 0)
        cosignature = self._cosigner.sign(signed.text, time)
        note = str(Note(signed.text, (*signed.signatures, cosignature)))
        turn.keep(Cosigned(checkpoint.origin, checkpoint.size, checkpoint.root, note, time))
        return Answer(200, f"{cosignature}\n")

    def _keep_fork(self, turn: Turn, checkpoint: Checkpoint, ours: str, signed: Note) -> None:
        fork = Fork(checkpoint.origin, checkpoint.size, ours, str(signed), self._now())
        if turn.keep_fork(fork, checkpoint.root):
            logger.error("%s has two roots of %d entries; both are kept", fork.origin, fork.size)
