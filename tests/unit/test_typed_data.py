import json
from dataclasses import fields, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.errors import GuardError
from agent_guard.typed_data import (
    MalformedBallot,
    SignedBallot,
    agent_id,
    ballot_digest,
    ballot_typed_data,
    checksum_address,
    domain_separator,
    head_digest,
    head_typed_data,
    reason_hash,
    struct_hash,
)
from agent_guard.types import FLEET, Action, Ballot

pytestmark = pytest.mark.unit

KEY = "0x" + "11" * 32
SIGNER = Account.from_key(KEY).address
COUNCIL = to_checksum_address("0x" + "c0" * 20)
REASON = "it rewrote the shutdown script"
BALLOT = Ballot(
    agent=agent_id("researcher-1"),
    action=Action.HALT,
    param=bytes(32),
    epoch=1,
    set_version=1,
    signer=SIGNER,
    deadline=1_800_000_000,
    reason=reason_hash(REASON),
)
SIGNATURE = bytes(
    Account.sign_typed_data(KEY, full_message=ballot_typed_data(BALLOT, 31337, COUNCIL)).signature
)
SIGNED = SignedBallot(31337, COUNCIL, BALLOT, SIGNATURE, REASON)

hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: to_checksum_address(raw))
ballots = st.builds(
    Ballot,
    agent=hashes,
    action=st.sampled_from([action for action in Action if action is not Action.NONE]),
    param=hashes,
    epoch=st.integers(0, 2**64 - 1),
    set_version=st.integers(0, 2**32 - 1),
    signer=addresses,
    deadline=st.integers(0, 2**64 - 1),
    reason=hashes,
)
chains = st.integers(0, 2**256 - 1)


def signable(message):
    """(domain separator, hashStruct, digest) as eth_account computes them from the JSON that a wallet gets."""
    encoded = encode_typed_data(full_message=json.loads(json.dumps(message)))
    return encoded.header, encoded.body, keccak(b"\x19\x01" + encoded.header + encoded.body)


# ------------------------------------------------------------------------------------------------------- EIP-712


@given(ballots, chains, addresses)
def test_a_ballots_hashes_are_those_of_a_wallet(ballot, chain_id, council):
    header, body, digest = signable(ballot_typed_data(ballot, chain_id, council))
    assert domain_separator(chain_id, council) == header
    assert struct_hash(ballot) == body
    assert ballot_digest(ballot, chain_id, council) == digest


@given(st.integers(0, 2**64 - 1), hashes, chains, addresses)
def test_a_heads_digest_is_that_of_a_wallet(size, root, chain_id, council):
    _, _, digest = signable(head_typed_data(size, root, chain_id, council))
    assert head_digest(size, root, chain_id, council) == digest


def test_the_ballots_type_is_the_contracts():
    described = ballot_typed_data(BALLOT, 1, COUNCIL)["types"]["Ballot"]
    assert "Ballot(" + ",".join(f"{field['type']} {field['name']}" for field in described) + ")" == (
        "Ballot(bytes32 agent,uint8 action,bytes32 param,uint64 epoch,uint32 setVersion,address signer,"
        "uint64 deadline,bytes32 reason)"
    )
    assert ballot_typed_data(BALLOT, 1, COUNCIL)["domain"] == {
        "name": "agent_guard Council",
        "version": "1",
        "chainId": 1,
        "verifyingContract": COUNCIL,
    }


def test_the_signature_of_a_wallet_recovers_to_the_signer():
    assert Account._recover_hash(ballot_digest(BALLOT, 31337, COUNCIL), signature=SIGNATURE) == SIGNER


def changed_ballots():
    yield replace(BALLOT, agent=FLEET)
    yield replace(BALLOT, action=Action.RESUME)
    yield replace(BALLOT, param=b"\x01" * 32)
    yield replace(BALLOT, epoch=2)
    yield replace(BALLOT, set_version=2)
    yield replace(BALLOT, signer=COUNCIL)
    yield replace(BALLOT, deadline=BALLOT.deadline + 1)
    yield replace(BALLOT, reason=bytes(32))


