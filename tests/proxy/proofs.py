"""A node whose `eth_getProof` is no proof: refused, empty, cut, damaged, of another slot or of another block.

What it says besides (headers, calls) is not touched here.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.proxy.behaviour import Answer, Ask, Proofs

Edit = Callable[[dict[str, Any]], None]


def _withheld(proof: dict[str, Any]) -> None:
    for nodes in _nodes(proof):
        nodes.clear()


def _truncated(proof: dict[str, Any]) -> None:
    for nodes in _nodes(proof):
        del nodes[-1:]


def _corrupted(proof: dict[str, Any]) -> None:
    """One bit of the last node of each path."""
    for nodes in _nodes(proof):
        if nodes:
            damaged = bytearray.fromhex(nodes[-1][2:])
            damaged[-1] ^= 1
            nodes[-1] = "0x" + damaged.hex()


def _false_value(proof: dict[str, Any]) -> None:
    """The path is true; what the node says stands at its end is not."""
    for entry in proof["storageProof"]:
        entry["value"] = hex(int(entry["value"], 16) ^ 0b101)


def _nodes(proof: dict[str, Any]) -> list[list[str]]:
    return [proof["accountProof"], *(entry["proof"] for entry in proof["storageProof"])]


EDITS: dict[str, Edit] = {
    "withheld": _withheld,
    "truncated": _truncated,
    "corrupted": _corrupted,
    "false value": _false_value,
}
KINDS = ("unsupported", "null", "other slot", "older", *EDITS)


def proving(truth: Ask, proofs: Proofs) -> Ask:
    """The node `truth`, but for its proofs."""

    async def ask(method: str, params: list[Any]) -> Answer:
        if method != "eth_getProof":
            return await truth(method, params)
        if proofs.kind == "unsupported":
            return {"error": {"code": -32601, "message": "Method not found"}}
        if proofs.kind == "null":
            return {"result": None}
        if proofs.kind == "older":
            return await truth(method, [*params[:2], hex(proofs.block or 0)])
        if proofs.kind == "other slot":
            return await _of_another_slot(truth, params, proofs.slot)
        return _edited(await truth(method, params), EDITS[proofs.kind])

    return ask


async def _of_another_slot(truth: Ask, params: list[Any], slot: int | None) -> Answer:
    """Proofs of `slot` (None: of the slot after each one asked for), under the names of those asked for."""
    asked = [int(key, 16) for key in params[1]]
    others = [(key + 1) % (1 << 256) if slot is None else slot for key in asked]
    answer = await truth("eth_getProof", [params[0], [f"0x{key:064x}" for key in others], *params[2:]])
    answer = deepcopy(answer)
    for key, entry in zip(params[1], answer.get("result", {}).get("storageProof", ()), strict=False):
        entry["key"] = key
    return answer


def _edited(answer: Answer, edit: Edit) -> Answer:
    answer = deepcopy(answer)
    if answer.get("result"):
        edit(answer["result"])
    return answer
