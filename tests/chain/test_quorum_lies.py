"""One node of three that lies in the small print, or never ends its answer: the other two are a quorum all the same."""

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.chain


@pytest.fixture
def nodes(town: Any, rpc_proxy: Callable[[str], Any]) -> list[Any]:
    town.register("indexer")
    return [rpc_proxy(town.anvil.url) for _ in range(3)]


@pytest.fixture
def quorum(nodes: list[Any]) -> Any:
    from agent_guard.chain.endpoint import Endpoint
    from agent_guard.chain.quorum import QuorumEndpoint

    return QuorumEndpoint([Endpoint(node.url, 5.0) for node in nodes], 2)


def altered(**fields: Any) -> Callable[..., Any]:
    return lambda request, forward: {"result": forward()["result"] | fields}


@pytest.mark.parametrize(
    "lie", [{"timestamp": "0x1"}, {"number": "0x1"}, {"baseFeePerGas": "0x" + "f" * 30}], ids=str
)
def test_block_whose_hash_is_true_and_whose_rest_one_node_made_up_is_not_taken(nodes, quorum, town, lie):
    honest = town.connection.endpoint.header()[1]
    nodes[0].on("eth_getBlockByNumber", altered(**lie))
    nodes[0].slow(0.15)  # the liar's word is the one that makes the quorum
    nodes[2].slow(0.4)

    for _ in range(3):
        header = quorum.header()[1]
        assert {name: header[name] for name in lie} == {name: honest[name] for name in lie}


@pytest.mark.parametrize("number", ["seven", None, [], "0x" + "f" * 100], ids=str)
def test_block_of_a_senseless_height_is_passed_over(nodes, quorum, number):
    nodes[0].on("eth_getBlockByNumber", altered(number=number))
    for slow in nodes[1:]:
        slow.slow(0.1)

    assert quorum.block().number > 0


def test_true_result_with_an_error_beside_it_is_no_word_of_the_quorum(nodes, quorum):
    nodes[2].on("eth_chainId", lambda request, forward: forward() | {"error": {"code": 1, "message": "no"}})
    nodes[1].slow(0.2)

    assert quorum.chain_id() == 31337


def test_node_that_never_ends_its_answers_is_waited_for_by_nobody(nodes, quorum):
    nodes[0].drip(0.2, headers=True)

    began = time.monotonic()
    for _ in range(40):
        quorum.block()

    assert time.monotonic() - began < 60  # 200, if each waited for it


def test_transaction_is_sent_and_a_command_ends_beside_a_node_that_never_ends_its_answers(town, cli, nodes):
    nodes[0].drip(0.2, headers=True)
    urls = {"ETH_RPC_URL": ",".join(node.url for node in nodes), "AGENT_GUARD_RPC_TIMEOUT": "5"}

    began = time.monotonic()
    cli("vote", "halt", "indexer", "--account", "signer1", "--yes", **urls)
    status = cli.ask("status", "indexer", **urls)

    assert status["halt_votes"] == 1
    assert time.monotonic() - began < 120