def test_every_field_every_chain_and_every_council_has_its_own_digest():
    changed = list(changed_ballots())
    assert len(changed) == len(fields(Ballot))
    digests = [ballot_digest(ballot, 31337, COUNCIL) for ballot in [BALLOT, *changed]]
    digests += [ballot_digest(BALLOT, 1, COUNCIL), ballot_digest(BALLOT, 31337, SIGNER)]
    digests += [head_digest(1, bytes(32), 31337, COUNCIL)]
    assert len(set(digests)) == len(digests)


def test_integers_that_javascript_rounds_go_to_the_wallet_as_text():
    message = ballot_typed_data(replace(BALLOT, deadline=2**64 - 1), 1, COUNCIL)["message"]
    assert (message["deadline"], message["epoch"]) == ("18446744073709551615", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": bytes(31)},
        {"agent": "0x" + "00" * 32},
        {"param": bytes(33)},
        {"reason": None},
        {"epoch": -1},
        {"epoch": 2**64},
        {"epoch": True},
        {"epoch": 1.0},
        {"set_version": 2**32},
        {"deadline": 2**64},
        {"deadline": "1800000000"},
        {"signer": "0x12"},
        {"signer": bytes(20)},
        {"signer": SIGNER.swapcase().replace("X", "x")},
        {"action": 1},
        {"action": Action.NONE},
        {"action": "halt"},
    ],
)
def test_a_ballot_out_of_range_is_refused_not_cut(change):
    with pytest.raises(MalformedBallot):
        ballot_digest(replace(BALLOT, **change), 31337, COUNCIL)
    with pytest.raises(MalformedBallot):
        ballot_typed_data(replace(BALLOT, **change), 31337, COUNCIL)


@pytest.mark.parametrize(
    ("chain_id", "council"),
    [(-1, COUNCIL), (2**256, COUNCIL), (True, COUNCIL), ("1", COUNCIL), (1, "0x"), (1, None)],
)
def test_a_domain_out_of_range_is_refused(chain_id, council):
    with pytest.raises(MalformedBallot):
        domain_separator(chain_id, council)
    with pytest.raises(MalformedBallot):
        ballot_typed_data(BALLOT, chain_id, council)
    with pytest.raises(MalformedBallot):
        head_typed_data(1, bytes(32), chain_id, council)


@pytest.mark.parametrize(
    ("size", "root"), [(-1, bytes(32)), (2**64, bytes(32)), (1, bytes(31)), (True, bytes(32))]
)
def test_a_head_out_of_range_is_refused(size, root):
    with pytest.raises(MalformedBallot):
        head_digest(size, root, 1, COUNCIL)
    with pytest.raises(MalformedBallot):
        head_typed_data(size, root, 1, COUNCIL)


# ----------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("name", ["a", "0", "researcher-1", "a.b_c-d", "a" * 64])
def test_agent_id_is_keccak_of_the_name(name):
    assert agent_id(name) == keccak(text=name)


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "A", "-a", ".a", "_a", "a b", "a\n", "é", "а", "a/b", "a\x1b[2J", "../a", "a\x00"]
)
def test_a_name_that_could_look_like_another_is_refused_in_plain_text(name):
    with pytest.raises(GuardError) as caught:
        agent_id(name)
    assert caught.value.code == "AG101"
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


def test_reason_hash_is_keccak_and_no_reason_is_zero():
    assert reason_hash("grüße") == keccak(text="grüße")
    assert reason_hash("") == bytes(32)
    with pytest.raises(MalformedBallot):
        reason_hash("\ud800")


@given(st.binary(min_size=20, max_size=20))
def test_checksum_address_is_erc_55(raw):
    expected = to_checksum_address(raw)
    assert checksum_address(expected) == checksum_address("0x" + raw.hex()) == expected
    assert checksum_address("0x" + raw.hex().upper()) == expected


