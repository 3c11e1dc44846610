"""A value that each process makes for itself: connections and threads do not survive a fork."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerProcess(Generic[Value]):
    """Made at the first use in each process.

    Without a lock, which a fork could copy while another thread holds it. Two threads may make the value at the same
    time; both are good, and one is kept.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._held: tuple[int, Value] | None = None

    def get(self) -> Value:
        """This process's value."""
        held = self._held
        if held is None or held[0] != os.getpid():
            held = self._held = (os.getpid(), self._make())
        return held[1]

    def take(self) -> Value | None:
        """This process's value, if it has made one; the next `get` makes another."""
        held, self._held = self._held, None
        return held[1] if held is not None and held[0] == os.getpid() else None
