"""What a lying proxy says of the council, and what it hands out as proof: and that all else it says is true."""

from typing import Any

import pytest
import rlp
from eth_utils import keccak, to_bytes
from trie import HexaryTrie
from trie.exceptions import BadTrieProof
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3RPCError

from agent_guard.chain.artifact import council_artifact
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET, State
from tests.proxy import rpc

pytestmark = pytest.mark.chain

INDEXER, OTHER = agent_id("indexer"), agent_id("other")


@pytest.fixture
def proxy(town: Any, rpc_proxy: Any) -> Any:
    town.register("indexer")
    town.register("other")
    return rpc_proxy(town.anvil.url)


@pytest.fixture
def contract(town: Any, proxy: Any) -> Any:
    return web3(proxy.url).eth.contract(town.contract.address, abi=council_artifact()["abi"])


def web3(url: str) -> Web3:
    return Web3(HTTPProvider(url, exception_retry_configuration=None))


def rows(contract: Any, *agents: bytes) -> list[dict[str, Any]]:
    names = [
        field["name"] for field in contract.get_function_by_name("snapshot").abi["outputs"][0]["components"]
    ]
    return [dict(zip(names, row, strict=True)) for row in contract.functions.snapshot(list(agents)).call()]


def test_node_says_running_of_a_halted_agent_and_nothing_else_is_changed(town, proxy, contract):
    town.vote("HALT", "indexer", "signer1", "signer2")
    true = rows(contract, FLEET, INDEXER, OTHER)
    assert true[1]["state"] == State.HALTED

    proxy.say_running(INDEXER, epoch=9)

    false = rows(contract, FLEET, INDEXER, OTHER)
    changed = {"state": State.RUNNING, "mayRun": True, "haltVotes": 0, "epoch": 9}
    assert false == [true[0], true[1] | changed, true[2]]
    assert rpc(proxy.url, "eth_getBlockByNumber", "latest", False) == rpc(
        town.anvil.url, "eth_getBlockByNumber", "latest", False
    )
    assert not contract.functions.mayRun(INDEXER).call()


def test_node_says_halted_of_all_that_run(proxy, contract):
    proxy.say_halted()

    assert {row["state"] for row in rows(contract, FLEET, INDEXER, OTHER)} == {State.HALTED}
    assert not any(row["mayRun"] for row in rows(contract, FLEET, INDEXER, OTHER))
    proxy.ok()
    assert all(row["mayRun"] for row in rows(contract, FLEET, INDEXER, OTHER))


def test_any_field_of_any_agent_may_be_a_lie_and_the_last_one_told_counts(proxy, contract):
    proxy.lie(halt_votes=1)
    proxy.lie(OTHER, halted_size=7, operator="0x" + "11" * 20, root=b"\x22" * 32)
    proxy.lie(OTHER, epoch=3)

    indexer, other = rows(contract, INDEXER, OTHER)

    assert (indexer["haltVotes"], other["haltVotes"]) == (1, 1)
    assert (indexer["epoch"], other["epoch"], other["haltedSize"]) == (1, 3, 0)


def test_node_lies_about_the_signer_set(town, proxy, contract):
    true = contract.functions.council().call()
    mallory = "0x" + "66" * 20

    proxy.lie_about_council(signers=[mallory], thresholds=(1, 1, 1), set_version=5)

    assert contract.functions.council().call() == [[mallory], (1, 1, 1), true[2], 5]
    assert rows(contract, INDEXER)[0]["state"] == State.RUNNING
    with pytest.raises(ValueError, match="noSuchThing"):
        proxy.lie_about_council(no_such_thing=1)


def test_lies_of_a_council_that_is_not_there_are_not_told(proxy):
    proxy.say_running()
    nowhere = web3(proxy.url).eth.contract(
        Web3.to_checksum_address("0x" + "77" * 20), abi=council_artifact()["abi"]
    )

    assert (
        rpc(
            proxy.url,
            "eth_call",
            {"to": nowhere.address, "data": nowhere.encode_abi("snapshot", [[INDEXER]])},
        )
        == "0x"
    )


