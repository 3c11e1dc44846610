"""Tells a run's steps on a thread of its own, so that nobody who listens badly can hold the run up.

Guarantees: `tell` never blocks and never fails; steps are told in order. A listener that is slow or stands still delays
no record, no kill and no signal; one that is gone is told nothing more, and the run goes on. What the agent says waits
for the listener instead (`say`), and gets at most a quarter of a processor, which the kill path shares.
"""

import queue
import threading
import time
from collections.abc import Callable

from agent_guard.session.events import Step

WAITING = 10_000
"""Steps of the guard's own that may wait; the listener misses what comes beyond."""
WORDS = 64
"""Lines of the agent's that may wait; beyond, the agent waits."""


class Teller:
    """Hands each step to `tell`, one at a time; an `OSError` means that nobody listens any more."""

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self._listener: Callable[[Step], None] | None = tell
        self._steps: queue.SimpleQueue[tuple[Step, bool] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(WORDS)
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
        self._thread.start()

    def tell(self, step: Step) -> None:
        """A step of the guard's own."""
        if self._steps.qsize() < WAITING:
            self._steps.put((step, False))

    def say(self, step: Step) -> None:
        """A step that carries the agent's words; waits while many of them wait."""
        self._room.acquire()
        self._steps.put((step, True))

    def end(self, seconds: float) -> bool:
        """Whether all that was handed over has been heard; waits for at most so long."""
        self._steps.put(None)
        self._thread.join(seconds)
        return self._listener is not None and not self._thread.is_alive()

    def _run(self) -> None:
        while (given := self._steps.get()) is not None:
            step, words = given
            began = time.thread_time()
            self._hand_over(step)
            if words:
                self._room.release()
                time.sleep(3 * (time.thread_time() - began))

    def _hand_over(self, step: Step) -> None:
        try:
            if self._listener is not None:
                self._listener(step)
        except OSError:
            self._listener = None
