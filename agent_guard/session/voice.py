"""The agent's standard output and error: pipes of the guard's own, read and handed on line by line.

An agent that held the guard's own streams could forge the guard's words, make them fail or stand still, cut the file
they go to, read what the operator types on his terminal, and switch off his Ctrl-C. Guarantees: the agent gets pipes
and nothing else; what is handed on is one line of at most `LINE` bytes at a time. Trusts nothing in it: whoever shows
it cleans it.
"""

import os
import threading
from collections.abc import Callable

LINE = 2_000
"""Bytes of one line; a longer one is handed on in pieces."""


class Voice:
    """The two pipes of one run. `hear` gets the stream's name and a line; while it blocks, the agent waits."""

    def __init__(self, hear: Callable[[str, str], None]) -> None:
        self._hear = hear
        self._reading = {"stdout": os.pipe(), "stderr": os.pipe()}
        self.stdout, self.stderr = (write for _, write in self._reading.values())
        self._threads: list[threading.Thread] = []

    def listen(self) -> None:
        """Hands on what is said, from its beginning; a second call does nothing.

        To be called once the agent has its ends, or will never have them: ours are closed, so that its end is heard.
        """
        while self._reading:
            name, (read, write) = self._reading.popitem()
            os.close(write)
            thread = threading.Thread(
                target=self._listen, args=(name, read), name=f"agent {name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def end(self, seconds: float) -> None:
        """Returns when all that the agent said was handed on, or after that long for each stream."""
        self.listen()
        for thread in self._threads:
            thread.join(seconds)

    def _listen(self, name: str, read: int) -> None:
        with os.fdopen(read, "rb") as pipe:
            while line := pipe.readline(LINE):
                self._hear(name, line.decode(errors="replace").rstrip("\n"))
