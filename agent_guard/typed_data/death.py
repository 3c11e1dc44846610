"""The EIP-712 message by which an operator vouches for a death receipt: all that is public of it, in one signature.

Two kinds, of two types, so that no signature of the one passes for the other: a death that the guard itself brought
about and timed (`Death`), and a life that a later guard found dead (`FoundDead`), whose facts have `found` in the place
of `dead`: when it was looked for, not when it died.
"""

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
FOUND_DEAD_FIELDS: Fields = (
    ("agent", "bytes32"),
    ("life", "uint64"),
    ("found", "uint64"),
    ("known", "string"),
    ("mode", "string"),
)
"""`life` is the index of the start entry; `found` is unix ms; `known` is one of `HOW_KNOWN`."""
HOW_KNOWN: Mapping[str, str] = {
    "cgroup": "its cgroup is gone or holds no process",
    "namespace": "the first process of its PID namespace is gone, and the kernel ends all others with it",
    "boot": "its host was started anew since",
}
"""What shows that nothing of a life is left, in words."""


def death_typed_data(agent: bytes, facts: Mapping[str, Any], chain_id: int, council: str) -> dict[str, Any]:
    """The message for a death's public facts: times in unix ms, 0 for those that are not known, as the epoch."""
    return typed_data_of(*_values(agent, facts), chain_id, council)


def death_digest(agent: bytes, facts: Mapping[str, Any], chain_id: int, council: str) -> bytes:
    """The 32 bytes that the operator signs for a death. Raises `MalformedBallot` for facts out of range."""
    return digest_of(*_values(agent, facts), chain_id, council)


def is_found_dead(facts: Mapping[str, Any]) -> bool:
    """Whether these are the facts of a life that was found dead."""
    return "found" in facts


def _values(agent: bytes, facts: Mapping[str, Any]) -> tuple[str, Fields, dict[str, Any]]:
    found = is_found_dead(facts)
    fields = FOUND_DEAD_FIELDS if found else DEATH_FIELDS
    nought = {name: "" if kind == "string" else 0 for name, kind in fields}
    values = {name: facts.get(name, nought[name]) for name, _ in fields} | {"agent": agent}
    return "FoundDead" if found else "Death", fields, values
