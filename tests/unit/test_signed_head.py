"""Signed heads: what is written is read back; whatever else comes is refused in one way."""

import json
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.typed_data import MalformedBallot, SignedHead, head_typed_data

pytestmark = pytest.mark.unit
COUNCIL = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ACCOUNT = Account.from_key(b"\x11" * 32)


def signed(size: int = 7, root: bytes = b"\1" * 32, chain_id: int = 1, council: str = COUNCIL) -> SignedHead:
    message = head_typed_data(size, root, chain_id, council)
    signature = bytes(Account.sign_typed_data(ACCOUNT.key, full_message=message).signature)
    return SignedHead(chain_id, council, ACCOUNT.address, size, root, signature)


@given(
    size=st.integers(0, 2**64 - 1), root=st.binary(min_size=32, max_size=32), chain=st.integers(1, 2**64 - 1)
)
def test_head_is_read_back_as_it_was_written_and_knows_its_signer(size: int, root: bytes, chain: int) -> None:
    head = signed(size, root, chain)
    assert SignedHead.decode(head.encode()) == head
    assert head.signer() == ACCOUNT.address


@pytest.mark.parametrize(
    "change", [{"size": 8}, {"root": b"\2" * 32}, {"chain_id": 2}, {"council": "0x" + "11" * 20}]
)
def test_signature_covers_every_field(change: dict[str, Any]) -> None:
    fields = {"chain_id": 1, "council": COUNCIL, "size": 7, "root": b"\1" * 32} | change
    moved = SignedHead(operator=ACCOUNT.address, signature=signed().signature, **fields)
    assert moved.signer() != ACCOUNT.address


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(text=st.text() | JSON.map(lambda value: json.dumps(value)))
def test_what_is_no_head_is_malformed_and_nothing_worse(text: str) -> None:
    with pytest.raises(MalformedBallot):
        SignedHead.decode(text)


@given(key=st.sampled_from(sorted(signed().fields())), value=JSON)
def test_any_one_field_of_another_kind_is_malformed_and_nothing_worse(key: str, value: object) -> None:
    fields = signed().fields() | {key: value}
    try:
        head = SignedHead.of(fields)
    except MalformedBallot:
        return
    assert head.fields() == fields  # it was a value of that kind after all


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, " " * 32_769, '{"size":1,"size":1}', "\ud800", json.dumps(signed().fields() | {"x": 1})],
)
def test_oversized_nested_doubled_or_foreign_text_is_malformed(text: str) -> None:
    with pytest.raises(MalformedBallot):
        SignedHead.decode(text)


def test_head_in_an_oversized_file_is_malformed_however_true() -> None:
    assert SignedHead.decode(signed().encode() + " " * 1_000) == signed()
    with pytest.raises(MalformedBallot, match="longer"):
        SignedHead.decode(signed().encode() + " " * 32_768)


def test_missing_field_is_malformed() -> None:
    for key in signed().fields():
        with pytest.raises(MalformedBallot):
            SignedHead.of({name: value for name, value in signed().fields().items() if name != key})
