"""State proofs of a real node, for every state that an agent can be in.

    CAPTURE_PROOFS=tests/vectors/proofs.json python -m pytest tests/chain/test_proof.py

writes what the node answered, for the unit tests.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_guard.chain.proof import prove, shows, slot_of
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET, AgentState, State

pytestmark = pytest.mark.chain

LEASE, GRACE = 5_000, 100


def proven(town: Any, agents: Sequence[bytes], captured: list[dict[str, Any]]) -> dict[bytes, AgentState]:
    """The agents' states at the newest block, each held against the state proof of the same block."""
    block, header = town.connection.endpoint.header("latest")
    states: dict[bytes, AgentState] = town.contract.snapshot(agents, block)
    slots = [slot_of(agent) for agent in agents]
    answer = town.contract.proof(slots, block)
    words = prove(header, block.hash, town.contract.address, slots, answer)
    for agent, word in zip(agents, words, strict=True):
        state = states[agent]
        assert shows(word, state, block.timestamp), state
        for other in State:
            # Which signer set decided a resume stands in the next slot.
            voided = {state.state, other} == {State.RESUMING, State.HALTED}
            if other is not state.state and not voided:
                assert not shows(word, replace(state, state=other), block.timestamp), (state, other)
        assert not shows(word, replace(state, epoch=state.epoch + 1), block.timestamp)
        assert not shows(word, replace(state, lease_until=state.lease_until + 1), block.timestamp)
    captured.append(
        {
            "address": town.contract.address,
            "header": {name: value for name, value in header.items() if name != "transactions"},
            "answer": answer,
            "agents": [
                {
                    "id": "0x" + agent.hex(), "state": states[agent].state.name, "epoch": states[agent].epoch,
                    "paused_until": states[agent].paused_until, "lease_until": states[agent].lease_until,
                }
                for agent in agents
            ],
        }
    )  # fmt: skip
    return states


def rotate(town: Any) -> None:
    council = town.contract.council(town.connection.endpoint.block())
    given = (list(council.signers), (2, 2, 3), bytes(32))
    calls = town.contract.contract.functions
    param = bytes(calls.rotationParam(*given).call())
    town.vote("ROTATE", "--all", "signer1", "signer2", param=param)
    town.pass_time(2)
    send(town, calls.finishRotation(*given), 1_000_000)


def send(town: Any, call: Any, gas: int) -> None:
    """Returns when it is mined: Anvil answers before that."""
    sent = call.transact({"from": town.address("operator"), "gas": gas})
    assert town.connection.endpoint.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1


def test_every_state_of_an_agent_is_shown_by_its_slot_and_no_other_state_is(anvil: Any, found: Any) -> None:
    town = found(anvil, lease=LEASE, lease_grace=GRACE)
    before = town.rpc("evm_snapshot")
    names = ("running", "paused", "pause-over", "halted", "resuming", "resumed", "retired", "never")
    agents = [FLEET, *map(agent_id, names)]
    both = ("signer1", "signer2")
    for name in names[:-1]:
        town.register(name)
    town.vote("PAUSE", "pause-over", "signer1")
    town.pass_time(61)
    town.vote("PAUSE", "paused", "signer1")
    for name in ("halted", "resuming", "resumed"):
        town.vote("HALT", name, *both)
    town.vote("RETIRE", "retired", *both, "signer3")
    town.vote("RESUME", "resumed", *both)
    town.pass_time(3)
    send(town, town.contract.contract.functions.finishResume(agent_id("resumed")), 200_000)
    town.vote("RESUME", "resuming", *both)
    captured: list[dict[str, Any]] = []
    try:
        states = proven(town, agents, captured)
        assert [states[agent].state.name for agent in agents] == [
            "RUNNING", "RUNNING", "PAUSED", "RUNNING", "HALTED", "RESUMING", "RUNNING", "RETIRED", "NONE",
        ]  # fmt: skip
        town.vote("PAUSE", "--all", "signer1")
        assert proven(town, agents, [])[FLEET].state is State.PAUSED
        rotate(town)
        states = proven(town, agents, [])
        assert states[agent_id("resuming")].state is State.HALTED  # decided by who is no longer the council
        town.pass_time(LEASE + 1)
        town.vote("HALT", "--all", *both)
        states = proven(town, agents, captured)
        assert (states[FLEET].state, states[agent_id("running")].state) == (State.HALTED, State.LAPSED)
    finally:
        town.rpc("evm_revert", before)
    if path := os.environ.get("CAPTURE_PROOFS"):
        Path(path).write_text(json.dumps(captured) + "\n")


def test_a_council_that_is_not_there_is_proven_to_hold_nothing(town: Any) -> None:
    block, header = town.connection.endpoint.header("latest")
    town.contract.address = "0x" + "77" * 20
    answer = town.contract.proof([slot_of(FLEET)], block)
    assert prove(header, block.hash, town.contract.address, [slot_of(FLEET)], answer) == [0]


def test_a_proof_of_another_block_is_no_proof_of_this_one(town: Any) -> None:
    town.register("alice")
    old, _ = town.connection.endpoint.header("latest")
    answer = town.contract.proof([slot_of(agent_id("alice"))], old)
    town.vote("HALT", "alice", "signer1", "signer2")
    block, header = town.connection.endpoint.header("latest")
    with pytest.raises(ValueError, match="BadTrieProof"):
        prove(header, block.hash, town.contract.address, [slot_of(agent_id("alice"))], answer)
