"""Bad nodes before a real guard: down, slow, lying, lagging, forking, and reorganising a halt away.

Both directions each time: what is no longer known, or said by a stop, freezes or kills within the published bound; a
trouble that a quorum outvotes, or that is over within the grace, harms no healthy work. Three proxies stand before one
Anvil, and each says what its test wants.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

pytestmark = pytest.mark.drill

BLOCK_AGE, GRACE, POLL, TIMEOUT = 3.0, 3.0, 0.2, 1.0
HASTY = {
    "AGENT_GUARD_RPC_TIMEOUT": str(TIMEOUT),
    "AGENT_GUARD_POLL": str(POLL),
    "AGENT_GUARD_MAX_BLOCK_AGE": str(BLOCK_AGE),
    "AGENT_GUARD_UNKNOWN_GRACE": str(GRACE),
}
# On a loaded machine everything takes longer; the bounds without these settings lie beyond two minutes.
SLACK = 20.0
# Where nothing may happen: a node that is starved for some seconds is no trouble of the kind that is tested.
PATIENT = {"AGENT_GUARD_MAX_BLOCK_AGE": "8"}
BOUND = BLOCK_AGE + GRACE + POLL + TIMEOUT + SLACK


@pytest.fixture
def anvil_of_ones_own(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A ticking Anvil whose past and clock the test may change."""
    from agent_guard.devnet.anvil import Anvil

    path = f"{request.config.rootpath}/node_modules/.bin:{os.environ['PATH']}"
    with mock.patch.dict(os.environ, PATH=path), Anvil(block_time=1) as anvil:
        yield anvil


@pytest.fixture
def town(anvil_of_ones_own: Any, found: Callable[..., Any]) -> Any:
    made = found(anvil_of_ones_own, resume_delay=1)
    made.register("indexer")
    return made


@pytest.fixture
def nodes(town: Any, rpc_proxy: Callable[[str], Any]) -> list[Any]:
    """Three nodes before the town's chain."""
    return [rpc_proxy(town.anvil.url) for _ in range(3)]


