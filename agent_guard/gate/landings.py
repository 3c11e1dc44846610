"""Carries "it is on disk" from the recorder's thread to the event loop: one wake-up for all that land together.

Guarantees: what a written entry's future holds, its waiter on the loop gets, once and in order; nothing is waited for
and no lock is held on the recorder's thread; who stops waiting takes nothing from the entry. Without this each entry of
a batch woke the loop for itself, with a system call.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress

from agent_guard.log.batch import Appended

Landing = asyncio.Future[Appended]
"""An entry on its way to the disk, as its event loop sees it."""


class Landings:
    """The entries that one event loop waits for. Made on that loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._landed: deque[tuple[Landing, Future[Appended]]] = deque()
        self._woken = False

    def follow(self, written: Future[Appended]) -> Landing:
        """A future of this loop that ends as `written` does."""
        landing: Landing = self.loop.create_future()
        written.add_done_callback(lambda written: self._arrive(landing, written))
        return landing

    def _arrive(self, landing: Landing, written: Future[Appended]) -> None:
        """On the recorder's thread. First the entry, then the look at the flag: `_deliver` does it the other way round,
        so that an entry which finds the loop woken already is still seen."""
        self._landed.append((landing, written))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has ended, and nobody waits on it any more
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        while self._landed:
            landing, written = self._landed.popleft()
            if landing.done():
                continue
            if written.cancelled():
                landing.cancel()
            elif error := written.exception():
                landing.set_exception(error)
            else:
                landing.set_result(written.result())
