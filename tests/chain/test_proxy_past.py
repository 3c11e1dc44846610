"""Proxies and helpers that change which chain, or how much of it, is seen: in the past, on a fork, after a reorg."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import rlp
from eth_utils import keccak, to_bytes
from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, Web3RPCError

from agent_guard.chain.artifact import council_artifact
from agent_guard.typed_data import agent_id
from tests.proxy import reorg_away, rpc

pytestmark = pytest.mark.chain

INDEXER = agent_id("indexer")
MAY_RUN = "0x" + keccak(text="mayRun(bytes32)")[:4].hex() + INDEXER.hex()
SLOT = "0x" + keccak(INDEXER + (2).to_bytes(32, "big")).hex()
RUNNING, HALTED = 1, 4
NUMBERS = "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas"
HEADER = """
parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit gasUsed
timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot
requestsHash
"""


@pytest.fixture(scope="module")
def anvil(young_anvil: Any) -> Any:
    return young_anvil


@pytest.fixture
def proxy(town: Any, rpc_proxy: Any) -> Any:
    town.register("indexer")
    return rpc_proxy(town.anvil.url)


def web3(url: str) -> Web3:
    return Web3(HTTPProvider(url, exception_retry_configuration=None))


def state(url: str, town: Any, block: Any = "latest") -> int:
    contract = web3(url).eth.contract(town.contract.address, abi=council_artifact()["abi"])
    return int(contract.functions.snapshot([INDEXER]).call(block_identifier=block)[0][1])


def header(url: str, block: str | int = "latest") -> dict[str, Any]:
    named = hex(block) if isinstance(block, int) else block
    return dict(rpc(url, "eth_getBlockByNumber", named, False))


def hash_of(head: dict[str, Any]) -> str:
    values = [
        rlp.sedes.big_endian_int.serialize(int(head[name], 16))
        if name in NUMBERS.split()
        else to_bytes(hexstr=head[name])
        for name in HEADER.split()
    ]
    return "0x" + keccak(rlp.encode(values)).hex()


def halt(town: Any) -> int:
    """Halts the agent; the number of the first block of the two that do."""
    town.vote("HALT", "indexer", "signer1", "signer2")
    return int(town.height()) - 1


def questions(town: Any) -> list[tuple[Any, ...]]:
    """All that a node can be asked about its head and about a block far beyond it."""
    call = {"to": town.contract.address, "data": MAY_RUN}
    asked: list[tuple[Any, ...]] = [
        ("eth_blockNumber",),
        ("eth_chainId",),
        ("eth_call", call),
        ("eth_getLogs", {"fromBlock": "0x0", "address": town.contract.address}),
        ("eth_getStorageAt", town.contract.address, SLOT, "latest"),
        ("eth_getTransactionCount", town.address("signer1"), "latest"),
        ("eth_getCode", town.contract.address, "latest"),
    ]
    for tag in ("latest", "finalized", "safe", "earliest", "0x2", "0xffffff"):
        asked += [("eth_getBlockByNumber", tag, False), *of_block(town, tag)]
    for digest in (header(town.anvil.url, 2)["hash"], "0x" + "77" * 32):
        asked += by_hash(town, digest)
    return asked


def of_block(town: Any, block: Any) -> list[tuple[Any, ...]]:
    call = ("eth_call", {"to": town.contract.address, "data": MAY_RUN}, block)
    return [call, ("eth_getProof", town.contract.address, [SLOT], block)]


def by_hash(town: Any, digest: str) -> list[tuple[Any, ...]]:
    pinned = of_block(town, {"blockHash": digest, "requireCanonical": True})
    return [("eth_getBlockByHash", digest, False), *of_block(town, {"blockHash": digest}), *pinned]


def answers(url: str, asked: list[tuple[Any, ...]]) -> list[Any]:
    requests = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, *params) in enumerate(asked)
    ]
    return list(httpx.post(url, json=requests, timeout=30, trust_env=False).json())


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["lag", "freeze"])
def test_node_in_the_past_says_to_the_letter_what_anvil_said_then(town, proxy, how):
    town.rpc("anvil_mine", hex(70))  # so that something but the genesis block is final
    height, asked = town.height(), questions(town)
    before = answers(town.anvil.url, asked)
    halt(town)
    town.rpc("anvil_mine", hex(5))

    if how == "lag":
        proxy.lag(town.height() - height)
    else:
        proxy.freeze_at(height)

    assert answers(proxy.url, asked) == before != answers(town.anvil.url, asked)
    for block in ("latest", "pending"):
        assert (state(town.anvil.url, town, block), state(proxy.url, town, block)) == (HALTED, RUNNING)


def test_node_in_the_past_knows_newer_blocks_by_hash_no_more_than_anvil_knows_invented_ones(town, proxy):
    proxy.freeze_at(town.height())
    halt(town)

    for number in (town.height() - 1, town.height()):
        newer = by_hash(town, header(town.anvil.url, number)["hash"])
        assert answers(proxy.url, newer) == answers(town.anvil.url, by_hash(town, "0x" + "77" * 32))
        assert all(answer.get("result") for answer in answers(town.anvil.url, newer))


def test_lagging_node_follows_at_its_distance_and_a_frozen_one_never_moves(town, proxy, rpc_proxy):
    frozen, height = rpc_proxy(town.anvil.url), town.height()
    proxy.lag(2)
    frozen.freeze_at(height)

    for grown in range(1, 4):
        town.rpc("evm_mine")
        assert web3(proxy.url).eth.block_number == height + grown - 2
        assert web3(frozen.url).eth.get_block("latest")["number"] == height
    with pytest.raises(BlockNotFound):
        web3(frozen.url).eth.get_block(height + 1)
    with pytest.raises(Web3RPCError, match="BlockOutOfRangeError"):
        state(frozen.url, town, height + 1)


def test_receipts_of_newer_blocks_are_not_there_yet(town, proxy):
    halt(town)
    (sent,) = header(town.anvil.url)["transactions"]
    proxy.lag(1)

    assert rpc(town.anvil.url, "eth_getTransactionReceipt", sent) is not None
    assert rpc(proxy.url, "eth_getTransactionReceipt", sent) is None
    assert rpc(proxy.url, "eth_getTransactionByHash", sent) is None


def test_old_state_has_its_true_old_time_or_a_forged_one_that_its_hash_denies(town, proxy):
    height = town.height()
    town.pass_time(500)
    true = header(town.anvil.url, height)
    proxy.freeze_at(height)
    assert header(proxy.url) == true
    assert hash_of(true) == true["hash"]

    proxy.freeze_at(height, forged_times=True)

    forged = header(proxy.url)
    assert abs(int(forged["timestamp"], 16) - time.time()) < 30
    assert forged | {"timestamp": true["timestamp"]} == true
    assert hash_of(forged) != forged["hash"]
    assert rpc(proxy.url, "eth_getBlockByHash", true["hash"], False)["timestamp"] >= forged["timestamp"]
    assert state(proxy.url, town) == RUNNING


def test_twin_shares_the_past_to_the_letter_and_then_goes_its_own_way(town, proxy, twin):
    registered = town.height()
    town.rpc("evm_mine")
    shared = registered + 1
    other = twin(town.anvil.url)
    first = halt(town)

    for number in (0, 1, shared):
        assert header(other.url, number) == header(town.anvil.url, number)
    rpc(other.url, "anvil_mine", hex(town.height() - shared))
    assert header(other.url, first)["parentHash"] == header(town.anvil.url, shared)["hash"]
    assert header(other.url, first)["hash"] != header(town.anvil.url, first)["hash"]
    assert state(other.url, town, registered) == RUNNING  # its history came along

    assert state(proxy.url, town) == HALTED
    proxy.serve(other.url)
    assert state(proxy.url, town) == RUNNING
    assert header(proxy.url) == header(other.url)
    proxy.ok()
    assert state(proxy.url, town) == HALTED


def test_reorg_takes_the_halt_away_changes_the_hashes_and_leaves_the_clock_alone(town, proxy):
    town.pass_time(50)
    before = town.height()
    first = halt(town)
    gone = header(town.anvil.url, first + 1)
    town.pass_time(30)
    clock = int(header(town.anvil.url, "pending")["timestamp"], 16) - time.time()
    assert state(proxy.url, town) == HALTED

    reorg_away(town.anvil.url, first)

    assert (state(proxy.url, town), town.height()) == (RUNNING, before + 3)
    assert header(proxy.url, first + 1)["hash"] != gone["hash"]
    assert header(proxy.url, first)["parentHash"] == header(proxy.url, before)["hash"]
    assert rpc(proxy.url, "eth_getBlockByHash", gone["hash"], False) is None
    with pytest.raises(AssertionError, match="Resource not found"):
        rpc(proxy.url, "eth_call", {"to": town.contract.address}, {"blockHash": gone["hash"]})
    town.rpc("evm_mine")
    assert int(header(town.anvil.url)["timestamp"], 16) - time.time() == pytest.approx(clock, abs=3)


def test_reorg_of_a_chain_that_ticks_keeps_its_blocks_fresh(ticking_anvil, found):
    town = found(ticking_anvil)
    town.register("indexer")
    first = halt(town)
    seen = int(header(ticking_anvil.url, first)["timestamp"], 16)
    until(lambda: int(header(ticking_anvil.url)["timestamp"], 16) >= seen + 5)

    reorg_away(ticking_anvil.url, first)

    assert state(ticking_anvil.url, town) == RUNNING
    # A clock that stayed behind would lag by five seconds for ever.
    until(lambda: time.time() - int(header(ticking_anvil.url)["timestamp"], 16) < 3)