@pytest.fixture
def run(town: Any, nodes: list[Any], guard: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a guard that reads these nodes, or the first `count` of them."""

    def start(count: int = 3, **environ: str) -> Any:
        urls = ",".join(node.url for node in nodes[:count])
        return guard(town, "resist(); beat()", ETH_RPC_URL=urls, **HASTY | environ)

    return start


def goes_on(run: Any, seconds: float) -> None:
    """The agent works all the time, and nothing is told of it."""
    ends, before = time.monotonic() + seconds, len(run.events_so_far())
    while time.monotonic() < ends:
        assert run.beats(), f"{run.events_so_far()[-1]}, {run.told}"
    assert not {"frozen", "halted", "dead"} & set(run.events_so_far()[before:])


def dies(run: Any, within: float, *nodes: Any) -> dict[str, Any]:
    """Dead in time, by the guard's word and by ours; then the nodes are well again, so that the receipt is anchored."""
    dead = run.event("dead", within)
    assert run.alive() == []
    for node in nodes:
        node.ok()
    assert run.code() == 8
    return dict(dead)


TROUBLES = {
    "down": lambda node, town: node.down(),
    "hanging": lambda node, town: node.hang(),
    "slow": lambda node, town: node.slow(2.0),
    "dripping": lambda node, town: node.drip(0.05),
    "lagging": lambda node, town: node.lag(8),
    "stuck in the past": lambda node, town: node.freeze_at(1),
    "stuck, with a forged clock": lambda node, town: node.freeze_at(town.height(), forged_times=True),
    "refusing": lambda node, town: node.refuse(500),
    "failing": lambda node, town: node.error(),
    "mad": lambda node, town: node.garbage("HTML"),
    "flooding with heads": lambda node, town: node.heads("flood"),
    "announcing phantoms": lambda node, town: node.heads("phantom"),
}


def test_one_bad_node_of_three_in_any_way_stops_no_healthy_work_and_hides_no_halt(run, nodes, town):
    running = run(**PATIENT)
    for name, spoil in TROUBLES.items():
        running.told.append({"said": name})
        spoil(nodes[1], town)
        goes_on(running, 1.5)
        nodes[1].ok()
        assert running.alive(), name
    nodes[1].say_running()

    town.vote("halt", "indexer", "signer1", "signer2")

    assert dies(running, 2 + SLACK)["reason"] == "halted by the council"


def test_two_nodes_down_freeze_the_agent_and_within_the_grace_it_goes_on(run, nodes):
    running = run()

    for node in nodes[:2]:
        node.down()
    frozen = running.event("frozen", BLOCK_AGE + POLL + TIMEOUT + SLACK)
    assert "no 2 endpoints agree" in frozen["reason"]
    assert running.stands_still()
    for node in nodes[:2]:
        node.ok()
    running.event("thawed")

    goes_on(running, 1)


def test_outage_shorter_than_a_blocks_age_is_not_even_noticed(run, nodes):
    running = run(**PATIENT)

    for _ in range(2):
        for node in nodes:
            node.down()
        time.sleep(1)
        for node in nodes:
            node.ok()
        goes_on(running, 1.5)


def test_outage_that_lasts_kills_within_the_bound(run, nodes):
    running = run()

    for node in nodes:
        node.hang()

    assert "no 2 endpoints agree" in dies(running, BOUND, *nodes)["reason"]


def test_one_node_that_cries_wolf_freezes_at_once_and_kills_only_if_it_goes_on(run, nodes, town):
    running = run()

    nodes[2].say_halted()
    frozen = running.event("frozen", 2 + SLACK)
    assert nodes[2].url in frozen["reason"]
    assert "it takes 2 to know" in frozen["reason"]
    nodes[2].ok()
    running.event("thawed")
    goes_on(running, 0.5)
    nodes[2].say_halted()

    assert f"for {GRACE:g} s" in dies(running, GRACE + POLL + SLACK)["reason"]
    # It was never confirmed, so nothing is kept: on honest nodes the agent may start again.
    nodes[2].ok()
    again = run()
    goes_on(again, 0.5)


def test_two_nodes_that_deny_a_halt_are_overruled_by_the_third_ones_proof(run, nodes, town):
    running = run()
    for node in nodes[:2]:
        node.say_running()

    town.vote("halt", "indexer", "signer1", "signer2")

    assert dies(running, 2 + SLACK)["reason"] == "halted by the council"


@pytest.mark.parametrize("proof", ["unsupported", "withheld"])
def test_two_nodes_that_deny_a_halt_win_time_and_not_the_agent_where_the_third_can_prove_nothing(
    run, nodes, town, proof
):
    running = run(AGENT_GUARD_FREEZE_ON_VOTE="false")
    nodes[2].prove(proof)
    for node in nodes[:2]:
        node.say_running()

    town.vote("halt", "indexer", "signer1", "signer2")

    frozen = running.event("frozen", 2 + SLACK)
    assert nodes[2].url in frozen["reason"]
    assert running.stands_still()
    dies(running, GRACE + POLL + SLACK)


def test_lone_node_that_denies_a_halt_is_found_out_by_its_own_proof(run, nodes, town):
    running = run(count=1)
    nodes[0].say_running()

    town.vote("halt", "indexer", "signer1", "signer2")

    running.event("frozen", 2 + SLACK)
    dies(running, GRACE + POLL + SLACK, nodes[0])


@pytest.mark.parametrize("forged", [False, True], ids=["true times", "forged times"])
def test_lone_node_that_serves_an_old_valid_state_for_ever_is_no_fresh_word(run, nodes, town, forged):
    running = run(count=1)
    nodes[0].freeze_at(town.height(), forged_times=forged)

    town.vote("halt", "indexer", "signer1", "signer2")

    running.event("frozen", BLOCK_AGE + POLL + SLACK)
    dies(running, GRACE + POLL + SLACK, nodes[0])


def test_with_proofs_required_a_node_that_serves_none_lets_nothing_start(town, nodes, cli):
    nodes[0].prove("unsupported")
    environ = HASTY | {"AGENT_GUARD_STATE_PROOFS": "require", "ETH_RPC_URL": nodes[0].url}
    cli.fails("AG421", 8, "run", "indexer", "--account", "operator", "--", "true", **environ)

    nodes[0].ok()
    cli("run", "indexer", "--account", "operator", "--", "true", **environ)


def test_node_on_a_fork_is_named_in_log_status_and_output_and_outvoted(run, nodes, town, twin):
    from tests.proxy import rpc

    fork = twin(town.anvil.url, block_time=1)
    payment = {"from": town.address("operator"), "to": town.address("signer1"), "value": "0x1"}
    rpc(fork.url, "eth_sendTransaction", payment)  # else both would go on with the very same blocks
    running = run()

    nodes[1].serve(fork.url)
    told = running.event("dissent")
    assert list(told["endpoints"]) == [nodes[1].url]
    goes_on(running, 1)
    town.vote("halt", "indexer", "signer1", "signer2")

    dies(running, 2 + SLACK)
    logged = [
        row for row in town.cli.ask("log", "list", "indexer", "--guard")["rows"] if row["kind"] == "dissent"
    ]
    assert nodes[1].url in str(logged[0])


def test_halt_that_is_reorganised_away_stays_seen_until_a_later_epoch_is_final(run, nodes, town, until):
    from tests.proxy import reorg_away

    running = run()
    before = town.height()
    town.vote("halt", "indexer", "signer1", "signer2")
    dies(running, 2 + SLACK)

    reorg_away(town.anvil.url, before + 1)
    town.rpc("evm_setTime", int(time.time()))
    town.rpc("evm_mine")
    assert town.state("indexer").state.name == "RUNNING"
    again = ("run", "indexer", "--account", "operator", "--", "true")
    until("a fresh block", lambda: time.time() - town.connection.endpoint.block().timestamp < 2)
    assert "halted by the council" in town.cli.fails("AG421", 8, *again)["message"]

    town.vote("halt", "indexer", "signer1", "signer2")
    town.vote("resume", "indexer", "signer1", "signer2")
    resume = ("vote", "resume", "indexer", "--account", "signer1", "--yes")
    until("the resume's delay", lambda: town.cli(*resume, expect=None).code == 0)
    town.rpc("evm_mine")
    until("the resume is final", lambda: town.cli(*again, expect=None).code == 0)


def test_chain_whose_clock_jumps_ahead_or_stands_still_is_no_fresh_word(run, town):
    running = run(count=1)

    town.rpc("evm_increaseTime", 100)
    town.rpc("evm_mine")

    assert "no fresh word" in running.event("frozen", POLL + SLACK)["reason"]
    dies(running, GRACE + POLL + SLACK)


def test_halt_is_seen_by_the_poll_when_no_block_is_announced(run, nodes, town):
    for node in nodes:
        node.heads("silent")
    running = run()

    town.vote("halt", "indexer", "signer1", "signer2")

    dies(running, POLL + SLACK)
