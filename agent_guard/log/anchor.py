"""Puts the log's head on chain: by count, by age, and at once for what is critical.

Guarantees: only ever extends what the chain holds; where to go on is read from the chain before each attempt, so that
a crash, a lost answer or a reorg at any point is mended by simply trying again. Should the chain hold a head that is
not a prefix of this log, anchoring ends for good with AG530: two guards wrote with one key, or the log was rewritten
or restored from an old copy. Each head that was anchored is kept with its frontier and both signatures.

Trusts the chain's port for what it reads, and the store (it anchors what lies there). Anchoring may stall; no kill
waits for it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent_guard.entry import Entry, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.log.backlog import AnchorPolicy, Backlog, Step
from agent_guard.log.batch import ALWAYS_CRITICAL
from agent_guard.log.tree import frontier_at, range_nodes
from agent_guard.merkle import Frontier
from agent_guard.store import Reader, Row, SavedCheckpoint, Store
from agent_guard.types import Head

__all__ = ["Anchor", "AnchorPolicy", "ChainLog", "HeadSigner"]

DEFAULT_POLICY = AnchorPolicy()


class ChainLog(Protocol):
    """The operator's log on chain."""

    def head(self) -> Head:
        """The operator's head as it stands. Raises `GuardError` if it can't be read."""

    def extend(self, new_size: int, frontier: Sequence[bytes], nodes: Sequence[bytes]) -> str:
        """`ICouncil.extend`; returns the hash of the transaction once it is mined. Raises `GuardError` if it failed."""


@dataclass(frozen=True, slots=True)
class HeadSigner:
    """Signs heads of this log, each given as size and root.

    `note` gives a C2SP signed note of the checkpoint (Ed25519), `head` the operator's EIP-712 signature (65 bytes).
    """

    note: Callable[[int, bytes], str]
    head: Callable[[int, bytes], bytes]


