"""A process that records from several threads until it is killed, and prints each entry once it is acknowledged.

python writer.py PLACE: prints "agent counter index leaf" lines. PLACE is an SQLite file, or a PostgreSQL address.
"""

import os
import sys
import threading
from pathlib import Path

from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore, Store
from agent_guard.types import Block, LogIdentity

IDENTITY = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)


def record(recorder: Recorder, agent: str) -> None:
    for number in range(1_000_000):
        done = recorder.append(
            agent, "intent", {"n": number}, idempotency_key=f"{os.getpid()}-{number}"
        ).result()
        # One write per line, and no buffer: what was not printed was not acknowledged.
        os.write(1, f"{agent} {done.counter} {done.index} {done.leaf_hash.hex()}\n".encode())


def opened(place: str) -> Store:
    if not place.startswith("postgresql://"):
        return SqliteStore(Path(place), IDENTITY)
    from agent_guard.store.postgres import Address, PostgresStore

    return PostgresStore(Address.parse(place), IDENTITY)


store = opened(sys.argv[1])
writer = Recorder(store, block=lambda: Block(1, bytes(32), 1))
for name in ("a", "b", "c", "d"):
    threading.Thread(target=record, args=(writer, name), daemon=True).start()
threading.Event().wait()
