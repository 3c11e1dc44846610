"""What others pay to put an action on chain, and what proving costs, on the same Anvil as the council's own gas.

Guarantees: every figure is ``gasUsed`` of a mined transaction. The Ethereum Attestation Service runs from the code that
its own package ships (its sources ask for solc 0.8.29 and no other); the rest is compiled here by the pinned compiler
(``scripts/rivals``). Trusts ``node_modules`` as pinned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import compile as contracts
from eth_account import Account
from web3 import Web3

from agent_guard.merkle import leaf_hash, node_hash
from agent_guard.typed_data import head_typed_data

if TYPE_CHECKING:
    from bench_gas import Bench

EAS = (
    contracts.ROOT
    / "node_modules"
    / "@ethereum-attestation-service"
    / "eas-contracts"
    / "artifacts"
    / "contracts"
)
VERIFIER = contracts.ARTIFACTS / "LogVerifier.json"
HASHES = 256  # in one multiTimestamp; more would pass a transaction's gas cap
PUSHES = 8  # a tree's pushes differ; eight in a row, in a tree that has sixteen leaves
OPERATOR = 7  # of Anvil's accounts: one with a log of its own, and its key
MILLION = 20  # levels of a tree of 2^20 leaves


def others(bench: Bench) -> Iterator[tuple[str, float]]:
    """Gas for each action, or each hash, by the ways of others."""
    eas = _eas(bench)
    schema = bytes(eas["schema"])
    data = (bench.people[0], 0, True, bytes(32), hashlib.sha256(b"an action").digest(), 0)
    attest = eas["contract"].functions.attest((schema, data))
    yield "EAS attest, one hash", bench.mined(attest, bench.relayer)["gasUsed"]
    hashes = [hashlib.sha256(f"action {i}".encode()).digest() for i in range(HASHES)]
    stamped = bench.mined(eas["contract"].functions.multiTimestamp(hashes), bench.relayer)["gasUsed"]
    yield f"EAS multiTimestamp, each of {HASHES} hashes", stamped / HASHES
    structs = _compiled(bench, "PushedStructs")
    pushes = [structs.functions.push(bench.agent, one) for one in hashes[:PUSHES]]
    yield (
        "one struct of four words pushed",
        [bench.mined(push, bench.relayer)["gasUsed"] for push in pushes][-1],
    )
    tree = _compiled(bench, "PushedTree")
    spent = [bench.mined(tree.functions.push(one), bench.relayer)["gasUsed"] for one in hashes[: 16 + PUSHES]]
    yield "OpenZeppelin MerkleTree push, 2^20 leaves", sum(spent[16:]) / PUSHES


def proofs(bench: Bench) -> Iterator[tuple[str, int]]:
    """Gas of a fork proof that halts one agent, and of verifying inclusion on chain."""
    yield "prove a fork: two heads of one size", bench.undone(lambda: _fork(bench, opened=False))
    yield (
        "prove a fork: 1,000,000 entries against the chain's 1,001,024",
        bench.undone(lambda: _fork(bench, opened=True)),
    )
    yield "LogVerifier: deploy", _deployed(bench, _artifact(VERIFIER))[1]
    yield "LogVerifier: an entry of 300 bytes in a log of 2^20", bench.undone(lambda: _verify(bench))


def _fork(bench: Bench, opened: bool) -> int:
    """The operator of the bench's agent signs a head that contradicts another, or the chain's."""
    from bench_gas import BASE, MNEMONIC, nodes, range_nodes

    Account.enable_unaudited_hdwallet_features()
    key = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/5").key
    frontier: list[bytes] = []
    added: list[bytes] = []

    def signed(root: bytes) -> tuple[int, bytes, bytes]:
        message = head_typed_data(BASE, root, bench.web3.eth.chain_id, bench.council.address)
        return BASE, root, bytes(Account.sign_typed_data(key, full_message=message).signature)

    newer = signed(bytes(32))
    if opened:
        bench.anchor(1_024)
        frontier, added = bench.peaks, nodes(range_nodes(BASE, BASE + 1_024), "new")
        newer = (0, bytes(32), b"")
    call = bench.council.functions.proveFork(
        bench.operator, [bench.agent], signed(b"\1" * 32), newer, frontier, added
    )
    gas = int(bench.mined(call, bench.relayer)["gasUsed"])
    if bench.council.functions.stateOf(bench.agent).call() != 4:
        raise RuntimeError("the proof did not halt the agent")
    return gas


def _verify(bench: Bench) -> int:
    entry, who = b"e" * 300, bench.people[OPERATOR]
    path = [hashlib.sha256(bytes([level])).digest() for level in range(MILLION)]
    root = leaf_hash(entry)
    for sibling in path:
        root = node_hash(root, sibling)
    bench.mined(bench.council.functions.extend(1 << MILLION, [], [root]), who)
    verifier, _ = _deployed(bench, _artifact(VERIFIER))
    call = verifier.functions.verifyEntry(bench.council.address, who, 0, entry, path)
    if call.call() != [1 << MILLION, root]:
        raise RuntimeError("the verifier did not answer with the head")
    return int(bench.mined(call, bench.relayer)["gasUsed"])


def _eas(bench: Bench) -> dict[str, Any]:
    registry, _ = _deployed(bench, _artifact(EAS / "SchemaRegistry.sol" / "SchemaRegistry.json"))
    contract, _ = _deployed(bench, _artifact(EAS / "EAS.sol" / "EAS.json"), registry.address)
    text, nobody = "bytes32 action", "0x" + "00" * 20
    bench.mined(registry.functions.register(text, nobody, True), bench.relayer)
    schema = Web3.solidity_keccak(["string", "address", "bool"], [text, nobody, True])
    return {"contract": contract, "schema": schema}


def _compiled(bench: Bench, name: str) -> Any:
    return _deployed(bench, contracts.compile_contract(f"scripts/rivals/Rivals.sol:{name}"))[0]


def _deployed(bench: Bench, artifact: dict[str, Any], *arguments: object) -> tuple[Any, int]:
    factory: Any = bench.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    receipt = bench.mined(factory.constructor(*arguments), bench.relayer)
    return bench.web3.eth.contract(address=receipt["contractAddress"], abi=artifact["abi"]), receipt[
        "gasUsed"
    ]


def _artifact(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))
