"""Has witnesses cosign each anchored head (C2SP `tlog-witness`, as a client), and keeps their cosignatures with it.

Guarantees: every witness has a thread of its own, so that a slow or lying one delays no other, and no anchoring, no
answer to an agent and no kill waits for any of them; what is kept was verified with the key that the settings name.
What remains to be done is told by the stored checkpoint alone, so that a crash needs no repair. Trusts the store, and
no witness: one that says that it knows another log of ours is told aloud, and stops nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent_guard.checkpoint import (
    CosignatureVerifier,
    NoteError,
    Submission,
    cosignatures,
    merge_cosignatures,
)
from agent_guard.errors import GuardError
from agent_guard.log.asking import Reply, ask, unasked
from agent_guard.log.tree import consistency
from agent_guard.merkle import MAX_SIZE, ProofError
from agent_guard.settings import WitnessAddress
from agent_guard.store import Reader, SavedCheckpoint, Store
from agent_guard.telemetry import WitnessReport

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RETRY_SECONDS, RETRY_MAX = 2.0, 300.0
LEAVE_SECONDS = 1.0
"""How long an idle witness's thread is waited for at the end, so that it has left the log when that is closed."""
ATTEMPTS = 3
"""Questions in a row about one head: the first, one more once the witness has said where it is, and one for a race."""
SIZE = "text/x.tlog.size"


