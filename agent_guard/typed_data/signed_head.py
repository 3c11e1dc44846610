"""A head of an operator's log with the operator's signature: a receipt, beside a published log, half of a fork proof.

Guarantees: a `SignedHead` holds values in range. Says nothing about the signature until `signer` is asked. Trusts
nobody.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from agent_guard import canonical
from agent_guard.typed_data.messages import MalformedBallot, checksum_address, head_digest

SIGNED_HEAD = "head.json"
"""The name of the file in which it lies beside a published checkpoint of the same head."""
MAX_SIGNATURE = 8_192
MAX_FILE = 32_768

KEYS = frozenset({"chain_id", "council", "operator", "size", "root", "signature"})
_HEX = re.compile(r"0x([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class SignedHead:
    """That `operator`'s log under `council` on chain `chain_id` had `size` entries with this RFC 6962 root (32 bytes).

    Addresses are checksummed; `signature` is 65 bytes of ECDSA over EIP-712, or what the operator's ERC-1271 code
    accepts (at most `MAX_SIGNATURE` bytes), unchecked here. Raises `MalformedBallot` for values out of range.
    """

    chain_id: int
    council: str
    operator: str
    size: int
    root: bytes
    signature: bytes

    def __post_init__(self) -> None:
        self.digest()  # refuses values out of range
        if self.operator != checksum_address(self.operator):
            raise MalformedBallot("the operator's address is not spelled as ERC-55 has it")
        if not isinstance(self.signature, bytes) or not 1 <= len(self.signature) <= MAX_SIGNATURE:
            raise MalformedBallot(f"a signature has 1 to {MAX_SIGNATURE} bytes")

    def digest(self) -> bytes:
        """The 32 bytes that were signed."""
        return head_digest(self.size, self.root, self.chain_id, self.council)

    def signer(self) -> str | None:
        """Whose ECDSA signature it is (checksummed), None if nobody's: a contract's only the chain can judge."""
        from agent_guard.typed_data.recover import recover_signer  # the curve is slow to import, and few ask

        return recover_signer(self.digest(), self.signature)

    def fields(self) -> dict[str, Any]:
        """The head as JSON has it."""
        return {
            "chain_id": self.chain_id,
            "council": checksum_address(self.council),
            "operator": self.operator,
            "size": self.size,
            "root": "0x" + self.root.hex(),
            "signature": "0x" + self.signature.hex(),
        }

    def encode(self) -> str:
        """The file's text, as `agent-guard log accuse` takes it."""
        return json.dumps(self.fields(), indent=2) + "\n"

    @classmethod
    def of(cls, value: object) -> Self:
        """The head in a JSON object of exactly these keys. Raises `MalformedBallot` for anything else."""
        if not isinstance(value, Mapping) or value.keys() != KEYS:
            raise MalformedBallot(f"a signed head has exactly the keys {', '.join(sorted(KEYS))}")
        return cls(
            chain_id=value["chain_id"],
            council=checksum_address(value["council"]),
            operator=checksum_address(value["operator"]),
            size=value["size"],
            root=bytes_of(value["root"]),
            signature=bytes_of(value["signature"]),
        )

    @classmethod
    def decode(cls, text: str) -> Self:
        """The head in a file's text, in any spacing and order of keys. Raises `MalformedBallot` if it is none."""
        if len(text) > MAX_FILE:
            raise MalformedBallot(f"the file is longer than {MAX_FILE} characters")
        try:
            value = canonical.parse(text.encode())
        except ValueError as error:  # NotCanonical, or a text that has no UTF-8
            raise MalformedBallot(f"the file can't be read: {error}") from error
        return cls.of(value)


def bytes_of(value: object) -> bytes:
    """The bytes in a JSON string. Raises `MalformedBallot` unless it is 0x and pairs of lower-case digits."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise MalformedBallot("a value is not 0x and pairs of lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])
