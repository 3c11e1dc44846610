"""Receipts in the SDK: one that holds is given, any other is refused, whatever was changed."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from eth_account import Account

from agent_guard.errors import GuardError
from agent_guard.merkle import inclusion_proof, leaf_hash, subtree_of, tree_root
from agent_guard.sdk import Denied, Guard
from agent_guard.typed_data import SignedHead, head_typed_data

pytestmark = pytest.mark.unit

OPERATOR, STRANGER = Account.from_key(b"\x11" * 32), Account.from_key(b"\x22" * 32)
COUNCIL = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ENTRIES = [f'{{"n":{n}}}'.encode() for n in range(6)]
SEQ = 3


def shown(signer: Any = OPERATOR, entries: Sequence[bytes] = ENTRIES) -> dict[str, Any]:
    """What an honest guard answers of action 3, in a log of six."""
    leaves = subtree_of([leaf_hash(entry) for entry in entries])
    root = tree_root(6, leaves)
    message = head_typed_data(6, root, 31337, COUNCIL)
    signature = "0x" + bytes(Account.sign_typed_data(signer.key, full_message=message).signature).hex()
    receipt = {
        "chain_id": 31337,
        "council": COUNCIL,
        "operator": OPERATOR.address,
        "size": 6,
        "root": "0x" + root.hex(),
        "signature": signature,
        "inclusion": ["0x" + node.hex() for node in inclusion_proof(SEQ, 6, leaves)],
    }
    return {"seq": SEQ, "entry": entries[SEQ].decode(), "proof": None, "receipt": receipt}


class Door(httpx.MockTransport):
    """A guard that allows action 3 and then shows it as the test says, the last answer again and again."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.shows: list[Any] = [shown()]

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            said = self.shows.pop(0) if len(self.shows) > 1 else self.shows[0]
            return said if isinstance(said, httpx.Response) else httpx.Response(200, content=json.dumps(said))
        leaf = "0x" + leaf_hash(ENTRIES[SEQ]).hex()
        return httpx.Response(200, json={"seq": SEQ, "decision": "allow", "leaf_hash": leaf})


@pytest.fixture
def door() -> Door:
    return Door()


def acted(door: Door) -> Any:
    with Guard(transport=door).action("fs.write") as action:
        pass
    return action


def test_receipt_that_holds_is_given_and_its_head_is_a_file_to_accuse_with(door: Door) -> None:
    receipt = acted(door).receipt(OPERATOR.address)
    assert (receipt.seq, receipt.entry, receipt.head.size) == (SEQ, ENTRIES[SEQ], 6)
    assert SignedHead.decode(receipt.head.encode()) == receipt.head
    assert receipt.head.signer() == OPERATOR.address


def test_operator_may_be_named_by_the_environment(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_GUARD_OPERATOR", OPERATOR.address)
    assert acted(door).receipt().head.operator == OPERATOR.address
    monkeypatch.setenv("AGENT_GUARD_OPERATOR", STRANGER.address)
    with pytest.raises(GuardError, match="AG435"):
        acted(door).receipt()


@pytest.mark.parametrize("named", [None, "", "somebody", OPERATOR.address[:-1]])
def test_nobody_named_is_no_receipt(door: Door, named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT_GUARD_OPERATOR", raising=False)
    with pytest.raises(GuardError, match="AG436"):
        acted(door).receipt(named)


def test_receipt_is_waited_for(door: Door) -> None:
    door.shows = [shown() | {"receipt": None}, shown() | {"receipt": None}, shown()]
    assert acted(door).receipt(OPERATOR.address).head.size == 6


def test_receipt_that_does_not_come_is_not_waited_for_for_ever(door: Door) -> None:
    door.shows = [shown() | {"receipt": None}]
    with pytest.raises(GuardError, match="AG436"):
        acted(door).receipt(OPERATOR.address, patience=0)


def test_coroutines_get_it_too(door: Door) -> None:
    async def scene() -> int:
        async with Guard(transport=door).action("fs.write") as action:
            pass
        return int((await action.receipt_async(OPERATOR.address)).head.size)

    assert asyncio.run(scene()) == 6


def test_action_that_was_not_allowed_has_none(door: Door) -> None:
    with pytest.raises(RuntimeError):
        Guard(transport=door).action("fs.write").receipt(OPERATOR.address)


def test_refusal_to_answer_is_denied(door: Door) -> None:
    action = acted(door)
    door.shows = [httpx.Response(404, json={"error": {"code": "AG611", "message": "none", "remedy": "none"}})]
    with pytest.raises(Denied, match="AG611"):
        action.receipt(OPERATOR.address)


FALSE = [
    {"size": 5},
    {"size": 7},
    {"size": "6"},
    {"size": 2**64},
    {"root": "0x" + "00" * 32},
    {"chain_id": 1},
    {"council": STRANGER.address},
    {"operator": STRANGER.address},
    {"signature": "0x" + "11" * 65},
    {"signature": "0x"},
    {"signature": None},
    {"inclusion": []},
    {"inclusion": None},
    {"inclusion": ["0x" + "00" * 32] * 3},
    {"inclusion": ["0x00"] * 3},
    {"inclusion": [7] * 3},
    {"inclusion": ["0x" + "00" * 32] * 10_000},
    {"more": 1},
]


@pytest.mark.parametrize("change", FALSE, ids=str)
def test_receipt_with_anything_changed_does_not_hold(door: Door, change: dict[str, Any]) -> None:
    answer = shown()
    door.shows = [answer | {"receipt": answer["receipt"] | change}]
    with pytest.raises(GuardError, match="AG435"):
        acted(door).receipt(OPERATOR.address)


@pytest.mark.parametrize(
    "change",
    [{"receipt": []}, {"receipt": "x"}, {"entry": None}, {"entry": "{}"}, {"entry": "\ud800"}],
    ids=ascii,
)
def test_answer_of_another_shape_or_entry_does_not_hold(door: Door, change: dict[str, Any]) -> None:
    door.shows = [shown() | change]
    with pytest.raises(GuardError, match="AG435"):
        acted(door).receipt(OPERATOR.address)


def test_receipt_of_a_strangers_key_does_not_hold(door: Door) -> None:
    door.shows = [shown(STRANGER)]
    with pytest.raises(GuardError, match="AG435"):
        acted(door).receipt(OPERATOR.address)


def test_receipt_of_another_entry_of_the_log_does_not_hold(door: Door) -> None:
    door.shows = [shown() | {"entry": ENTRIES[2].decode()}]
    with pytest.raises(GuardError, match="AG435"):
        acted(door).receipt(OPERATOR.address)


def test_true_receipt_of_what_the_guard_put_in_the_entrys_place_does_not_hold(door: Door) -> None:
    """It is in the signed tree, at the action's own place; but the guard had named another leaf when it said yes."""
    door.shows = [shown(entries=[*ENTRIES[:SEQ], b'{"n":"another"}', *ENTRIES[SEQ + 1 :]])]
    with pytest.raises(GuardError, match="not the one that the guard named"):
        acted(door).receipt(OPERATOR.address)
