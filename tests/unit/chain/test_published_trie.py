"""Ethereum's own test of its state tries, each account proven and none else, and two headers of its main network."""

import json
from pathlib import Path

import pytest
import rlp
from eth_hash.auto import keccak
from trie import HexaryTrie

from agent_guard.chain.proof import HEADER, ProofError, prove

pytestmark = pytest.mark.unit

SUITE = json.loads((Path(__file__).parents[2] / "vectors" / "tries.json").read_text())
ACCOUNTS = {key: bytes.fromhex(value[2:]) for key, value in SUITE["accounts"]}
NEVER_WRITTEN = bytes(32)
BARE = [key for key, account in ACCOUNTS.items() if rlp.decode(account)[2] == keccak(b"\x80")]
"""Accounts without storage, so that a proof of the account proves each of its slots empty."""

STATE = dict.fromkeys(HEADER[:15], "0x01") | {"stateRoot": SUITE["root"]}
ADDRESS = keccak(bytes.fromhex(BARE[0][2:]))


def hash_of(header: dict[str, str]) -> bytes:
    return keccak(rlp.encode([bytes.fromhex(value[2:]) for value in header.values()]))


HASH = hash_of(STATE)


def path(address: str) -> list[str]:
    """The nodes that `eth_getProof` would give, from a trie that is built of the suite's accounts."""
    trie = HexaryTrie({})
    for key, account in ACCOUNTS.items():
        trie[keccak(bytes.fromhex(key[2:]))] = account
    return ["0x" + rlp.encode(node).hex() for node in trie.get_proof(keccak(bytes.fromhex(address[2:])))]


def words(address: str, nodes: list[str]) -> list[int]:
    answer = {"accountProof": nodes, "storageProof": [{"proof": []}]}
    return prove(STATE, HASH, address, [NEVER_WRITTEN], answer)


def test_suite_has_accounts_with_and_without_storage() -> None:
    assert len(BARE) == len(ACCOUNTS) - 1 == 4


@pytest.mark.parametrize("address", BARE)
def test_account_is_proven_under_the_published_root(address: str) -> None:
    assert words(address, path(address)) == [0]


def test_storage_of_the_account_that_has_some_needs_a_proof_of_its_own() -> None:
    (stored,) = ACCOUNTS.keys() - BARE
    with pytest.raises(ProofError):
        words(stored, path(stored))


@pytest.mark.parametrize("number", range(20))
def test_another_address_is_proven_absent(number: int) -> None:
    address = "0x" + bytes([number] * 20).hex()
    assert words(address, path(address)) == [0]


@pytest.mark.parametrize("address", BARE)
def test_account_is_proven_by_no_other_path(address: str) -> None:
    another = next(key for key in ACCOUNTS if key != address)
    for nodes in ([], path(address)[:-1], path(another), ["0x80"]):
        with pytest.raises(ProofError):
            words(address, nodes)


# ------------------------------------------------------------------------------------------------------- bad RLP


@pytest.mark.parametrize("encoded", [pytest.param(encoded, id=name) for name, encoded in SUITE["not RLP"]])
def test_what_is_not_rlp_is_no_node_no_account_and_no_word(encoded: str) -> None:
    with pytest.raises(ProofError, match="senseless"):
        words(BARE[0], ["0x" + encoded])
    held, stored = bytes.fromhex(encoded), rlp.decode(next(iter(ACCOUNTS.values())))
    storage = HexaryTrie({})
    storage[keccak(NEVER_WRITTEN)] = held
    account = rlp.encode([*stored[:2], storage.root_hash, stored[3]])
    for value, nodes in ((held, ()), (account, storage.get_proof(keccak(NEVER_WRITTEN)))):
        state = HexaryTrie({})
        state[ADDRESS] = value
        header = STATE | {"stateRoot": "0x" + state.root_hash.hex()}
        shown = {
            "accountProof": ["0x" + rlp.encode(node).hex() for node in state.get_proof(ADDRESS)],
            "storageProof": [{"proof": ["0x" + rlp.encode(node).hex() for node in nodes]}],
        }
        with pytest.raises(ProofError, match="senseless"):
            prove(header, hash_of(header), BARE[0], [NEVER_WRITTEN], shown)


# ---------------------------------------------------------------------------------------------- mainnet's headers


@pytest.mark.parametrize("header", SUITE["headers"], ids=lambda header: str(int(header["number"], 16)))
def test_header_of_mainnet_hashes_to_the_blocks_hash(header: dict[str, str]) -> None:
    """Its root is then looked into: no path is refused for that, where another hash is refused for the header."""
    answer = {"accountProof": [], "storageProof": []}
    with pytest.raises(ProofError, match="senseless") as refused:
        prove(header, bytes.fromhex(header["hash"][2:]), BARE[0], [], answer)
    assert "header" not in str(refused.value)
    with pytest.raises(ProofError, match="header does not hash"):
        prove(header, bytes.fromhex(header["parentHash"][2:]), BARE[0], [], answer)
