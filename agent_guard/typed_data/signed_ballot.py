"""The file in which a signed ballot travels from its signer to whoever relays it.

Guarantees: a `SignedBallot` is what it shows: its values are in range and its reason's text is the one whose hash was
signed. Says nothing about the signature. Trusts nobody.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from agent_guard import canonical
from agent_guard.typed_data.messages import MalformedBallot, ballot_digest, checksum_address, reason_hash
from agent_guard.types import Action, Ballot

BALLOT_FORMAT = "agent-guard/ballot/1"
MAX_REASON = 2_000
MAX_SIGNATURE = 8_192
MAX_FILE = 65_536

_HEX = re.compile(r"0x([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class SignedBallot:
    """A ballot that anyone may relay, with what a reader needs to judge it.

    `council` is the contract's address on chain `chain_id`; `signature` 65 bytes of ECDSA, or what the signer's
    ERC-1271 code accepts (at most `MAX_SIGNATURE` bytes), unchecked here; `reason` the text whose hash the ballot
    holds, at most `MAX_REASON` characters.
    """

    chain_id: int
    council: str
    ballot: Ballot
    signature: bytes
    reason: str

    def __post_init__(self) -> None:
        ballot_digest(self.ballot, self.chain_id, self.council)  # refuses values out of range
        if self.ballot.reason != reason_hash(self.reason):
            raise MalformedBallot("the reason's text is not the one that was signed")
        if len(self.reason) > MAX_REASON:
            raise MalformedBallot(f"the reason is longer than {MAX_REASON} characters")
        if not isinstance(self.signature, bytes) or not 1 <= len(self.signature) <= MAX_SIGNATURE:
            raise MalformedBallot(f"a signature has 1 to {MAX_SIGNATURE} bytes")

    def digest(self) -> bytes:
        """The 32 bytes that were signed."""
        return ballot_digest(self.ballot, self.chain_id, self.council)

    def encode(self) -> str:
        """The file's text: JSON for machines and, with the action and the reason in words, for people."""
        ballot = {
            "agent": "0x" + self.ballot.agent.hex(),
            "action": self.ballot.action.name.lower(),
            "param": "0x" + self.ballot.param.hex(),
            "epoch": self.ballot.epoch,
            "set_version": self.ballot.set_version,
            "signer": checksum_address(self.ballot.signer),
            "deadline": self.ballot.deadline,
            "reason": "0x" + self.ballot.reason.hex(),
        }
        signed = {
            "format": BALLOT_FORMAT,
            "chain_id": self.chain_id,
            "council": checksum_address(self.council),
            "ballot": ballot,
            "reason": self.reason,
            "signature": "0x" + self.signature.hex(),
        }
        return json.dumps(signed, indent=2, allow_nan=False) + "\n"

    @classmethod
    def decode(cls, text: str) -> Self:
        """The signed ballot of a file. Raises `MalformedBallot` unless every key and value is as `encode` writes them.

        Spaces and the order of keys don't matter, for people edit files; what was signed is checked by its hash.
        """
        if len(text) > MAX_FILE:
            raise MalformedBallot(f"the file is longer than {MAX_FILE} characters")
        try:
            value = canonical.parse(text.encode())
        except ValueError as error:  # NotCanonical, or a text that has no UTF-8
            raise MalformedBallot(f"the file can't be read: {error}") from error
        file, ballot = _keys(value, _FILE_KEYS, "file"), _keys(value.get("ballot"), _BALLOT_KEYS, "ballot")
        if file["format"] != BALLOT_FORMAT:
            raise MalformedBallot(f"the file's format is not {BALLOT_FORMAT}")
        if not isinstance(file["reason"], str):
            raise MalformedBallot("the reason is not text")
        return cls(
            chain_id=file["chain_id"],
            council=checksum_address(file["council"]),
            ballot=_decode_ballot(ballot),
            signature=_from_hex(file["signature"]),
            reason=file["reason"],
        )


_FILE_KEYS = frozenset({"format", "chain_id", "council", "ballot", "reason", "signature"})
_BALLOT_KEYS = frozenset({"agent", "action", "param", "epoch", "set_version", "signer", "deadline", "reason"})
_ACTIONS = {action.name.lower(): action for action in Action}


def _decode_ballot(value: Mapping[str, Any]) -> Ballot:
    action = _ACTIONS.get(value["action"]) if isinstance(value["action"], str) else None
    if action is None:
        raise MalformedBallot("the ballot's action is unknown")
    return Ballot(
        agent=_from_hex(value["agent"]),
        action=action,
        param=_from_hex(value["param"]),
        epoch=value["epoch"],
        set_version=value["set_version"],
        signer=checksum_address(value["signer"]),
        deadline=value["deadline"],
        reason=_from_hex(value["reason"]),
    )


def _keys(value: Any, expected: frozenset[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != expected:
        raise MalformedBallot(f"the {what} does not have exactly the keys {', '.join(sorted(expected))}")
    return value


def _from_hex(value: Any) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise MalformedBallot("a value is not 0x and pairs of lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])
