"""A process that records one entry, prints it, and kills itself with SIGKILL at one point of writing the next two.

python dying_writer.py FILE POINT MOMENT: POINT is how a statement begins, or "the answer" (after the commit); MOMENT is
"before" or "after" it.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore
from agent_guard.types import Block, LogIdentity

PLACE, POINT, MOMENT = sys.argv[1:]


class Dying:
    """A connection during one statement of which the process dies."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *values: Any) -> Any:
        return self._run(self._real.execute, statement, *values)

    def executemany(self, statement: str, *values: Any) -> Any:
        return self._run(self._real.executemany, statement, *values)

    def _run(self, run: Any, statement: str, *values: Any) -> Any:
        if statement.startswith(POINT) and MOMENT == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = run(statement, *values)
        if statement.startswith(POINT):
            os.kill(os.getpid(), signal.SIGKILL)
        return done


def die_before_the_answer(size: int, critical: int | None) -> None:
    if POINT == "the answer" and size > 1:
        os.kill(os.getpid(), signal.SIGKILL)


identity = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)
store = SqliteStore(Path(PLACE), identity)
recorder = Recorder(store, block=lambda: Block(7, bytes(32), 1), on_appended=die_before_the_answer)
done = recorder.append("a", "intent", {"n": 0}, idempotency_key="k0").result()
os.write(1, f"{done.index} {done.leaf_hash.hex()}\n".encode())
store._connection = Dying(store._connection)  # type: ignore[assignment]
with recorder._changed:  # so that both go into one batch
    waiting = [recorder.append("a", "intent", {"n": n}, idempotency_key=f"k{n}") for n in (1, 2)]
for later in waiting:
    done = later.result()
    os.write(1, f"{done.index} {done.leaf_hash.hex()}\n".encode())
