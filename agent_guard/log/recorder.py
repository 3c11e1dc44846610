"""The one writer of the log: gives every entry its place and answers only when it is on disk.

Guarantees: a future resolves after the COMMIT that made its entry durable, never before; indices and the counters of
each agent have no gaps; all callers that wait at the same time share one fsync. A store whose server is out of reach
(AG551) is asked again with the same rows, for a bounded time, and what waits is kept meanwhile (`trouble`); after any
other failure nothing more is recorded (fail closed) until the guard is started again. `append` never blocks on the
disk, so that a kill never waits for the log.

Trusts the store to be durable, the caller to say the truth in an entry, and the block it is handed.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any, TypeVar

from agent_guard.entry import SALT_SIZE, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.log.batch import Appended, Batch, Request, to_request, unfit
from agent_guard.log.tree import frontier_at
from agent_guard.store import Row, Store
from agent_guard.types import Block, Head

__all__ = ["Appended", "Patience", "QueueLimits", "Recorder"]

Done = TypeVar("Done")

BATCH = 1024
"""Most entries in one transaction."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for the disk at once; more is refused (AG520). One batch besides may be in the writer's hand."""

    entries: int = 8192
    bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server that is out of reach is asked again: seconds in all, between two tries at first, at most."""

    seconds: float = 600.0
    pause: float = 0.25
    longest: float = 5.0


OUT_OF_REACH = "AG551"


class Recorder:
    """Writes entries of all agents, from any thread, through one thread of its own.

    Args:
        store: the log's store. Nobody else appends to it.
        block: the newest block that the guard has read, None before the first.
        on_appended: called on the writer's thread after each commit, before the answers, with the log's size and the
            index of the first entry that must be anchored at once (None if there is none). Must not block.
        now_ms: unix milliseconds.
        salt: 32 random bytes.
        limits: what may wait at once.
        patience: with a store's server, by `clock` (monotonic seconds).

    Raises:
        GuardError: what the store raises when it can't be read.
    """

    def __init__(
        self,
        store: Store,
        block: Callable[[], Block | None],
        on_appended: Callable[[int, int | None], None] = lambda size, critical: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        salt: Callable[[], bytes] = lambda: token_bytes(SALT_SIZE),
        limits: QueueLimits = QueueLimits(),
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._block, self._on_appended = store, block, on_appended
        self._now_ms, self._salt, self._limits, self._patience = now_ms, salt, limits, patience
        self._clock = clock
        self._reader = store.reader()
        self._counters = self._reader.counters()
        self._frontier = frontier_at(self._reader, store.size)
        self._tree = threading.Lock()  # guards _frontier
        self._changed = threading.Condition()  # guards the four below
        self._queue: deque[Request] = deque()
        self._queued_bytes = 0
        self._closed = False
        self._failed: GuardError | None = None
        self._trouble: GuardError | None = None
        self._in_hand: list[Request] = []  # the writer's alone
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def append(
        self,
        agent: str | None,
        kind: Kind | str,
        content: Any,
        *,
        refers_to: int | None = None,
        idempotency_key: str | None = None,
        critical: bool = False,
        meta: Mapping[str, int | bool | str] | None = None,
        block: Block | None = None,
    ) -> Future[Appended]:
        """Hands an entry over; the future resolves when it is durable.

        Args:
            agent: the agent's name; None for what concerns all agents of this guard.
            content: a JSON value; only its salted hash stands in the entry.
            refers_to: index of the entry that this one answers.
            idempotency_key: the same agent's later entry with the same key is not written: its future gives the
                first one's place as a duplicate, and as a conflict if it is not the same entry.
            critical: anchor it at once. Halts and deaths always are.
            meta: public numbers and words of the guard's own (see `agent_guard.entry`).
            block: the block on which the decision rests; without it the newest one that the guard has read.

        Raises:
            GuardError: AG520 too much waits already, AG521 closed or failed before, AG523 no entry can hold this. The
                future raises AG523 or what the store raised.
        """
        request = to_request(
            agent, kind, content, refers_to, meta, idempotency_key, block or self._block(), critical
        )
        with self._changed:
            self._check_room(len(request.content))
            self._queue.append(request)
            self._queued_bytes += len(request.content)
            self._changed.notify()
        return request.done

    @property
    def failed(self) -> GuardError | None:
        """Why nothing is recorded any more, None while all is well."""
        return self._failed

    @property
    def trouble(self) -> GuardError | None:
        """Why nothing can be recorded at the moment, while the store's server is asked again; None if it can."""
        return self._trouble

    def head(self) -> Head:
        """The head of what is durable; not necessarily anchored."""
        with self._tree:
            return Head(self._frontier.size, self._frontier.root())

    def close(self, timeout: float = 10.0) -> None:
        """Takes nothing more, writes what waits (for at most `timeout` seconds) and ends the thread.

        A server that is out of reach is asked once more.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._reader.close()

    def _check_room(self, size: int) -> None:
        if self._failed is not None:
            raise _refusing(self._failed.message) from self._failed
        if self._closed:
            raise _refusing("the recorder was closed")
        if len(self._queue) >= self._limits.entries or self._queued_bytes + size > self._limits.bytes:
            raise GuardError(
                "AG520",
                f"{len(self._queue)} entries ({self._queued_bytes} bytes) wait for the disk already."
                " This one was not recorded.",
                "Wait a moment and try again; if it persists, the disk is too slow for these agents.",
            )

    def _run(self) -> None:
        try:
            while self._take():
                self._write()
        except GuardError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - halts: nothing is recorded after what nobody foresaw
            self._fail(_refusing(f"the recorder failed unexpectedly ({error!r})"))

    def _take(self) -> bool:
        """Waits for requests and takes all that are there, up to a batch; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
            self._queued_bytes -= sum(len(request.content) for request in taken)
        # From here on a future can't be cancelled any more: what is written is also answered.
        self._in_hand = [request for request in taken if request.done.set_running_or_notify_cancel()]
        return bool(taken)

    def _write(self) -> None:
        batch = self._when_in_reach(self._place_all)
        if batch.rows:
            self._when_in_reach(lambda: self._store.append(batch.rows))
            self._counters.update(batch.counters)
            with self._tree:
                self._frontier.extend(row.leaf for row in batch.rows)
            # Before the answers: who has his answer and then asks for an anchor must find his entry waiting for it.
            self._on_appended(self._store.size, batch.critical)
        self._in_hand = []
        for done, appended in batch.placed:
            done.set_result(appended)

    def _when_in_reach(self, work: Callable[[], Done]) -> Done:
        """Does some work with the store, and again while its server is out of reach: the same, so that it is done once.

        Raises what the store raises; AG551 once the patience is over, or the recorder was closed.
        """
        deadline, pause = self._clock() + self._patience.seconds, self._patience.pause
        while True:
            last = self._closed or self._clock() >= deadline
            try:
                done = work()
            except GuardError as error:
                if last or error.code != OUT_OF_REACH:
                    raise
                self._trouble = error
            else:
                self._trouble = None
                return done
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause)
            pause = min(2 * pause, self._patience.longest)

    def _place_all(self) -> Batch:
        batch = Batch(self._store.size, self._counters)
        for request in self._in_hand:
            if not request.done.done():  # else it made no entry, which was found out at an earlier try
                self._place(request, batch)
        return batch

    def _place(self, request: Request, batch: Batch) -> None:
        """Gives one request its row, its earlier entry, or its error. A failing store fails the whole batch."""
        if earlier := self._earlier(request, batch):
            batch.repeat(request, earlier)
            return
        try:
            batch.add(request, self._now_ms(), self._salt())
        except MalformedEntry as error:
            request.done.set_exception(unfit(str(error)))

    def _earlier(self, request: Request, batch: Batch) -> Row | None:
        """The entry that stands, or is about to, under this request's key."""
        if request.key is None:
            return None
        if row := batch.keys.get((request.agent, request.key)):
            return row
        index = self._reader.index_of_key(request.agent, request.key)
        return None if index is None else self._reader.row(index)

    def _fail(self, error: GuardError) -> None:
        with self._changed:
            self._failed, self._trouble = error, None
            waiting = [*self._in_hand, *self._queue]
            self._queue.clear()
            self._queued_bytes = 0
        for request in waiting:
            # One in the queue may have been cancelled; one in hand may have its answer.
            if request.done.running() or (
                not request.done.done() and request.done.set_running_or_notify_cancel()
            ):
                request.done.set_exception(error)


def _refusing(why: str) -> GuardError:
    return GuardError(
        "AG521",
        f"Nothing more is recorded: {why.rstrip('.')}.",
        "Put right what the message names, then start the guard again.",
    )
