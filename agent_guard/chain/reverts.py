"""What the contracts' reverts mean, in words: for whoever sends a transaction or asks what one would do."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from web3 import Web3

from agent_guard.chain.artifact import council_artifact
from agent_guard.chain.periphery import verifier_artifact
from agent_guard.types import Refusal


@cache
def known_errors() -> dict[str, dict[str, Any]]:
    """The contracts' custom errors by 4-byte selector, "0x" hex."""
    return {_selector(item): item for item in _abi_entries() if item["type"] == "error"}


def _abi_entries() -> Iterator[dict[str, Any]]:
    yield from council_artifact()["abi"]
    yield from verifier_artifact()["abi"]


def explain_revert(data: object) -> str:
    """A revert's data in words, such as `BallotRefused(index 0, WRONG_EPOCH)`."""
    if not isinstance(data, str) or data[:10] not in known_errors():
        return f"reverted ({str(data)[:80]})"
    error = known_errors()[data[:10]]
    types = [_canonical_type(item) for item in error["inputs"]]
    values = Web3().codec.decode(types, bytes.fromhex(data[10:]))
    words = [_word(item, value) for item, value in zip(error["inputs"], values, strict=True)]
    return f"{error['name']}({', '.join(words)})"


def _word(item: dict[str, Any], value: object) -> str:
    if "Refusal" in item.get("internalType", "") and isinstance(value, int):
        return Refusal(value).name
    shown = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return f"{item['name']} {shown}"


def _selector(error: dict[str, Any]) -> str:
    signature = f"{error['name']}({','.join(_canonical_type(item) for item in error['inputs'])})"
    return "0x" + Web3.keccak(text=signature)[:4].hex()


def _canonical_type(item: dict[str, Any]) -> str:
    return str(item["type"])
