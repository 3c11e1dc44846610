"""A node that lives in the past: every block parameter is answered as if the newer blocks were not there yet.

What Anvil says of a block beyond its head (null, or an error with its own code and words) is said here of every block
beyond the claimed one, whether it is named by tag, height or hash.
"""

import time
from typing import Any

from tests.proxy.behaviour import Answer, Ask, Past

# Which parameter names the block. One that is left out means the latest.
BLOCK_AT = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_getStorageAt": 2,
    "eth_getProof": 2,
}
UNKNOWN_HASH = {"error": {"code": -32001, "message": "Resource not found"}}


class _UnknownError(Exception):
    """The block named does not exist yet, for this node; `answer` is what it says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def living(truth: Ask, past: Past) -> Ask:
    """The node `truth`, as it is in the past."""

    async def ask(method: str, params: list[Any]) -> Answer:
        try:
            return await _Moment(truth, past, await _true_head(truth)).ask(method, list(params))
        except _UnknownError as unknown:
            return unknown.answer

    return ask


async def _true_head(truth: Ask) -> int:
    return int((await truth("eth_blockNumber", []))["result"], 16)


class _Moment:
    """One request's view: `truth` with a head of this height."""

    def __init__(self, truth: Ask, past: Past, true_head: int) -> None:
        self.truth = truth
        self.past = past
        self.true_head = true_head
        self.head = max(0, true_head - past.lag) if past.block is None else min(past.block, true_head)

    async def ask(self, method: str, params: list[Any]) -> Answer:
        if method == "eth_blockNumber":
            return {"result": hex(self.head)}
        if method == "eth_getBlockByHash":
            return await self._dated(self._visible(await self.truth(method, params), "number"))
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            return self._visible(await self.truth(method, params), "blockNumber")
        if method == "eth_getLogs":
            return await self.truth(method, [await self._range(dict(params[0])), *params[1:]])
        if method not in BLOCK_AT:
            return await self.truth(method, params)
        return await self._at_block(method, params)

    async def _at_block(self, method: str, params: list[Any]) -> Answer:
        place = BLOCK_AT[method]
        named = params[place] if len(params) > place else "latest"
        params[place : place + 1] = [await self._block(method, named)]
        answer = await self.truth(method, params)
        return await self._dated(answer) if method == "eth_getBlockByNumber" else answer

    async def _block(self, method: str, named: Any) -> Any:
        """The block parameter to ask the true node for."""
        digest = named.get("blockHash") if isinstance(named, dict) else named
        if isinstance(digest, str) and len(digest) == 66:
            header = (await self.truth("eth_getBlockByHash", [digest, False]))["result"]
            if header is not None and int(header["number"], 16) > self.head:
                raise _UnknownError(UNKNOWN_HASH)
            return named
        number = await self._height(named.get("blockNumber") if isinstance(named, dict) else named)
        if number > self.head:
            words = f"BlockOutOfRangeError: block height is {self.head} but requested was {number}"
            null = method.startswith("eth_getBlock")
            raise _UnknownError({"result": None} if null else {"error": {"code": -32602, "message": words}})
        return hex(number)

    async def _height(self, named: Any) -> int:
        if named in (None, "latest", "pending"):
            return self.head
        if named == "earliest":
            return 0
        if named in ("finalized", "safe"):
            header = (await self.truth("eth_getBlockByNumber", [named, False]))["result"]
            return max(0, self.head - (self.true_head - int(header["number"], 16)))
        return int(named, 16)

    async def _range(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if "blockHash" in wanted:
            await self._block("eth_getLogs", {"blockHash": wanted["blockHash"]})
            return wanted
        ends = {
            name: await self._height(wanted.get(name, default))
            for name, default in (("fromBlock", "latest"), ("toBlock", "latest"))
        }
        return wanted | {"fromBlock": hex(ends["fromBlock"]), "toBlock": hex(min(ends["toBlock"], self.head))}

    def _visible(self, answer: Answer, field: str) -> Answer:
        """Nothing, where the thing found lies in a block beyond the head."""
        found = answer.get("result")
        beyond = found is not None and found[field] is not None and int(found[field], 16) > self.head
        return {"result": None} if beyond else answer

    async def _dated(self, answer: Answer) -> Answer:
        """A header with its time, or a forged one."""
        if not self.past.forged_times or answer.get("result") is None:
            return answer
        head = (await self.truth("eth_getBlockByNumber", [hex(self.head), False]))["result"]
        moved = int(time.time()) - int(head["timestamp"], 16)
        header = answer["result"]
        return {"result": header | {"timestamp": hex(int(header["timestamp"], 16) + moved)}}
