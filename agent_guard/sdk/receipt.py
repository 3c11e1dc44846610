"""The operator's signed word that an action stands in its log, checked before the agent gets it.

Guarantees of `checked`: the entry hashes to the leaf that the guard named when it allowed the action, the leaf is in
the tree of the signed head (RFC 9162), and the head is signed (EIP-712) by the operator that the caller names. Who
keeps such a receipt can prove it, should the operator ever show another history: `agent-guard log accuse`. Imported
when first asked for: an agent that wants no receipts loads nothing of this.
"""

import os
import time
from dataclasses import dataclass
from typing import Any

from agent_guard.errors import GuardError
from agent_guard.merkle import ProofError, leaf_hash, verify_inclusion
from agent_guard.sdk.wire import Wire
from agent_guard.typed_data import MalformedBallot, SignedHead, checksum_address
from agent_guard.typed_data.signed_head import bytes_of

MOST_HASHES = 64
OPERATOR_VARIABLE = "AGENT_GUARD_OPERATOR"
ASK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Receipt:
    """That `entry` (canonical JSON) is entry `seq` of the log with the signed head `head`.

    `inclusion` holds 32-byte hashes, lowest first. `head.encode()` is the text of a file for `agent-guard log accuse`.
    """

    seq: int
    entry: bytes
    head: SignedHead
    inclusion: tuple[bytes, ...]


def ask(wire: Wire, seq: int, leaf: str | None, operator: str | None, patience: float) -> Receipt:
    """The receipt of action `seq`, asked for until there is one; see `Action.receipt`."""
    signer, deadline = _signer(operator), time.monotonic() + patience
    while (found := checked(seq, leaf, wire.request("GET", f"/v1/actions/{seq}"), signer)) is None:
        if time.monotonic() >= deadline:
            raise GuardError(
                "AG436",
                f"The guard has signed no head that covers action {seq} yet.",
                "Ask again in a moment.",
            )
        time.sleep(ASK_AGAIN_SECONDS)
    return found


def checked(seq: int, leaf: str | None, answer: dict[str, Any], operator: str) -> Receipt | None:
    """The receipt in an answer of `GET /v1/actions/{seq}`; None if there is none yet.

    Args:
        leaf: the leaf hash ("0x" hex) that the guard gave with its yes.
        operator: who must have signed, checksummed.

    Raises:
        GuardError: AG435 if it does not hold.
    """
    if answer.get("receipt") is None:
        return None
    try:
        receipt = _parsed(seq, answer)
        _check(receipt, leaf, operator)
    except (MalformedBallot, ProofError) as error:
        raise GuardError(
            "AG435",
            f"The receipt of action {seq} does not hold: {error}.",
            "Keep the answer as evidence; do not rely on this guard's log.",
        ) from error
    return receipt


def _parsed(seq: int, answer: dict[str, Any]) -> Receipt:
    given, entry = answer["receipt"], answer.get("entry")
    hashes = given.get("inclusion") if isinstance(given, dict) else None
    if not isinstance(entry, str) or not isinstance(hashes, list) or len(hashes) > MOST_HASHES:
        raise MalformedBallot("the answer has not the shape of a receipt")
    head = SignedHead.of({name: value for name, value in given.items() if name != "inclusion"})
    try:
        return Receipt(seq, entry.encode(), head, tuple(map(bytes_of, hashes)))
    except UnicodeEncodeError as error:
        raise MalformedBallot("the entry holds characters that have no UTF-8") from error


def _check(receipt: Receipt, leaf: str | None, operator: str) -> None:
    hashed = leaf_hash(receipt.entry)
    if leaf != "0x" + hashed.hex():
        raise MalformedBallot("the entry is not the one that the guard named when it said yes")
    verify_inclusion(hashed, receipt.seq, receipt.head.size, receipt.inclusion, receipt.head.root)
    if operator != receipt.head.operator or receipt.head.signer() != operator:
        raise MalformedBallot(f"its head is not signed by operator {operator}")


def _signer(operator: str | None) -> str:
    """Who must have signed: the one that is named, else by AGENT_GUARD_OPERATOR. Raises AG436 for nobody."""
    try:
        return checksum_address(os.environ.get(OPERATOR_VARIABLE, "") if operator is None else operator)
    except MalformedBallot as error:
        raise GuardError(
            "AG436",
            f"No receipt can be checked: the operator that should have signed it is not named ({error}).",
            f"Name its address: action.receipt(operator=...), or {OPERATOR_VARIABLE}.",
        ) from error
