"""Writes one agent's entries: waits until each is on disk, but not for ever, and holds a bounded number in flight.

Guarantees: a write once handed to the recorder is never cancelled; the caller learns "on disk" or gets AG605/AG606.
An intent is closed at most once, across restarts too, because its closing carries the idempotency key `close:SEQ`.
Trusts the recorder. Used from one event loop.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.gate.landings import Landing, Landings
from agent_guard.log.batch import Appended
from agent_guard.log.recorder import Recorder

CLOSE_AGAIN_SECONDS = 0.2

Done = TypeVar("Done")


class Records:
    """The entries of one agent.

    Args:
        agent: whose entries.
        recorder: its future resolves when the entry is on disk.
        in_flight: entries that may be on their way at once; a hung disk must not become unbounded memory. There is
            room for as many closings besides: each ends an intent, and must find room when the disk is back.
        seconds: how long `landed` waits for one.
    """

    def __init__(self, agent: str, recorder: Recorder, in_flight: int, seconds: float) -> None:
        self._agent = agent
        self._recorder = recorder
        self._limit = in_flight
        self._seconds = seconds
        self._in_flight = 0
        self._background: set[asyncio.Task[Any]] = set()
        self._landings: Landings | None = None

    def append(self, kind: Kind, content: dict[str, Any], **details: Any) -> Landing:
        """Hands an entry over. Raises AG606 when too many are on their way, AG605 when it is not taken."""
        return self._append(self._limit, kind, content, **details)

    def _append(self, limit: int, kind: Kind, content: dict[str, Any], **details: Any) -> Landing:
        if self._in_flight >= limit:
            raise GuardError(
                "AG606",
                f"{self._in_flight} records of this agent already wait for the disk. The action must not happen.",
                "Wait for the earlier answers, then ask again.",
            )
        try:
            written = self._recorder.append(self._agent, kind, content, **details)
        except GuardError as error:
            raise unrecorded(error.message) from error
        landing = self._on_this_loop().follow(written)
        self._in_flight += 1
        landing.add_done_callback(self._count_landed)
        return landing

    def close(self, seq: int, kind: Kind, content: dict[str, Any]) -> Landing:
        """Hands over the entry that ends intent `seq`; a second one lands as a duplicate of the first."""
        return self._append(2 * self._limit, kind, content, refers_to=seq, idempotency_key=closing_key(seq))

    def close_at_last(self, seq: int, kind: Kind, content: dict[str, Any]) -> asyncio.Task[bool]:
        """`close`, tried again for as long as there is no room; goes on by itself if nobody waits for it.

        The task tells whether the closing is on disk. If not, nothing is recorded any more.
        """

        async def close() -> bool:
            while True:
                try:
                    landing = self.close(seq, kind, content)
                except GuardError as error:
                    if isinstance(error.__cause__, GuardError) and error.__cause__.code == "AG521":
                        return False
                    await asyncio.sleep(CLOSE_AGAIN_SECONDS)
                    continue
                await asyncio.wait((landing,))
                return landing.exception() is None

        return self._in_background(close())

    async def landed(self, landing: Landing) -> Appended:
        """Waits until the entry is on disk. Raises AG605 when the store fails or is too slow."""
        done, _ = await asyncio.wait((landing,), timeout=self._seconds)
        if not done:
            raise unrecorded(f"the store took longer than {self._seconds:g} s")
        if error := landing.exception():
            raise unrecorded(error.message if isinstance(error, GuardError) else repr(error)) from error
        return landing.result()

    def when_landed(self, landing: Landing, act: Callable[[Appended], Coroutine[Any, Any, None]]) -> None:
        """Does something about an entry that nobody waits for any more, if it lands after all."""

        async def follow() -> None:
            await asyncio.wait((landing,))
            if not landing.cancelled() and landing.exception() is None:
                await act(landing.result())

        self._in_background(follow())

    def _in_background(self, work: Coroutine[Any, Any, Done]) -> asyncio.Task[Done]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _on_this_loop(self) -> Landings:
        if self._landings is None or self._landings.loop is not asyncio.get_running_loop():
            self._landings = Landings()
        return self._landings

    def _count_landed(self, landing: Landing) -> None:
        self._in_flight -= 1
        if not landing.cancelled():
            landing.exception()  # marked as seen: there may be nobody left to see it


def intent_key(idempotency_key: str) -> str:
    """The agent's own keys, kept apart from ours, so that no agent can close an intent by naming a key."""
    return f"key:{idempotency_key}"


def closing_key(seq: int) -> str:
    """The key that makes sure of one closing per intent."""
    return f"close:{seq}"


def unrecorded(reason: str) -> GuardError:
    """What an agent is told when its intent or outcome is not known to be on disk (AG605)."""
    return GuardError(
        "AG605",
        f"It could not be recorded: {reason}. An action that is not recorded must not happen.",
        "Wait and ask again. If it persists, the operator finds the cause with: agent-guard doctor",
    )
