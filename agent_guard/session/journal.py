"""The guard's own entries in the log: each is on disk before its writer goes on, and a log that fails stops no stop."""

from collections.abc import Callable

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.session.events import Step
from agent_guard.types import Block

FLUSH_SECONDS = 60.0


class Journal:
    """Writes entries of the guard's own; what fails is told.

    Args:
        recorder: writes them.
        tell: hears of trouble.
    """

    def __init__(self, recorder: Recorder, tell: Callable[[Step], None]) -> None:
        self._recorder, self._tell = recorder, tell

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
            return future.result(timeout=FLUSH_SECONDS).index
        except (GuardError, TimeoutError) as error:
            if kind in (Entry.CONFIG, Entry.START):
                raise
            told = error if isinstance(error, GuardError) else _slow_disk(kind)
            self._tell({"event": "trouble", "agent": agent, **told.as_dict()})
            return None


def _slow_disk(kind: Entry) -> GuardError:
    return GuardError(
        "AG521",
        f"The {kind.value} entry was not on disk after {FLUSH_SECONDS:g} s and may be missing from the log.",
        "Check the disk that holds the guard's log.",
    )