@pytest.mark.parametrize(
    "address", ["", "0x", COUNCIL[2:], COUNCIL + "0", "0X" + COUNCIL[2:], COUNCIL[:-1] + "g", None, 7]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(MalformedBallot):
        checksum_address(address)


def test_a_mistyped_address_is_refused():
    at = next(i for i, c in enumerate(SIGNER) if i > 1 and c.isalpha())
    with pytest.raises(MalformedBallot, match="mistyped"):
        checksum_address(SIGNER[:at] + SIGNER[at].swapcase() + SIGNER[at + 1 :])


# --------------------------------------------------------------------------------------------------------- files


@given(
    ballots, st.integers(0, 2**256 - 1), addresses, st.binary(min_size=1, max_size=200), st.text(max_size=50)
)
def test_a_signed_ballot_survives_its_file(ballot, chain_id, council, signature, reason):
    try:
        ballot = replace(ballot, reason=reason_hash(reason))
    except MalformedBallot:
        return
    signed = SignedBallot(chain_id, council, ballot, signature, reason)
    assert SignedBallot.decode(signed.encode()) == signed
    assert signed.digest() == ballot_digest(ballot, chain_id, council)


def test_a_file_shows_action_and_reason_in_words():
    shown = json.loads(SIGNED.encode())
    assert shown["ballot"]["action"] == "halt"
    assert shown["reason"] == REASON


def test_spaces_and_the_order_of_keys_do_not_matter():
    value = json.loads(SIGNED.encode())
    assert SignedBallot.decode(json.dumps(dict(reversed(value.items())), indent=7)) == SIGNED


def test_another_reason_than_the_signed_one_is_refused():
    with pytest.raises(MalformedBallot, match="reason"):
        SignedBallot.decode(SIGNED.encode().replace(REASON, "routine maintenance"))
    with pytest.raises(MalformedBallot, match="reason"):
        SignedBallot.decode(SIGNED.encode().replace(REASON, ""))


def broken_files():
    value = json.loads(SIGNED.encode())
    for key in value:
        yield f"without {key}", {k: v for k, v in value.items() if k != key}
    for key in value["ballot"]:
        yield (
            f"ballot without {key}",
            value | {"ballot": {k: v for k, v in value["ballot"].items() if k != key}},
        )
    yield "unknown key", value | {"note": ""}
    yield "unknown key in the ballot", value | {"ballot": value["ballot"] | {"note": ""}}
    yield "list", [value]
    yield "text", "ballot"
    yield "null ballot", value | {"ballot": None}
    for key, bad in [
        ("format", "agent-guard/ballot/2"),
        ("chain_id", "31337"),
        ("chain_id", True),
        ("chain_id", 1.0),
        ("chain_id", -1),
        ("council", COUNCIL[:-1]),
        ("council", None),
        ("reason", None),
        ("reason", 5),
        ("signature", "0x"),
        ("signature", "11" * 65),
        ("signature", "0x" + "AA" * 65),
        ("signature", "0x" + "11" * 8193),
        ("signature", "0x1"),
        ("signature", 17),
    ]:
        yield f"{key} {bad!s:.20}", value | {key: bad}
    for key, bad in [
        ("agent", "0x00"),
        ("agent", None),
        ("action", "HALT"),
        ("action", "none"),
        ("action", 1),
        ("action", ["halt"]),
        ("param", "0x" + "00" * 33),
        ("epoch", "1"),
        ("epoch", 1.0),
        ("epoch", True),
        ("epoch", 2**64),
        ("set_version", -1),
        ("signer", "0x0"),
        ("deadline", None),
        ("reason", "0x" + "11" * 32),
    ]:
        yield f"ballot {key} {bad!s:.20}", value | {"ballot": value["ballot"] | {key: bad}}


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in broken_files()])
def test_a_file_with_other_keys_or_values_is_refused(value):
    with pytest.raises(MalformedBallot):
        SignedBallot.decode(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[" * 60_000,
        " " * 70_000,
        SIGNED.encode().replace('"epoch": 1', '"epoch": 1, "epoch": 1'),
        SIGNED.encode().replace('"epoch": 1', '"epoch": NaN'),
        SIGNED.encode() + SIGNED.encode(),
        SIGNED.encode().replace(REASON, r"\ud800"),
    ],
)
def test_text_that_is_no_ballot_file_is_refused(text):
    with pytest.raises(MalformedBallot):
        SignedBallot.decode(text)


def test_a_reason_too_long_to_read_is_refused():
    long = "x" * 2001
    with pytest.raises(MalformedBallot, match="longer"):
        replace(SIGNED, ballot=replace(BALLOT, reason=reason_hash(long)), reason=long)
