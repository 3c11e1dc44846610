"""A process that erases one entry after the other until it is killed, and prints each record once it is durable.

python erasing.py PLACE COUNT [hang]: records COUNT entries, then erases them; with `hang` it stands still where the
first erasure is on record and nothing is erased yet. PLACE is an SQLite file.
"""

import os
import sys
import threading
from pathlib import Path

from agent_guard.log.erasure import Eraser
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore
from agent_guard.types import Block, LogIdentity

IDENTITY = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)


class Telling(SqliteStore):
    """Says when an erasure begins in the store; its record is durable by then."""

    def erase(self, index: int) -> None:
        os.write(1, f"{index}\n".encode())
        if "hang" in sys.argv:
            threading.Event().wait()
        super().erase(index)


store = Telling(Path(sys.argv[1]), IDENTITY)
recorder = Recorder(store, block=lambda: Block(1, bytes(32), 1))
for number in range(int(sys.argv[2])):
    recorder.append("a", "intent", {"secret": f"secret-{number}."}).result()
eraser = Eraser(store, recorder)
for number in range(int(sys.argv[2])):
    eraser.erase("a", number, f"reason {number}")
