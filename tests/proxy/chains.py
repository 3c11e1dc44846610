"""What is done to the real chains behind: rewriting one's past, and making a second one that shares it.

Measured on Anvil 1.7.1: `anvil_reorg` replaces blocks by empty ones of other hashes, forgets their transactions, and
leaves the chain's clock as far behind as the replaced part was old; a state dumped with its history loads with the same
block hashes, old states and proofs.
"""

import gzip
import time
from pathlib import Path
from typing import Any

import httpx

ATTEMPTS = 20


def rpc(url: str, method: str, *params: object) -> Any:
    """The result of one call. Raises AssertionError if the node says an error."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = httpx.post(url, json=request, timeout=30, trust_env=False).json()
    assert "error" not in answer, f"{method}: {answer['error']}"
    return answer["result"]


def reorg_away(url: str, first: int) -> None:
    """Replaces block `first` and all after it by as many empty ones; the clock goes on as if nothing had been.

    The new blocks all bear the time of block `first - 1`.
    """
    gone = _hash(url, first)
    ahead = _clock(url) + 0.5 - time.time()
    for _ in range(ATTEMPTS):
        # On a chain that ticks, a block may come between the two calls: then `first` is still there.
        depth = int(rpc(url, "eth_blockNumber"), 16) - first + 1
        rpc(url, "anvil_reorg", depth, [])
        if _hash(url, first) != gone:
            break
    else:
        raise RuntimeError(f"block {first} was not reorganised away in {ATTEMPTS} attempts")
    rpc(url, "evm_setTime", round(time.time() + ahead))


def dump(url: str, path: Path) -> Path:
    """Writes the chain, with its history, into a file from which `Anvil(state=path)` makes a twin.

    The twin's clock is the wall clock, also where the first one's was moved. Anvil keeps the state of every block that
    it ever made, those of snapshots gone back on too, and dumps them all: a minute's work after 300 tests.
    """
    state = rpc(url, "anvil_dumpState", True)
    path.write_bytes(gzip.decompress(bytes.fromhex(state[2:])))
    return path


def _hash(url: str, number: int) -> str:
    return str(rpc(url, "eth_getBlockByNumber", hex(number), False)["hash"])


def _clock(url: str) -> int:
    """What time it is on the chain, in unix seconds: its newest block may be old."""
    return int(rpc(url, "eth_getBlockByNumber", "pending", False)["timestamp"], 16)