# --------------------------------------------------------------------------------------------------------- proofs


def slot(agent: bytes) -> int:
    return int.from_bytes(keccak(agent + (2).to_bytes(32, "big")), "big")


def ask(town: Any, url: str, agent: bytes = INDEXER, block: Any = "latest") -> Any:
    return web3(url).eth.get_proof(town.contract.address, [slot(agent).to_bytes(32, "big")], block)


def proven(town: Any, proof: Any, agent: bytes = INDEXER, block: Any = "latest") -> int:
    """What the proof shows of the agent's first slot at that block. Raises BadTrieProof if it shows nothing."""
    root = to_bytes(hexstr=rpc(town.anvil.url, "eth_getBlockByNumber", block, False)["stateRoot"])
    account = rlp.decode(walked(root, to_bytes(hexstr=town.contract.address), proof["accountProof"]))
    word = walked(account[2], slot(agent).to_bytes(32, "big"), proof["storageProof"][0]["proof"])
    return int.from_bytes(rlp.decode(word) if word else b"", "big")


def walked(root: bytes, key: bytes, nodes: Any) -> bytes:
    return bytes(HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(bytes(node)) for node in nodes]))


def test_true_proof_convicts_the_node_that_lies_in_its_snapshot(town, proxy, contract):
    town.vote("HALT", "indexer", "signer1", "signer2")
    proxy.say_running()

    assert rows(contract, INDEXER)[0]["state"] == State.RUNNING
    assert proven(town, ask(town, proxy.url)) & 0xFF == State.HALTED
    assert proven(town, ask(town, proxy.url, OTHER), OTHER) & 0xFF == State.RUNNING
    never = agent_id("never")
    assert proven(town, ask(town, proxy.url, never), never) == 0


def test_node_without_proofs_says_that_it_knows_no_such_method_or_null(town, proxy):
    proxy.prove("unsupported")
    with pytest.raises(Web3RPCError, match="-32601"):
        ask(town, proxy.url)
    proxy.prove("null")

    assert rpc(proxy.url, "eth_getProof", town.contract.address, [], "latest") is None


@pytest.mark.parametrize("kind", ["withheld", "truncated", "corrupted"])
def test_spoilt_proof_has_the_shape_of_one_and_proves_nothing(town, proxy, kind):
    proxy.prove(kind)
    spoilt = ask(town, proxy.url)

    with pytest.raises(BadTrieProof):
        proven(town, spoilt)
    assert spoilt["storageProof"][0]["value"] == ask(town, town.anvil.url)["storageProof"][0]["value"]
    assert (spoilt["accountProof"] == []) == (kind == "withheld")


def test_false_value_stands_beside_a_true_proof(town, proxy):
    proxy.prove("false value")
    proof = ask(town, proxy.url)

    assert int(proof["storageProof"][0]["value"].hex(), 16) & 0xFF == State.HALTED
    assert proven(town, proof) & 0xFF == State.RUNNING


def test_proof_of_another_slot_or_agent_bears_the_name_of_the_one_asked_for(town, proxy):
    town.vote("HALT", "indexer", "signer1", "signer2")
    proxy.prove("other slot", slot=slot(OTHER))
    proof = ask(town, proxy.url)

    assert int(proof["storageProof"][0]["key"].hex(), 16) == slot(INDEXER)
    assert int(proof["storageProof"][0]["value"].hex(), 16) & 0xFF == State.RUNNING
    assert proven(town, proof, OTHER) & 0xFF == State.RUNNING
    proxy.prove("other slot")
    operator = int(ask(town, proxy.url)["storageProof"][0]["value"].hex(), 16) & ((1 << 160) - 1)
    assert operator == int(town.address("operator"), 16)


def test_proof_of_an_older_block_holds_there_and_not_here(town, proxy):
    before = town.height()
    town.vote("HALT", "indexer", "signer1", "signer2")
    proxy.prove("older", block=before)
    proof = ask(town, proxy.url, block=town.height())

    assert proven(town, proof, block=hex(before)) & 0xFF == State.RUNNING
    with pytest.raises(BadTrieProof):
        proven(town, proof)
