"""A guard's log that is written from four threads, while receipts of its newest entries are given: to be killed.

Run as: python receipting.py LOG. Prints a line for each receipt: size and root of its signed head.
"""

import sys
import threading
from pathlib import Path

from agent_guard.gate.receipts import Receipts
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore
from agent_guard.types import Block, LogIdentity

IDENTITY = LogIdentity(
    31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
)


def main() -> None:
    store = SqliteStore(Path(sys.argv[1]), IDENTITY)
    block = Block(7, bytes(32), 1_700_000_000)
    recorder = Recorder(store, lambda: block)
    receipts = Receipts(IDENTITY, lambda size, root: bytes(65), lambda: recorder.head().size, interval=0.0)

    def write() -> None:
        while True:
            recorder.append("scout", "intent", {"tool": "x"}).result()

    for _ in range(4):
        threading.Thread(target=write, daemon=True).start()
    reader = store.reader()
    while True:
        row = reader.row(reader.size() - 1)
        receipt = receipts.of(reader, row) if row else None
        if receipt:
            sys.stdout.write(f"{receipt.head.size} {receipt.head.root.hex()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
