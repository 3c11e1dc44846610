"""Erases an entry's content and salt on purpose and on record; the entry, its leaf and every proof stay.

Guarantees: the record, an entry of kind `erasure` of the same agent, is durable before anything is removed. So whoever
finds a content gone without a record knows that it was not done here, and a crash between the two leaves an order on
record that `finish` carries out. An entry has one record, however often its erasure is ordered: it bears the key
`erase:SEQ`, which no agent's request can. How soon the bytes are gone is the store's to say.

Trusts the caller to be allowed to: whoever may write the log may erase.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from dataclasses import dataclass

from agent_guard.entry import Entry, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.log.reading import recorded_erasure
from agent_guard.log.recorder import Recorder
from agent_guard.store import Reader, Row, Store
from agent_guard.store.rows import erasure_key
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET

MAX_REASON = 1_000
"""Characters."""
RECORD_SECONDS = 5.0
"""So long an order waits for its record to be durable."""
RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Erased:
    """The content of entry `index` is gone, and entry `record` says so; `repeated`: it said so before."""

    index: int
    record: int
    repeated: bool


class Eraser:
    """Erases in one log, from any thread, one order after the other.

    Args:
        warn: hears, on the thread that `start` makes, why what is on record can't be carried out yet.
    """

    def __init__(
        self, store: Store, recorder: Recorder, warn: Callable[[GuardError], None] = lambda error: None
    ) -> None:
        self._store, self._recorder, self._warn = store, recorder, warn
        self._turn = threading.Lock()
        self._due = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="erasing", daemon=True)

    def start(self) -> None:
        """Carries out, on a thread of its own, what is on record and not done, now and whenever an order failed."""
        self._due.set()
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Ends the thread; what it had not done is done at the next start."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def erase(self, agent: str | None, index: int, reason: str) -> Erased:
        """Records the erasure of an entry of this agent (None: of the guard's own), then carries it out.

        Raises:
            GuardError: AG101 no reason, AG540 no such entry of this agent, AG581 its content is gone without a record,
                AG520, AG521, AG523 it can't be recorded: nothing is erased then. AG582 it is on record, or may be, and
                not finished.
        """
        _check_reason(reason)
        with self._turn:
            self._check(FLEET if agent is None else agent_id(agent), index)
            record = self._recorder.append(
                agent,
                Kind.ERASURE,
                {"reason": reason},
                refers_to=index,
                idempotency_key=erasure_key(index),
            )
            try:
                appended = record.result(RECORD_SECONDS)
            except NotInTime as error:
                self._due.set()
                raise _unrecorded(index) from error
            try:
                self._store.erase(index)
            except GuardError as error:
                self._due.set()
                raise _unfinished(index, appended.index, error) from error
        return Erased(index, appended.index, appended.duplicate)

    def finish(self) -> int:
        """Carries out what is on record and not done; the number of contents that were still there.

        Raises:
            GuardError: what the store raises; it may be called again.
        """
        with self._turn:
            with self._store.reader() as reader:
                found = list(_targets(reader))
            left = [row_index for row_index, is_there in found if is_there]
            # Of the newest the bytes may still lie where the store wrote them before a crash.
            for index in left or [row_index for row_index, _ in found[-1:]]:
                self._store.erase(index)
        return len(left)

    def _check(self, agent: bytes, index: int) -> None:
        with self._store.reader() as reader:
            row = reader.row(index) if 0 <= index < 2**53 else None
            if row is None or row.agent != agent:
                raise _no_entry(index)
            if row.content is None and recorded_erasure(reader, row) is None:
                raise _gone(index)

    def _run(self) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            pause = RETRY_SECONDS
            if not self._due.is_set():
                continue
            self._due.clear()
            try:
                self.finish()
            except GuardError as error:
                self._due.set()
                self._warn(error)


def _targets(reader: Reader) -> Iterator[tuple[int, bool]]:
    """Of each erasure on record its entry's index, and whether the content is still there."""
    for record in reader.erasures():
        row = _target(reader, record)
        if row is not None:
            yield row.index, row.content is not None


def _target(reader: Reader, record: Row) -> Row | None:
    """The entry that a record names; None where it is another agent's (an audit says so)."""
    with suppress(MalformedEntry):
        named = Entry.decode(record.body).refers_to
        row = None if named is None else reader.row(named)
        if row is not None and row.agent == record.agent:
            return row
    return None


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON:
        raise GuardError(
            "AG101",
            f"A reason has 1 to {MAX_REASON} characters. Nothing was erased.",
            "Say why with --reason TEXT; it stands in the log, for whoever may read contents.",
        )


def _no_entry(index: int) -> GuardError:
    return GuardError(
        "AG540",
        f"The log has no entry {index} of this agent. Nothing was erased.",
        "See what there is with: agent-guard log list AGENT (--guard for the guard's own)",
    )


def _gone(index: int) -> GuardError:
    return GuardError(
        "AG581",
        f"The content of entry {index} is not there, and no erasure of it is on record. Nothing was recorded.",
        "Find out who took it; the log must not say afterwards that this command did. An audit says INDETERMINATE.",
    )


def _unrecorded(index: int) -> GuardError:
    return GuardError(
        "AG582",
        f"The erasure of entry {index} was not on record within {RECORD_SECONDS:g} s. Its content is still there.",
        "Run the command again; if the record has come by then, it is used.",
    )


def _unfinished(index: int, record: int, error: GuardError) -> GuardError:
    return GuardError(
        "AG582",
        f"The erasure of entry {index} is on record (entry {record}), and not finished: {error.message}",
        f"{error.remedy} The guard tries again by itself, now and at its next start; so does this command.",
    )
