"""The EIP-712 message by which an operator vouches for a death receipt: all that is public of it, in one signature."""

from collections.abc import Mapping
from typing import Any

from agent_guard.typed_data.messages import Fields, digest_of, typed_data_of

DEATH_FIELDS: Fields = (
    ("agent", "bytes32"),
    ("epoch", "uint64"),
    ("vote", "uint64"),
    ("quorum", "uint64"),
    ("block", "uint64"),
    ("seen", "uint64"),
    ("frozen", "uint64"),
    ("dead", "uint64"),
    ("processes", "uint32"),
    ("mode", "string"),
)


def death_typed_data(agent: bytes, facts: Mapping[str, Any], chain_id: int, council: str) -> dict[str, Any]:
    """The message for a death's public facts: times in unix ms, 0 for those that are not known, as the epoch."""
    return typed_data_of("Death", DEATH_FIELDS, _values(agent, facts), chain_id, council)


def death_digest(agent: bytes, facts: Mapping[str, Any], chain_id: int, council: str) -> bytes:
    """The 32 bytes that the operator signs for a death. Raises `MalformedBallot` for facts out of range."""
    return digest_of("Death", DEATH_FIELDS, _values(agent, facts), chain_id, council)


def _values(agent: bytes, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts.get(name, 0) for name, _ in DEATH_FIELDS} | {
        "agent": agent,
        "mode": facts.get("mode", ""),
    }
