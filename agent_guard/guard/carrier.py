"""Carries one agent's standings to its supervisor, on a thread of its own: a slow kill delays no other agent's.

Guarantees: `apply` never blocks; the newest standing is carried out, and a halt once handed over is never skipped. A
supervisor that fails in a way nobody foresaw is reported, so that its agent is halted.
"""

import threading
import time
from collections.abc import Callable

from agent_guard.types import Decision, Standing


class Carrier:
    """The thread between the watcher and one supervisor.

    Args:
        agent: the name.
        carry_out: `Supervisor.apply`; gets a standing and when it was handed over (unix nanoseconds).
        on_failure: told what `carry_out` raised; has the agent halted, which hands over another standing.
    """

    def __init__(
        self, agent: str, carry_out: Callable[[Standing, int], None], on_failure: Callable[[Exception], None]
    ) -> None:
        self._carry_out, self._on_failure = carry_out, on_failure
        self._changed = threading.Condition()  # guards what follows
        self._next: tuple[Standing, int] | None = None
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"carry {agent}", daemon=True)
        self._thread.start()

    def apply(self, standing: Standing) -> None:
        """Has the standing carried out; any thread may ask."""
        with self._changed:
            if self._next is None or not _halts(self._next[0]) or _halts(standing):
                # Of two halts that wait the first counts: it is when the halt was seen.
                seen_at = self._next[1] if self._next and _halts(self._next[0]) else time.time_ns()
                self._next = standing, seen_at
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Whether all that was handed over has been carried out; waits for at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._next is None and not self._busy, seconds)

    def close(self) -> None:
        """Ends the thread, after what it has in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._next is not None or self._closed)
                if self._next is None:
                    return
                (standing, seen_at), self._next, self._busy = self._next, None, True
            try:
                self._carry_out(standing, seen_at)
            except Exception as error:  # noqa: BLE001 - halts this agent, and is tried again with every standing
                self._on_failure(error)


def _halts(standing: Standing) -> bool:
    return standing.verdict.decision is Decision.HALT and not standing.stopping
