"""Listens on the pipe that every process of an agent holds: what it says of its attempt, and who still lives.

Guarantees: reads all the time, so that no agent waits for its reader; keeps a bounded part of what it hears. A beat is
a byte written by a living process; the end of the file comes when the kernel has closed the pipe's last other end.
"""

import os
import select
import threading

_KEPT = 16
_LONGEST = 512
_TICK_MS = 20


class Ear:
    """Made with its pipe; `write_end` is for the agent.

    `said` holds what was said, by kind (attempted, unable, reached), in order.
    """

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        self.beats = 0
        self.said: list[tuple[str, str]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()

    def all_words(self, kind: str) -> list[str]:
        """What was said of that kind, in order."""
        return [words for said, words in self.said if said == kind]

    def leave(self) -> None:
        """Let go of the write end, now that the agent's guard has it."""
        os.close(self.write_end)

    def close(self) -> None:
        """Stop listening: whoever still writes gets EPIPE, and ends."""
        self._closing.set()
        self._thread.join()

    def _listen(self) -> None:
        poller, rest = select.poll(), b""
        poller.register(self._read_end, select.POLLIN)
        with os.fdopen(self._read_end, "rb", buffering=0) as pipe:
            while not self._closing.is_set():
                if not poller.poll(_TICK_MS):
                    continue
                heard = pipe.read(65536)
                if not heard:
                    return
                *lines, rest = (rest + heard).split(b"\n")
                rest = rest[:_LONGEST]
                for line in lines:
                    self._note(line)

    def _note(self, line: bytes) -> None:
        kind, _, words = line[:_LONGEST].decode(errors="replace").partition(" ")
        if kind == "beat":
            self.beats += 1
        elif len(self.all_words(kind)) < _KEPT:
            self.said.append((kind, words))
