"""A node that lies about the council: its `snapshot()` and `council()` say what the test wants, all else is true.

Works on the ABI-encoded answer, as a node would. Headers, storage and proofs stay true, so a proof convicts it.
"""

from collections.abc import Mapping
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import abi_to_signature, get_abi_output_types
from eth_utils.crypto import keccak

from agent_guard.chain.artifact import council_artifact
from tests.proxy.behaviour import Answer, Ask

Lies = Mapping[bytes | None, Mapping[str, Any]]


class _View:
    """One view of the council: its selector, the ABI types of its answer, and the names in it."""

    def __init__(self, name: str) -> None:
        (abi,) = (entry for entry in council_artifact()["abi"] if entry.get("name") == name)
        self.selector = keccak(text=abi_to_signature(abi))[:4]
        self.types = get_abi_output_types(abi)
        outputs = abi["outputs"]
        fields = outputs[0]["components"] if name == "snapshot" else outputs
        self.fields = [entry["name"] for entry in fields]

    def decoded(self, data: bytes) -> tuple[Any, ...]:
        return tuple(decode(self.types, data))

    def encoded(self, values: tuple[Any, ...]) -> str:
        return "0x" + encode(self.types, values).hex()

    def check(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Names as Python spells them (may_run) to the ABI's (mayRun). Raises ValueError for one that is not there."""
        named = {_camel(name): value for name, value in fields.items()}
        if unknown := named.keys() - set(self.fields):
            raise ValueError(f"the council's answer has no {sorted(unknown)}, only {self.fields}")
        return named


SNAPSHOT = _View("snapshot")
COUNCIL = _View("council")


def lying(truth: Ask, lies: Lies, council: Mapping[str, Any]) -> Ask:
    """The node `truth`, but for these fields of these agents (None: of all) and of the council."""

    async def ask(method: str, params: list[Any]) -> Answer:
        answer = await truth(method, params)
        if method != "eth_call" or answer.get("result", "0x") == "0x":
            return answer
        selector, said = _selector(params[0]), bytes.fromhex(answer["result"][2:])
        if selector == SNAPSHOT.selector and lies:
            (rows,) = SNAPSHOT.decoded(said)
            return {"result": SNAPSHOT.encoded(([_edited_row(row, lies) for row in rows],))}
        if selector == COUNCIL.selector and council:
            return {"result": COUNCIL.encoded(_edited(COUNCIL, COUNCIL.decoded(said), council))}
        return answer

    return ask


def _selector(call: Mapping[str, str]) -> bytes:
    return bytes.fromhex((call.get("data") or call.get("input") or "0x")[2:10])


def _edited_row(row: tuple[Any, ...], lies: Lies) -> tuple[Any, ...]:
    return _edited(SNAPSHOT, row, {**lies.get(None, {}), **lies.get(row[0], {})})


def _edited(view: _View, values: tuple[Any, ...], lie: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(lie.get(name, value) for name, value in zip(view.fields, values, strict=True))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
