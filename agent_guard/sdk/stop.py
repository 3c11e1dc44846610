"""Whether a stop was announced to this process: by the guard's refusal, or by SIGTERM while that is heeded.

Guarantees: SIGTERM interrupts nothing that is under way, neither an action nor a system call; it only leaves a mark.
A mark is never taken back: what comes after a stop is another start.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from agent_guard.sdk.refusals import Stopping


class Stop:
    """What this process knows of its stop; shared by its threads.

    Plain attributes, without a lock: a signal's handler must not wait for what the code that it interrupts may hold.
    """

    def __init__(self) -> None:
        self.announced = False
        self.signalled = False

    def check(self) -> None:
        """Raises `Stopping` once a stop was announced."""
        if self.announced:
            raise _stopping()

    def check_signal(self) -> None:
        """Raises `Stopping` once SIGTERM came. A refusal alone leaves it to the guard, who may have thought again."""
        if self.signalled:
            raise _stopping()

    def heed(self) -> Callable[[], None]:
        """From now on SIGTERM does nothing but announce the stop; what is returned puts the former handler back.

        Does nothing outside of the main thread, for handlers can be set nowhere else, nor where one was set by code
        that is not Python, for it could not be put back.
        """
        former = signal.getsignal(signal.SIGTERM)
        if former is None or threading.current_thread() is not threading.main_thread():
            return lambda: None
        heeding = os.getpid()

        def mark(number: int, frame: FrameType | None) -> None:
            if os.getpid() == heeding:
                self.announced = self.signalled = True
            else:
                # A forked child has nothing to save, and whoever forked it (multiprocessing) may end it by SIGTERM.
                signal.signal(number, former)
                signal.raise_signal(number)

        signal.signal(signal.SIGTERM, mark)
        return lambda: _put_back(former)


def _put_back(former: Callable[[int, FrameType | None], object] | int) -> None:
    signal.signal(signal.SIGTERM, former)


def _stopping() -> Stopping:
    return Stopping(
        "AG620",
        "A stop was announced to this process. No new action begins.",
        "Save the work, report the outcomes of what is under way, and exit.",
    )
