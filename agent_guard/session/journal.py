"""The guard's own entries in the log: each is on disk before its writer goes on, and a log that fails stops no stop."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.log.recorder import Appended, Recorder
from agent_guard.session.events import Step
from agent_guard.types import Block

FLUSH_SECONDS = 60.0
AWAY_SECONDS = 5.0
"""So long, in all, is waited for a log whose server is known to be out of reach. It is written when that is back."""
_TICK = 0.1


class Journal:
    """Writes entries of the guard's own; what fails is told.

    Args:
        recorder: writes them.
        tell: hears of trouble.
    """

    def __init__(self, recorder: Recorder, tell: Callable[[Step], None]) -> None:
        self._recorder, self._tell = recorder, tell
        self._away_since: float | None = None

    def patience(self) -> float:
        """Seconds for which the guard's end may wait for its log."""
        return FLUSH_SECONDS if self._recorder.trouble is None else AWAY_SECONDS

    def write(
        self,
        agent: str | None,
        kind: Entry,
        content: dict[str, object],
        *,
        refers_to: int | None = None,
        meta: dict[str, int | bool | str] | None = None,
        block: Block | None = None,
    ) -> int | None:
        """Writes an entry and waits until it is on disk: its index, None if it failed.

        Raises:
            GuardError: the failure, where what is not recorded must not happen (a start).
        """
        try:
            future = self._recorder.append(
                agent, kind, content, refers_to=refers_to, meta=meta or {}, block=block
            )
            return self._landed(future).index
        except (GuardError, TimeoutError) as error:
            told = error if isinstance(error, GuardError) else _slow_disk(kind, self._recorder.trouble)
            if kind in (Entry.CONFIG, Entry.START):
                raise told from error
            self._tell({"event": "trouble", "agent": agent, **told.as_dict()})
            return None

    def _landed(self, future: Future[Appended]) -> Appended:
        deadline = time.monotonic() + FLUSH_SECONDS
        while True:
            try:
                return future.result(timeout=_TICK)
            except FutureTimeout:
                if time.monotonic() >= deadline or self._is_away():
                    raise

    def _is_away(self) -> bool:
        """Whether the log's server has been waited for long enough, however many entries wait for it."""
        if self._recorder.trouble is None:
            self._away_since = None
            return False
        if self._away_since is None:
            self._away_since = time.monotonic()
        return time.monotonic() - self._away_since >= AWAY_SECONDS


def _slow_disk(kind: Entry, trouble: GuardError | None) -> GuardError:
    if trouble is not None:
        return GuardError(
            "AG521",
            f"The {kind.value} entry is not in the log yet, and is lost if the guard ends before: {trouble.message}",
            trouble.remedy,
        )
    return GuardError(
        "AG521",
        f"The {kind.value} entry was not on disk after {FLUSH_SECONDS:g} s and may be missing from the log.",
        "Check the disk that holds the guard's log.",
    )
