"""What tells a command that serves until it is stopped that it is stopped."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; heard from the beginning, so that nothing is left behind."""
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: asked.append(number)) for number in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
