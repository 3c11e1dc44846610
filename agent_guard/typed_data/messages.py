"""The EIP-712 messages of ballots and heads, and the ids and addresses in them. Values out of range are refused."""

import re
from collections.abc import Mapping
from typing import Any

from eth_hash.auto import keccak

from agent_guard.errors import GuardError
from agent_guard.types import Action, Ballot

DOMAIN_NAME = "agent_guard Council"
DOMAIN_VERSION = "1"
NO_REASON = bytes(32)

Fields = tuple[tuple[str, str], ...]
DOMAIN_FIELDS: Fields = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
BALLOT_FIELDS: Fields = (
    ("agent", "bytes32"),
    ("action", "uint8"),
    ("param", "bytes32"),
    ("epoch", "uint64"),
    ("setVersion", "uint32"),
    ("signer", "address"),
    ("deadline", "uint64"),
    ("reason", "bytes32"),
)
HEAD_FIELDS: Fields = (("size", "uint64"), ("root", "bytes32"))

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_JSON_INTEGER = 2**53 - 1


class MalformedBallot(ValueError):  # noqa: N818 - what it is, said of the ballot
    """Values that no ballot (or head) can have, or a file that holds no signed ballot."""


# ---------------------------------------------------------------------------------------------------------------- ids


def agent_id(name: str) -> bytes:
    """The 32-byte id of an agent: keccak256 of its name in UTF-8.

    A name has 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen and starts with a letter or digit, so that no
    two names look alike; any other raises `GuardError` AG101.
    """
    if not _NAME.fullmatch(name):
        raise GuardError(
            "AG101",
            f"{name[:80]!a} is not an agent's name; nothing was done.",
            "Use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or a digit.",
        )
    return keccak(name.encode())


def reason_hash(text: str) -> bytes:
    """What stands on chain for a reason: keccak256 of its UTF-8, 32 zero bytes for no reason."""
    try:
        return keccak(text.encode()) if text else NO_REASON
    except UnicodeEncodeError as error:
        raise MalformedBallot("the reason holds characters that have no UTF-8") from error


def checksum_address(address: str) -> str:
    """The address as ERC-55 spells it. Raises `MalformedBallot` if it is none, or if its mixed case is another's."""
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise MalformedBallot("an address is 0x and 40 hexadecimal digits")
    digits = address[2:].lower()
    capitals = keccak(digits.encode()).hex()
    spelled = "0x" + "".join(c.upper() if h >= "8" else c for c, h in zip(digits, capitals, strict=False))
    if address[2:] not in (spelled[2:], digits, digits.upper()):
        raise MalformedBallot(f"{address} is mistyped: its capitals do not fit (ERC-55)")
    return spelled


# ------------------------------------------------------------------------------------------------------------ ballots


def ballot_typed_data(ballot: Ballot, chain_id: int, council: str) -> dict[str, Any]:
    """The whole EIP-712 message, as JSON for `eth_signTypedData_v4` and `Account.sign_typed_data(full_message=...)`."""
    struct_hash(ballot)  # refuses an action that is none
    return typed_data_of("Ballot", BALLOT_FIELDS, _ballot_values(ballot), chain_id, council)


def domain_separator(chain_id: int, council: str) -> bytes:
    """hashStruct of the EIP-712 domain, 32 bytes: the first of the two hashes that a hardware wallet shows."""
    names = keccak(DOMAIN_NAME.encode()) + keccak(DOMAIN_VERSION.encode())
    place = _word("uint256", chain_id) + _word("address", council)
    return keccak(_type_hash("EIP712Domain", DOMAIN_FIELDS) + names + place)


def struct_hash(ballot: Ballot) -> bytes:
    """hashStruct of the ballot, 32 bytes: the second of the two hashes that a hardware wallet shows."""
    if not isinstance(ballot.action, Action) or ballot.action is Action.NONE:
        raise MalformedBallot("the action is not one that can be voted on")
    return _struct_hash("Ballot", BALLOT_FIELDS, _ballot_values(ballot))


def ballot_digest(ballot: Ballot, chain_id: int, council: str) -> bytes:
    """The 32 bytes that the ballot's signer signs (`ICouncil.ballotDigest`)."""
    return _digest(chain_id, council, struct_hash(ballot))


# -------------------------------------------------------------------------------------------------------------- heads


def head_typed_data(size: int, root: bytes, chain_id: int, council: str) -> dict[str, Any]:
    """The EIP-712 message by which an operator vouches for a head of its log, in a form that a contract can check."""
    return typed_data_of("Head", HEAD_FIELDS, {"size": size, "root": root}, chain_id, council)


def head_digest(size: int, root: bytes, chain_id: int, council: str) -> bytes:
    """The 32 bytes that the operator signs for a head: entries and 32-byte RFC 6962 root."""
    return digest_of("Head", HEAD_FIELDS, {"size": size, "root": root}, chain_id, council)


# ----------------------------------------------------------------------------------------------------------- encoding


def _ballot_values(ballot: Ballot) -> dict[str, Any]:
    return {
        "agent": ballot.agent,
        "action": int(ballot.action),
        "param": ballot.param,
        "epoch": ballot.epoch,
        "setVersion": ballot.set_version,
        "signer": ballot.signer,
        "deadline": ballot.deadline,
        "reason": ballot.reason,
    }


def typed_data_of(
    name: str, fields: Fields, values: Mapping[str, Any], chain_id: int, council: str
) -> dict[str, Any]:
    """A struct of these fields in the council's domain. Raises `MalformedBallot` for values out of range."""
    digest_of(name, fields, values, chain_id, council)
    return {
        "types": {"EIP712Domain": _described(DOMAIN_FIELDS), name: _described(fields)},
        "primaryType": name,
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": _json(chain_id),
            "verifyingContract": checksum_address(council),
        },
        "message": {field: _json(values[field]) for field, _ in fields},
    }


def _described(fields: Fields) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]


def _json(value: int | bytes | str) -> int | str:
    """A value as wallets read it; integers that JavaScript would round go as decimal text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and value > _JSON_INTEGER else value


def digest_of(name: str, fields: Fields, values: Mapping[str, Any], chain_id: int, council: str) -> bytes:
    """The 32 bytes to sign for a struct in the council's domain. Raises `MalformedBallot` for values out of range."""
    return _digest(chain_id, council, _struct_hash(name, fields, values))


def _digest(chain_id: int, council: str, hashed: bytes) -> bytes:
    """EIP-712: keccak256(0x19 0x01 || domain separator || hashStruct(message))."""
    return keccak(b"\x19\x01" + domain_separator(chain_id, council) + hashed)


def _struct_hash(name: str, fields: Fields, values: Mapping[str, Any]) -> bytes:
    return keccak(_type_hash(name, fields) + b"".join(_word(kind, values[field]) for field, kind in fields))


def _type_hash(name: str, fields: Fields) -> bytes:
    return keccak(f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})".encode())


def _word(kind: str, value: Any) -> bytes:
    """One field as a 32-byte word. Raises `MalformedBallot` for what is not of that kind."""
    if kind == "bytes32":
        if not isinstance(value, bytes) or len(value) != 32:
            raise MalformedBallot("agent, param, reason and root are 32 bytes")
        return bytes(value)
    if kind == "address":
        return bytes(12) + bytes.fromhex(checksum_address(value)[2:])
    if kind == "string":
        if not isinstance(value, str) or not value.isascii():
            raise MalformedBallot("a word is not ASCII text")
        return keccak(value.encode())
    bits = int(kind.removeprefix("uint"))
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise MalformedBallot(f"a number is not an integer from 0 to 2^{bits} - 1")
    return value.to_bytes(32)
