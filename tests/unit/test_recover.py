"""Whose signature it is, against eth_account's word, and that no bytes at all make it raise."""

import pytest
from eth_account import Account
from hypothesis import example, given
from hypothesis import strategies as st

from agent_guard.typed_data.recover import recover_signer

pytestmark = pytest.mark.unit

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = Account.from_key(b"\x01" * 32)
DIGEST = b"\x11" * 32
SIGNED = bytes(KEY.unsafe_sign_hash(DIGEST).signature)


def put(r: int, s: int, v: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


R, S, V = int.from_bytes(SIGNED[:32], "big"), int.from_bytes(SIGNED[32:64], "big"), SIGNED[64]


@given(st.binary(min_size=32, max_size=32).filter(any), st.binary(min_size=32, max_size=32))
def test_a_signature_is_its_keys_and_no_other_digests(key: bytes, digest: bytes) -> None:
    if int.from_bytes(key, "big") >= ORDER:
        return
    account = Account.from_key(key)
    signature = bytes(account.unsafe_sign_hash(digest).signature)
    assert recover_signer(digest, signature) == account.address
    other = bytes([digest[0] ^ 1]) + digest[1:]
    assert recover_signer(other, signature) != account.address


def test_the_other_s_of_the_same_signature_is_nobodys() -> None:
    """Who may turn one signature into two could pass for two ballots, and the contract takes the low one alone."""
    twin = put(R, ORDER - S, 55 - V)
    assert Account._recover_hash(DIGEST, signature=twin) == KEY.address
    assert recover_signer(DIGEST, twin) is None


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 37, 255])
def test_a_v_other_than_27_and_28_is_nobodys(v: int) -> None:
    assert recover_signer(DIGEST, put(R, S, v)) is None


@pytest.mark.parametrize("length", [0, 1, 63, 64, 66, 96, 130])
def test_a_signature_of_another_length_is_nobodys(length: int) -> None:
    assert recover_signer(DIGEST, (SIGNED * 3)[:length]) is None


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, S),
        (R, 0),
        (0, 0),
        (ORDER, S),
        (ORDER - 1, 1),
        (2**256 - 1, S),
        (R, ORDER // 2 + 1),
        (5, 1),
        (R, ORDER),
    ],
)
@pytest.mark.parametrize("v", [27, 28])
def test_numbers_that_are_no_signature_are_nobodys_or_a_strangers_and_never_raise(
    r: int, s: int, v: int
) -> None:
    assert recover_signer(DIGEST, put(r, s, v)) != KEY.address


@pytest.mark.parametrize("s", [ORDER // 2, ORDER // 2 + 1])
def test_the_largest_low_s_is_the_last_that_is_taken(s: int) -> None:
    taken = {recover_signer(DIGEST, put(R, s, v)) for v in (27, 28)}
    assert (taken == {None}) is (s > ORDER // 2)


@given(st.binary(max_size=40), st.binary(max_size=70) | st.binary(min_size=65, max_size=65))
@example(b"", SIGNED)
@example(b"\x11" * 31, SIGNED)
@example(b"\x11" * 33, SIGNED)
@example(DIGEST, b"\x00" * 64 + b"\x1b")
@example(DIGEST, b"\xff" * 64 + b"\x1b")
def test_no_bytes_make_it_raise(digest: bytes, signature: bytes) -> None:
    found = recover_signer(digest, signature)
    assert found is None or (found.startswith("0x") and len(found) == 42)


@given(st.integers(0, ORDER + 5), st.integers(0, ORDER // 2 + 5), st.sampled_from((27, 28)))
def test_numbers_around_the_order_never_raise(r: int, s: int, v: int) -> None:
    assert recover_signer(DIGEST, put(r % 2**256, s, v)) != KEY.address or (r, s) == (R, S)
