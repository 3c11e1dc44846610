"""Whose log an entry's proof is of, once the agent's operator has changed: by the chain's history, not by the log."""

from collections.abc import Iterator
from typing import Any

import pytest

from agent_guard.typed_data import agent_id
from tests.chain.guard import AGENT, Guard
from tests.chain.test_proof_files import guard, prove, verify

pytestmark = pytest.mark.chain
__all__ = ["guard"]


def appoint(town: Any, name: str) -> int:
    """Makes the key of that name the agent's operator; the block in which it is."""
    param = bytes(12) + bytes.fromhex(town.address(name)[2:])
    town.vote("SET_OPERATOR", AGENT, "signer1", "signer2", param=param)
    town.pass_time(5)
    change = town.contract.contract.functions.finishOperator(agent_id(AGENT), param)
    sent = change.transact({"from": town.address("signer1"), "gas": 500_000})
    return int(town.connection.endpoint.web3.eth.wait_for_transaction_receipt(sent)["blockNumber"])


def registered(town: Any) -> int:
    (event,) = town.contract.contract.events.Registered().get_logs(from_block=0)
    return int(event["blockNumber"])


def proof(of: Guard, seq: int, *options: str) -> Any:
    """A proof from this guard's own log."""
    path = of.town.folder / f"{of.operator.address}-{seq}{''.join(options)}.tlog-proof"
    of.town.cli("log", "prove", AGENT, seq, "--log", of.path, "-o", path, *options)
    return path


@pytest.fixture
def successor(guard: Guard) -> Iterator[Guard]:
    """Who wrote 4 entries about the agent in a log of his own, and anchored them, while another guarded it."""
    made = Guard(guard.town, guard.town.folder / "successor.sqlite", by="signer3")
    made.act(2)
    made.anchor.flush(60)
    yield made
    made.close()


def test_entries_from_before_an_operators_appointment_are_not_vouched_for(guard, successor):
    early = proof(successor, 3)
    found = verify(guard, early, "INDETERMINATE")
    assert "never guarded this agent" in found["detail"]
    block = appoint(guard.town, "signer3")
    found = verify(guard, early, "INDETERMINATE")
    assert (
        f"became this agent's guard when 4 entries of his log were on chain (block {block})"
        in found["detail"]
    )
    assert found["term"] is None


def test_proof_says_who_guards_the_agent_and_since_when(guard, successor):
    block = appoint(guard.town, "signer3")
    successor.act(2)
    successor.anchor.flush(60)
    found = verify(guard, proof(successor, 5), "VERIFIED")
    who = f"of operator {guard.town.address('signer3')}, who guards this agent since block {block}"
    assert who in found["detail"]
    assert found["term"] == {"since": block, "until": None, "start": 4, "end": None}


def test_proof_says_who_guarded_the_agent_once_and_who_followed(guard, successor):
    path = prove(guard, 7)
    first = registered(guard.town)
    assert verify(guard, path, "VERIFIED")["term"] == {"since": first, "until": None, "start": 0, "end": None}
    block = appoint(guard.town, "signer3")
    found = verify(guard, path, "VERIFIED")
    new = guard.town.address("signer3")
    assert f"who guarded this agent from block {first} to {block}, when {new} took over" in found["detail"]
    assert found["term"] == {"since": first, "until": block, "start": 0, "end": 20}
    said = guard.town.cli("audit", AGENT, "--log", path, "--json", expect=6).json
    assert said["integrity"]["detail"] == found["detail"]


def test_entry_that_names_a_block_from_before_the_appointment_is_not_vouched_for(guard, successor):
    """Written before, or falsely dated: anchored in his term it was all the same."""
    before = guard.town.contract.endpoint.block()
    block = appoint(guard.town, "signer3")
    intent = successor.act(1, block=before)
    successor.anchor.flush(60)
    found = verify(guard, proof(successor, intent), "INDETERMINATE")
    assert f"it names block {before.number}, when he did not" in found["detail"]
    assert before.number < block


def test_former_operator_who_is_appointed_again_has_two_terms(guard, successor):
    appoint(guard.town, "signer3")
    guard.act(1)  # in between, and anchored there
    guard.anchor.flush(60)
    block = appoint(guard.town, "operator")
    guard.act(1)
    guard.anchor.flush(60)
    assert verify(guard, proof(guard, 19), "VERIFIED")["term"]["end"] == 20
    found = verify(guard, proof(guard, 20), "INDETERMINATE")
    assert "was replaced as this agent's guard when 20 entries" in found["detail"]
    term = {"since": block, "until": None, "start": 22, "end": None}
    assert verify(guard, proof(guard, 22), "VERIFIED")["term"] == term


def test_block_hash_alone_does_not_show_since_when(guard):
    block = guard.town.contract.endpoint.block()
    found = verify(guard, prove(guard, 7, "--full"), "VERIFIED", "--block-hash", "0x" + block.hash.hex())
    assert (
        "who guarded this agent in the block of that hash (since when, it does not show)" in found["detail"]
    )
    assert found["term"] is None
