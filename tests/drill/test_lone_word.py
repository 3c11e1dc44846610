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
    running.event("frozen", 8)
    time.sleep(3)

    assert "dead" not in running.events_so_far()
    nodes[2].ok()
    running.event("thawed", 8)
    assert running.beats()


def test_lapse_and_pause_that_are_true_are_shown_by_their_proofs(found, ticking_anvil, until):
    from agent_guard.chain.proof import prove, shows, slot_of

    town = found(ticking_anvil, lease=4, lease_grace=4, pause=2)
    town.register("indexer")
    town.vote("pause", "indexer", "signer1")
    endpoint, seen = town.connection.endpoint, set()

    def over() -> bool:
        block, header = endpoint.header()
        state = town.contract.snapshot([town.state("indexer").agent], block)[town.state("indexer").agent]
        slots = [slot_of(state.agent)]
        words = prove(header, block.hash, town.contract.address, slots, town.contract.proof(slots, block))
        assert shows(words[0], state, block.timestamp), state
        seen.add(state.state.name)
        return state.state.name == "LAPSED"

    until("the lease is over", over, 15)
    assert seen == {"PAUSED", "RUNNING", "LAPSED"}
