"""Commands over several endpoints: what a quorum says is taken for true, and what one says alone is not."""

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.chain


@pytest.fixture
def nodes(town: Any, rpc_proxy: Callable[[str], Any]) -> list[Any]:
    return [rpc_proxy(town.anvil.url) for _ in range(3)]


@pytest.fixture
def urls(nodes: list[Any]) -> dict[str, str]:
    return {"ETH_RPC_URL": ",".join(node.url for node in nodes), "AGENT_GUARD_RPC_TIMEOUT": "10"}


@pytest.mark.parametrize("bad", ["down", "lying", "lagging", "mad", "none"])
def test_commands_do_their_work_with_one_bad_node_of_three(town, cli, nodes, urls, bad):
    town.register("indexer")
    {
        "down": nodes[0].down,
        "lying": nodes[0].say_halted,
        "lagging": lambda: nodes[0].lag(2),
        "mad": lambda: nodes[0].garbage("object"),
        "none": nodes[0].ok,
    }[bad]()

    assert cli.ask("status", "indexer", **urls)["state"] == "running"
    assert cli.ask("council", "show", **urls)["rows"]
    cli("vote", "halt", "indexer", "--account", "signer1", "--yes", **urls)
    cli("vote", "halt", "indexer", "--account", "signer2", "--yes", **urls)
    nodes[0].ok()

    assert cli.ask("status", "indexer", **urls)["state"] == "halted"
    assert town.state("indexer").state.name == "HALTED"


def test_without_a_quorum_nothing_is_taken_for_true_and_nothing_is_sent(town, cli, nodes, urls):
    town.register("indexer")
    sent = town.sent()
    nodes[0].say_halted()
    nodes[1].say_running()
    nodes[1].lie(epoch=7)

    error = cli.fails("AG209", 7, "status", "indexer", **urls)
    assert nodes[0].url in error["message"]
    cli.fails("AG209", 7, "vote", "halt", "indexer", "--account", "signer1", "--yes", **urls)
    assert town.sent() == sent


def test_two_nodes_down_of_three_are_no_quorum_and_no_long_wait(cli, nodes, urls):
    nodes[1].down()
    nodes[2].hang()

    began = time.monotonic()
    cli.fails("AG209", 7, "status", **urls | {"AGENT_GUARD_RPC_TIMEOUT": "1"})

    assert time.monotonic() - began < 40


def test_setting_says_how_many_must_agree(town, cli, nodes, urls):
    town.register("indexer")
    nodes[0].say_halted()

    cli.fails("AG209", 7, "status", "indexer", AGENT_GUARD_QUORUM="3", **urls)
    cli("status", "indexer", AGENT_GUARD_QUORUM="2", **urls)


def test_quorum_of_more_endpoints_than_there_are_is_refused(cli, urls):
    assert "quorum is 4" in cli.fails("AG102", 2, "status", AGENT_GUARD_QUORUM="4", **urls)["message"]


def test_node_that_is_named_twice_is_no_quorum_with_itself(town, cli):
    twice = f"{town.anvil.url},{town.anvil.url}/other/path"
    assert "more than once" in cli.fails("AG102", 2, "status", ETH_RPC_URL=twice)["message"]


def test_node_of_another_chain_is_outvoted_and_two_of_them_are_refused(town, cli, nodes, urls, rpc_proxy):
    from agent_guard.devnet.anvil import Anvil

    town.register("indexer")
    with Anvil() as other:
        nodes[0].serve(other.url)
        assert cli.ask("status", "indexer", **urls)["state"] == "running"
        nodes[1].serve(other.url)
        assert cli("status", "indexer", expect=None, **urls).code in (1, 7)


def test_audit_rests_on_a_quorum_too(town, cli, nodes, urls):
    town.register("indexer")
    nodes[0].say_running()
    nodes[0].lie(size=5)
    outcome = cli("audit", "indexer", "--json", expect=None, **urls)
    assert outcome.error["code"] == "AG510"  # there is no log here: the chain's side was read
