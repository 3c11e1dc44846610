"""A witness that is killed with SIGKILL at one point of its work on the database.

python dying.py DATABASE POINT: reads requests from stdin (each a length in a line, then the bytes), answers each with
its status in a line on stdout. POINT is "before X" or "after X", X the first word of a statement: at the second request
the process ends there.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from agent_guard.checkpoint import Cosigner
from agent_guard.store.ledger import Ledger
from agent_guard.witness import Witness, trusted_logs
from tests.unit.witness.conftest import Log, key

armed = False
when, word = sys.argv[2].split()


class Dying(sqlite3.Connection):
    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        hit = armed and statement.split()[0] == word
        if hit and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = super().execute(statement, *values)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **more: connect(*arguments, **more, factory=Dying)  # type: ignore[assignment]
witness = Witness(
    trusted_logs([Log().signer.verifier]),
    Cosigner("w", key(9)),
    Ledger(Path(sys.argv[1])),
    lambda: 1_700_000_000,
)
for line in sys.stdin.buffer:
    answer = witness.add_checkpoint(sys.stdin.buffer.read(int(line)))
    os.write(1, f"{answer.status}\n".encode())
    armed = True