class Anchor:
    """The anchoring loop of one log, on a thread of its own.

    Args:
        store: the log; read here, and written only where checkpoints are kept.
        chain: the operator's log on chain.
        sign: signs each head that was anchored.
        policy: when to anchor.
        on_failed: told once, on the loop's thread, when anchoring has ended for good.
        now_ms: unix milliseconds, to know how long entries waited before this process began.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        chain: ChainLog,
        sign: HeadSigner,
        policy: AnchorPolicy = DEFAULT_POLICY,
        on_failed: Callable[[GuardError], None] = lambda error: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._chain, self._sign, self._policy = store, chain, sign, policy
        self._on_failed, self._clock = on_failed, clock
        self._reader = store.reader()
        self._frontier = Frontier()  # the loop's alone: the tree of the chain's head as last read
        self._changed = threading.Condition()  # guards what follows
        self._backlog = _recall(self._reader, store.size, policy, clock() - now_ms() / 1000, clock())
        self._flush_to = 0
        self._next_try = float("-inf")
        self._next_check = float("-inf")
        self._retries = 0
        self._closed = False
        self._trouble: GuardError | None = None
        self._failed: GuardError | None = None
        self._thread = threading.Thread(target=self._run, name="anchor", daemon=True)

    def check(self) -> None:
        """Reads where the chain stands, before `start`. Raises AG530 if this log does not go on from there, AG201."""
        self._sync(self._chain.head())

    def start(self) -> None:
        """Starts the loop, which first reads where the chain stands."""
        self._thread.start()

    def wake(self, size: int, critical: int | None) -> None:
        """The recorder's `on_appended`: the log has `size` entries, and `critical` is one that must go at once."""
        with self._changed:
            self._backlog.grew(size, critical, self._clock())
            self._changed.notify_all()

    def lag(self) -> tuple[int, float]:
        """Entries that no anchor covers, and the age of the oldest in seconds."""
        with self._changed:
            return self._backlog.lag(self._clock())

    @property
    def failed(self) -> GuardError | None:
        """Why anchoring ended for good, None while it goes on. Whoever allows actions must then allow none."""
        return self._failed

    @property
    def trouble(self) -> GuardError | None:
        """What the last attempt met, None once one has succeeded."""
        return self._trouble

    def flush(self, timeout: float) -> None:
        """Returns when all that is in the log now is anchored.

        Raises:
            GuardError: AG531 if that took longer than `timeout` seconds; AG530 and AG532 if anchoring has ended.
        """
        with self._changed:
            wanted = self._backlog.size
            self._flush_to = max(self._flush_to, wanted)
            self._next_try = min(self._next_try, self._clock() + self._policy.retry)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._backlog.anchored >= wanted or self._failed, timeout)
            if self._backlog.anchored >= wanted:
                return
        raise self._failed or self._too_late(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Ends the loop, after the transaction that is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self._reader.close()

    def _run(self) -> None:
        try:
            while self._wait_until_due():
                self._try()
        except GuardError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - halts: anchoring ends, and the guard allows nothing more
            self._end(_ended(error))

    def _wait_until_due(self) -> bool:
        """False once closed."""
        with self._changed:
            while not self._closed and (seconds := self._due_at() - self._clock()) > 0:
                self._changed.wait(seconds)
            return not self._closed

    def _due_at(self) -> float:
        waiting = self._backlog.due_at()
        if waiting is not None and self._backlog.anchored < self._flush_to:
            waiting = float("-inf")
        wanted = self._next_check if waiting is None else min(waiting, self._next_check)
        return max(wanted, self._next_try)

    def _try(self) -> None:
        try:
            self._attempt()
        except GuardError as error:
            if error.code == "AG530":
                raise
            self._postpone(error)
        else:
            with self._changed:
                self._trouble, self._retries, self._next_try = None, 0, float("-inf")
                self._next_check = self._clock() + self._policy.recheck

    def _postpone(self, error: GuardError) -> None:
        with self._changed:
            self._trouble = error
            delay = min(self._policy.retry * 2**self._retries, self._policy.retry_max)
            # Whoever flushes has little time: he does not wait for a backoff grown in an outage.
            flushing = self._backlog.anchored < self._flush_to
            self._next_try = self._clock() + (self._policy.retry if flushing else delay)
            self._retries = min(self._retries + 1, 16)

    def _attempt(self) -> None:
        """Reads where the chain stands, and extends it if anything is due."""
        self._sync(self._chain.head())
        for step in self._steps():
            self._extend(step)

    def _sync(self, head: Head) -> None:
        """Takes the chain's word for where to go on. Raises AG530 if its head is not a prefix of this log."""
        size = self._store.size
        if self._frontier.size != head.size and head.size <= size:
            self._frontier = frontier_at(self._reader, head.size)
        if self._frontier.size != head.size or self._frontier.root() != head.root:
            raise _diverged(head, size)
        self._keep(head, None)
        self._stands_at(head.size)

    def _steps(self) -> list[Step]:
        with self._changed:
            due = self._backlog.due_at()
            if due is None or (due > self._clock() and self._backlog.anchored >= self._flush_to):
                return []
            return self._backlog.steps()

    def _extend(self, step: Step) -> None:
        start = self._frontier.size
        if step.by_leaves:
            nodes = list(self._reader.leaves(start, step.size))
        else:
            nodes = range_nodes(self._reader, start, step.size)
        tx = self._chain.extend(step.size, self._frontier.nodes, nodes)
        self._frontier.extend_range(step.size, nodes)
        self._keep(Head(step.size, self._frontier.root()), tx)
        self._stands_at(step.size)

    def _keep(self, head: Head, tx: str | None) -> None:
        """Saves the checkpoint of a head that stands on chain; one found there is saved if it is not known yet."""
        if tx is None and (head.size == 0 or self._is_kept(head.size)):
            return
        self._store.save_checkpoint(
            SavedCheckpoint(
                size=head.size,
                frontier=self._frontier.nodes,
                root=head.root,
                note=self._sign.note(head.size, head.root),
                signature=self._sign.head(head.size, head.root),
                tx=tx,
            )
        )

    def _is_kept(self, size: int) -> bool:
        saved = self._reader.checkpoint_at_most(size)
        return saved is not None and saved.size == size

    def _stands_at(self, size: int) -> None:
        with self._changed:
            self._backlog.stands_at(size, self._clock())
            self._changed.notify_all()

    def _end(self, error: GuardError) -> None:
        with self._changed:
            self._failed = error
            self._changed.notify_all()
        self._on_failed(error)

    def _too_late(self, timeout: float) -> GuardError:
        entries, _ = self.lag()
        why = f" The last attempt: {self._trouble.message}" if self._trouble else ""
        return GuardError(
            "AG531",
            f"{entries} entries could not be anchored within {timeout:g} s.{why} They are safe in the guard's log.",
            "They are anchored when the guard runs next; see what is wrong with: agent-guard doctor",
        )


def _recall(reader: Reader, size: int, policy: AnchorPolicy, epoch: float, now: float) -> Backlog:
    """What waited when the process began: as far as the newest checkpoint tells, until the chain has been asked.

    `epoch` is the monotonic time at the unix epoch.
    """
    saved = reader.checkpoint_at_most(size)
    anchored = saved.size if saved else 0
    first = reader.row(anchored)
    oldest = now if first is None else min(now, epoch + _written_at(first))
    backlog = Backlog(policy, size, anchored, oldest)
    critical = next((row.index for row in reader.rows(anchored, size) if row.kind in ALWAYS_CRITICAL), None)
    if critical is not None:
        backlog.grew(size, critical, now)
    return backlog


def _written_at(row: Row) -> float:
    """When an entry was written, in unix seconds; 0 (so that it is due at once) if it does not say."""
    try:
        return Entry.decode(row.body).time / 1000
    except MalformedEntry:
        return 0.0


def _diverged(head: Head, size: int) -> GuardError:
    return GuardError(
        "AG530",
        f"The chain holds a head of {head.size} entries with root 0x{head.root.hex()}, which is not a prefix of this"
        f" log of {size} entries. Nothing more is anchored, and no action is allowed.",
        "Another guard used this key, or the log was restored from an old copy. Keep both as evidence, then give a new"
        " key to the guard (SET_OPERATOR).",
    )


def _ended(error: Exception) -> GuardError:
    return GuardError(
        "AG532",
        f"Anchoring ended unexpectedly ({error!r}). Entries are safe in the guard's log, but no longer anchored.",
        "Start the guard again, and report this.",
    )
