"""What the operator signs of a death: the same digest as every wallet computes, and no value cut to fit."""

from base64 import b64encode
from typing import Any

import pytest
from eth_account import Account
from eth_account._utils.encode_typed_data.encoding_and_hashing import hash_domain, hash_eip712_message
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.audit.receipts import vouches
from agent_guard.typed_data import MalformedBallot, death_digest, death_typed_data, head_digest
from agent_guard.typed_data.death import DEATH_FIELDS, FOUND_DEAD_FIELDS
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit

AGENT, CHAIN, COUNCIL = b"\xaa" * 32, 31337, "0x" + "11" * 20
FACTS: dict[str, Any] = {
    "epoch": 3, "vote": 1_700_000_000_000, "quorum": 1_700_000_001_000, "block": 1_700_000_001_000,
    "seen": 1_700_000_001_010, "frozen": 1_700_000_001_012, "dead": 1_700_000_001_030, "processes": 7,
    "mode": "cgroup+pidns",
}  # fmt: skip
times = st.integers(0, 2**64 - 1)
facts = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("epoch", "vote", "quorum", "block", "seen", "frozen", "dead"), times)
    | {"processes": st.integers(0, 2**32 - 1), "mode": st.text(st.characters(codec="ascii"), max_size=40)},
)


def wallets_digest(message: dict[str, Any]) -> bytes:
    """The 32 bytes as eth_account has them."""
    signable = encode_typed_data(full_message=message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(facts, st.binary(min_size=32, max_size=32), st.integers(0, 2**256 - 1))
def test_the_digest_is_the_one_that_a_wallet_computes(
    given_facts: dict[str, Any], agent: bytes, chain: int
) -> None:
    message = death_typed_data(agent, given_facts, chain, COUNCIL)
    assert death_digest(agent, given_facts, chain, COUNCIL) == wallets_digest(message)


def test_the_struct_and_the_domain_are_those_of_eip_712() -> None:
    message = death_typed_data(AGENT, FACTS, CHAIN, COUNCIL)
    types = {name: fields for name, fields in message["types"].items() if name != "EIP712Domain"}
    expected = hash_domain(message["domain"]) + hash_eip712_message(types, message["message"])
    assert death_digest(AGENT, FACTS, CHAIN, COUNCIL) == keccak(b"\x19\x01" + expected)


def test_what_the_operator_signs_is_found_to_be_his() -> None:
    key = Account.from_key(b"\x01" * 32)
    message = death_typed_data(AGENT, FACTS, CHAIN, COUNCIL)
    signature = bytes(Account.sign_typed_data(key.key, full_message=message).signature)
    assert recover_signer(death_digest(AGENT, FACTS, CHAIN, COUNCIL), signature) == key.address


def test_the_facts_are_all_that_is_signed_beside_the_agent() -> None:
    assert {name for name, _ in DEATH_FIELDS} == {"agent", *FACTS}


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_is_signed(name: str) -> None:
    changed = FACTS | {name: "other" if name == "mode" else FACTS[name] + 1}
    assert death_digest(AGENT, changed, CHAIN, COUNCIL) != death_digest(AGENT, FACTS, CHAIN, COUNCIL)


@pytest.mark.parametrize(
    ("agent", "chain", "council"),
    [(b"\xab" * 32, CHAIN, COUNCIL), (AGENT, 1, COUNCIL), (AGENT, CHAIN, "0x" + "12" * 20)],
)
def test_a_death_is_of_one_agent_of_one_council_on_one_chain(agent: bytes, chain: int, council: str) -> None:
    assert death_digest(agent, FACTS, chain, council) != death_digest(AGENT, FACTS, CHAIN, COUNCIL)


def test_what_is_not_known_is_signed_as_nought() -> None:
    for name in FACTS:
        known = {key: value for key, value in FACTS.items() if key != name}
        nought = FACTS | {name: "" if name == "mode" else 0}
        assert death_digest(AGENT, known, CHAIN, COUNCIL) == death_digest(AGENT, nought, CHAIN, COUNCIL)


def test_what_stands_beside_the_facts_is_not_signed() -> None:
    assert death_digest(AGENT, FACTS | {"reason": "x", "signature": "y"}, CHAIN, COUNCIL) == death_digest(
        AGENT, FACTS, CHAIN, COUNCIL
    )


def test_a_death_passes_for_no_head_of_a_log() -> None:
    assert death_digest(AGENT, {}, CHAIN, COUNCIL) != head_digest(0, bytes(32), CHAIN, COUNCIL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": -1}, {"epoch": 2**64}, {"seen": 1.5}, {"seen": True}, {"seen": "1"}, {"dead": None},
        {"processes": 2**32}, {"mode": 5}, {"mode": "cgröup"}, {"mode": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_fact_out_of_range_is_refused_and_not_cut_to_fit(wrong: dict[str, Any]) -> None:
    for function in (death_digest, death_typed_data):
        with pytest.raises(MalformedBallot):
            function(AGENT, FACTS | wrong, CHAIN, COUNCIL)


@pytest.mark.parametrize("agent", [b"", b"\xaa" * 31, b"\xaa" * 33, "0x" + "aa" * 32])
def test_an_agent_is_32_bytes(agent: Any) -> None:
    with pytest.raises(MalformedBallot):
        death_digest(agent, FACTS, CHAIN, COUNCIL)


# --- a life that a later guard found dead ----------------------------------------------------------------------------

FOUND: dict[str, Any] = {"life": 7, "found": 1_700_000_000_000, "known": "cgroup", "mode": "cgroup+pidns"}


def test_a_finding_is_signed_as_a_wallet_signs_it_and_with_every_fact() -> None:
    message = death_typed_data(AGENT, FOUND, CHAIN, COUNCIL)
    assert message["primaryType"] == "FoundDead"
    assert {name for name, _ in FOUND_DEAD_FIELDS} == {"agent", *FOUND}
    digest = death_digest(AGENT, FOUND, CHAIN, COUNCIL)
    assert digest == wallets_digest(message)
    for name, value in FOUND.items():
        changed = FOUND | {name: value + 1 if isinstance(value, int) else "other"}
        assert death_digest(AGENT, changed, CHAIN, COUNCIL) != digest


def test_a_finding_passes_for_no_death_that_was_timed_nor_the_other_way_round() -> None:
    timed = {name: value for name, value in FOUND.items() if name != "found"} | {"dead": FOUND["found"]}
    assert death_digest(AGENT, timed, CHAIN, COUNCIL) != death_digest(AGENT, FOUND, CHAIN, COUNCIL)
    assert not vouches(FOUND | {"dead": 5, "signature": signature_of(FOUND)}, AGENT, WHOSE)
    assert vouches(FOUND | {"signature": signature_of(FOUND)}, AGENT, WHOSE)
    assert not vouches(timed | {"signature": signature_of(FOUND)}, AGENT, WHOSE)


KEY = Account.from_key(b"\x01" * 32)
WHOSE = LogIdentity(CHAIN, COUNCIL, KEY.address)


def signature_of(given_facts: dict[str, Any]) -> str:
    message = death_typed_data(AGENT, given_facts, CHAIN, COUNCIL)
    return b64encode(bytes(Account.sign_typed_data(KEY.key, full_message=message).signature)).decode()


@pytest.mark.parametrize(
    "wrong", [{"found": -1}, {"found": True}, {"life": "7"}, {"known": 5}, {"mode": None}], ids=str
)
def test_a_finding_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedBallot):
        death_digest(AGENT, FOUND | wrong, CHAIN, COUNCIL)
