"""What happened on chain, from its events: across more blocks than one query may ask for."""

import pytest

from agent_guard.chain import history, ranges
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET

pytestmark = pytest.mark.chain


def test_events_of_more_blocks_than_one_query_takes_are_all_found_in_order(town, monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_BLOCKS", 2)
    monkeypatch.setattr(ranges, "MOST_BLOCKS", 2)
    first = town.connection.deployment.deploy_block
    # A vote in every block, so that one left out between two queries would be missed.
    town.register("one")
    town.register("two")
    town.rpc("anvil_mine", hex(9))
    town.register("three")
    last = town.connection.endpoint.block()

    assert history.registered_agents(town.contract, first, last) == [
        agent_id(name) for name in ("one", "two", "three")
    ]
    voted = list(history.events(town.contract, ["Voted"], first, last))
    assert len(voted) == 6
    assert [event.block_number for event in voted] == sorted(event.block_number for event in voted)


def test_events_after_the_pinned_block_are_left_out(town):
    before = town.connection.endpoint.block()
    town.register("late")

    assert history.registered_agents(town.contract, 0, before) == []


def test_latest_halt_is_the_newest_of_the_agent_or_of_the_fleet_with_its_first_vote(town):
    town.register("indexer")
    first = town.connection.deployment.deploy_block

    def latest(whom=None):
        whom = agent_id("indexer") if whom is None else whom
        return history.latest_halt(town.contract, whom, first, town.connection.endpoint.block())

    assert latest() is None
    town.vote("halt", "indexer", "signer1")
    voted = town.connection.endpoint.block()
    assert latest() is None
    town.pass_time(30)
    town.vote("halt", "indexer", "signer2")

    halt = latest()
    assert halt.block == town.connection.endpoint.block()
    assert halt.first_vote_at == voted.timestamp < halt.block.timestamp
    assert halt.epoch == 1
    assert latest(FLEET) is None
    town.vote("halt", "--all", "signer1", "signer2")
    assert (latest(), latest(FLEET).block) == (halt, town.connection.endpoint.block())
    town.vote("retire", "indexer", "signer1", "signer2", "signer3")
    assert latest().block == town.connection.endpoint.block()


def test_halt_by_a_fork_proof_has_no_first_vote_though_one_stands(town):
    town.register("indexer")
    town.vote("halt", "indexer", "signer1")
    town.prove_fork("indexer")
    block = town.connection.endpoint.block()
    halt = history.latest_halt(town.contract, agent_id("indexer"), 0, block)
    assert (halt.block, halt.epoch, halt.first_vote_at) == (block, 1, 0)
