"""Answers made to raise what nobody foresaw: whatever one node says is at most no word of its own, never an exception.

The guard halts every agent on an unforeseen exception, so each of these would let one node of three kill them all.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.chain


def _nested(limit: int = 4000) -> str:
    """RLP lists within lists, as deep as a node of a proof may be long."""
    inner = b"\xc0"
    while len(inner) < limit:
        length = len(inner)
        head = bytes([0xC0 + length]) if length < 56 else b"\xf9" + length.to_bytes(2, "big")
        inner = head + inner
    return "0x" + inner.hex()


def _with(**fields: Any) -> Callable[..., Any]:
    """The true result with these fields besides, or instead."""

    def change(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        return {"result": {**forward()["result"], **fields}}

    return change


def _says(**answer: Any) -> Callable[..., Any]:
    return lambda request, forward: answer


REVERT = {"code": 3, "message": "execution reverted", "data": "0x"}
DEEP = {"accountProof": [_nested()], "storageProof": []}
ANSWERS = {
    "a block that reverts": ("eth_getBlockByNumber", _says(error=REVERT)),
    "a block by hash that reverts": ("eth_getBlockByHash", _says(error=REVERT)),
    "a call that reverts": ("eth_call", _says(error=REVERT)),
    "a revert without sense": ("eth_call", _says(error={"code": 3, "message": [], "data": {"a": 1}})),
    "a call that gives too little": ("eth_call", _says(result="0x" + "00" * 31)),
    "a call that points far away": ("eth_call", _says(result="0x" + "ff" * 320)),
    "a call that gives no hex": ("eth_call", _says(result="0xzz")),
    "a proof that reverts": ("eth_getProof", _says(error=REVERT)),
    "a proof as deep as it is long": ("eth_getProof", _with(**DEEP)),
    "a proof that is none": ("eth_getProof", _says(result=None)),
    "a header with a negative number": ("eth_getBlockByNumber", _with(gasUsed="-0x1")),
    "a header with text for a number": ("eth_getBlockByNumber", _with(gasUsed=[])),
    "a block without end": ("eth_getBlockByNumber", _with(number="0x" + "f" * 5000)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_reader_of_a_hostile_node_gives_words_or_silence_and_raises_nothing(town, rpc_proxy, name):
    from agent_guard.chain.council import CouncilContract
    from agent_guard.chain.endpoint import Endpoint
    from agent_guard.chain.view import ChainView, Pace

    town.register("indexer")
    honest, hostile = rpc_proxy(town.anvil.url), rpc_proxy(town.anvil.url)
    method, answer = ANSWERS[name]
    hostile.on(method, answer)
    members = [CouncilContract(Endpoint(node.url, 2.0), town.contract.address) for node in (honest, hostile)]
    view = ChainView(members, [town.state("indexer").agent], Pace(0.1, "all"))
    view.wants_finality = True
    view.start()
    try:
        ends = time.monotonic() + 1.0
        heard = []
        while time.monotonic() < ends:
            heard += view.read(0.1)  # raises what a reader did not foresee
        assert any(word.endpoint == members[0].endpoint.name for word in heard)
    finally:
        view.stop()