class Cosigning:
    """All witnesses of one log.

    Args:
        store: the log; read here, and written only where checkpoints are kept.
        witnesses: perhaps none.
        ask: puts one question to a URL. Raises AG563.
        poll, retry: seconds between two looks for a newer head; after a first failure.
    """

    def __init__(
        self,
        store: Store,
        witnesses: Sequence[WitnessAddress],
        ask: Callable[[str, bytes], Reply] = ask,
        poll: float = POLL_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        notes = _Notes(store)
        self._notes = notes
        self._workers = [_Worker(notes, store, one, ask, poll, retry) for one in witnesses]

    def start(self, tell: Callable[[GuardError], None]) -> None:
        """Starts asking. `tell` hears of each new trouble once, on a witness's thread."""
        for worker in self._workers:
            worker.start(tell)

    def report(self) -> list[WitnessReport]:
        """Where each witness stands. Waits for nothing; any thread may ask."""
        return [worker.report() for worker in self._workers]

    def settle(self, timeout: float) -> None:
        """Returns once every witness has cosigned the newest head or is in trouble, else after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        rounds = [(worker, worker.hurry()) for worker in self._workers]
        for worker, asked in rounds:
            worker.wait_for(asked, deadline - time.monotonic())

    def close(self) -> None:
        """Ends the asking. A question under way is not waited for; nothing that it brings is written any more."""
        self._notes.close()
        for worker in self._workers:
            worker.close()


class _Notes:
    """Writes cosignatures into stored checkpoints, one at a time, as long as the store is open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def add(self, size: int, root: bytes, lines: str, key: CosignatureVerifier) -> None:
        """Raises `NoteError` if the lines bring nothing, AG51x if the store failed."""
        with self._lock, self._store.reader() as reader:
            saved = reader.checkpoint_at_most(size)
            if self._closed or saved is None or (saved.size, saved.root) != (size, root):
                return
            note = merge_cosignatures(saved.note, lines, [key])
            if note != saved.note:
                # No transaction is named: the anchoring may have written a newer one meanwhile, which stays.
                self._store.save_checkpoint(replace(saved, note=note, tx=None))


class _Worker:
    """One witness, on its thread."""

    def __init__(
        self,
        notes: _Notes,
        store: Store,
        witness: WitnessAddress,
        ask: Callable[[str, bytes], Reply],
        poll: float,
        retry: float,
    ) -> None:
        self._notes, self._witness, self._ask = notes, witness, ask
        self._poll, self._retry = poll, retry
        self._store = store
        self._tell: Callable[[GuardError], None] = lambda error: None
        # The thread's alone, these three; _known: the size that the witness was at when it last said so.
        self._known = 0
        self._failures = 0
        self._reader: Reader | None = None
        self._changed = threading.Condition()  # guards what follows
        self._rounds, self._busy, self._hurried, self._closed = 0, True, False, False
        self._cosigned = False
        self._trouble: GuardError | None = None
        self._thread = threading.Thread(target=self._run, name=f"witness {witness.key.name}", daemon=True)

    def start(self, tell: Callable[[GuardError], None]) -> None:
        self._tell = tell
        self._thread.start()

    def report(self) -> WitnessReport:
        with self._changed:
            trouble = self._trouble
            contradicts = trouble is not None and trouble.code == "AG564"
            message = None if trouble is None else trouble.message
            return WitnessReport(self._witness.key.name, self._cosigned, message, contradicts)

    def hurry(self) -> int:
        """Has the next round come at once, unless the witness is in trouble; the number of the round to wait for."""
        with self._changed:
            if self._trouble is not None or not self._thread.is_alive():
                return 0
            self._hurried = True
            self._changed.notify_all()
            # One that is under way may not have seen the newest head.
            return self._rounds + (2 if self._busy else 1)

    def wait_for(self, asked: int, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._rounds >= asked or self._trouble, max(0.0, timeout))

    def close(self) -> None:
        with self._changed:
            self._closed, idle = True, not self._busy
            self._changed.notify_all()
        if idle and self._thread.is_alive():
            self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while True:
            error = self._round()
            with self._changed:
                news = error is not None and (self._trouble is None or self._trouble.code != error.code)
                self._trouble, self._cosigned = error, error is None and self._cosigned
                self._failures = 0 if error is None else min(self._failures + 1, 16)
                self._rounds, self._busy = self._rounds + 1, False
                self._changed.notify_all()
            if error is not None:
                self._leave_log()
                if news:
                    self._say(error)
            if not self._goes_on():
                self._leave_log()
                return

    def _log(self) -> Reader:
        """One connection for all rounds, as long as they go well."""
        if self._reader is None:
            self._reader = self._store.reader()
        return self._reader

    def _leave_log(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _goes_on(self) -> bool:
        """Waits until the next round is due; False once closed."""
        pause = self._poll if not self._failures else min(self._retry * 2 ** (self._failures - 1), RETRY_MAX)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._hurried, pause)
            self._hurried, self._busy = False, True
            return not self._closed

    def _round(self) -> GuardError | None:
        """Asks if the newest anchored head lacks this witness's cosignature; what went wrong, None if nothing did."""
        try:
            saved = self._log().checkpoint_at_most(MAX_SIZE)
            cosigned = saved is None or saved.size == 0 or bool(cosignatures(saved.note, [self._witness.key]))
            if not cosigned and saved is not None:
                self._cosigned = False
                self._obtain(saved)
            self._cosigned = saved is not None and saved.size > 0
        except GuardError as error:
            return error
        except (NoteError, ProofError) as error:
            return unasked(str(error))
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must not end the asking: tried again later
            return unasked(f"unexpectedly, {type(error).__name__}: {error}")
        return None

    def _obtain(self, saved: SavedCheckpoint) -> None:
        """Asks for a cosignature of this head, and keeps it.

        Raises:
            GuardError: AG563 none was given, AG564 the witness knows another log, AG51x the store failed.
            NoteError, ProofError: the answer, or the stored checkpoint, is not what it should be.
        """
        key, old = self._witness.key, min(self._known, saved.size)
        for _ in range(ATTEMPTS):
            submission = Submission(old, consistency(self._log(), old, saved), saved.note)
            self._leave_log()  # the answer may take long, and whoever closes the log should be the last to hold it
            reply = self._ask(self._witness.url, str(submission).encode())
            if reply.status == 200:
                self._notes.add(saved.size, saved.root, _text(reply), key)
                self._known = saved.size
                return
            known = _size_of(reply)
            if _contradicts(reply, known, old, saved.size):
                raise _contradicted(key.name, known, saved.size)
            if known is None or known == old:
                raise unasked(f"it answered {reply.status}: {_text(reply)[:200].strip()!a}")
            self._known = old = known
        raise unasked("it names another size each time it is asked")

    def _say(self, error: GuardError) -> None:
        """Tells a new trouble, with the witness's name."""
        told = GuardError(error.code, f"{self._witness.key.name}: {error.message}", error.remedy)
        logger.log(logging.ERROR if error.code == "AG564" else logging.WARNING, "%s", told.message)
        self._tell(told)


def _text(reply: Reply) -> str:
    return reply.body.decode(errors="replace")


def _size_of(reply: Reply) -> int | None:
    """The size that a 409 says the witness is at, in its one spelling; None if it says none."""
    if reply.status != 409 or reply.media_type.partition(";")[0].strip().lower() != SIZE:
        return None
    digits = reply.body.removesuffix(b"\n")
    if not digits.isdigit() or len(digits) > 19 or str(int(digits)).encode() != digits:
        return None
    return int(digits)


def _contradicts(reply: Reply, known: int | None, old: int, size: int) -> bool:
    """Whether the answer means that the witness has cosigned what this log does not extend.

    It is further than this log; or at the same size, with another root; or it refuses a proof that we know to hold.
    """
    if known is not None and known > size:
        return True
    conflicts = reply.status == 409 and old == size and known in (None, size)
    return conflicts or (reply.status == 422 and old > 0)


def _contradicted(name: str, known: int | None, size: int) -> GuardError:
    what = f"a log of {known} entries" if known is not None and known > size else "other entries"
    return GuardError(
        "AG564",
        f"The witness has cosigned {what} under this log's key, and the newest anchored head has {size}. This log was"
        " rolled back or forked, or the witness lies. Nothing was changed.",
        f"Audit the log against the chain (agent-guard audit AGENT), and ask the operator of {name} for its evidence.",
    )
