"""One node of three, at its worst: what it says alone kills no healthy agent."""

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.drill


@pytest.fixture
def nodes(drill: Any, rpc_proxy: Callable[[str], Any]) -> list[Any]:
    return [rpc_proxy(drill.anvil.url) for _ in range(3)]


@pytest.fixture
def run(drill: Any, nodes: list[Any], guard: Callable[..., Any]) -> Callable[..., Any]:
    def start(**environ: str) -> Any:
        urls = ",".join(node.url for node in nodes)
        return guard(drill, "beat()", ETH_RPC_URL=urls, AGENT_GUARD_POLL="0.2", **environ)

    return start


def test_lapse_that_one_node_invents_freezes_and_its_true_proof_of_a_running_agent_kills_nobody(run, nodes):
    running = run()

    nodes[2].lie(state=3, may_run=False)  # LAPSED; the proof it serves is the true one: no lease was ever set
    running.event("frozen")
    time.sleep(3)

    assert "dead" not in running.events_so_far()
    nodes[2].ok()
    running.event("thawed")
    assert running.beats()


def test_lapse_and_pause_that_are_true_are_shown_by_their_proofs(found, anvil):
    from agent_guard.chain.proof import prove, shows, slot_of

    town = found(anvil, lease=600, lease_grace=600, pause=60)
    before = town.rpc("evm_snapshot")
    town.register("indexer")
    town.vote("pause", "indexer", "signer1")
    endpoint = town.connection.endpoint

    def shown() -> str:
        block, header = endpoint.header()
        state = town.contract.snapshot([town.state("indexer").agent], block)[town.state("indexer").agent]
        slots = [slot_of(state.agent)]
        words = prove(header, block.hash, town.contract.address, slots, town.contract.proof(slots, block))
        assert shows(words[0], state, block.timestamp), state
        return str(state.state.name)

    assert shown() == "PAUSED"
    town.pass_time(61)
    assert shown() == "RUNNING"
    town.pass_time(600)
    assert shown() == "LAPSED"
    town.rpc("evm_revert", before)
