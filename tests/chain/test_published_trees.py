"""Other people's trees and the contracts: proofs of real logs by the verifier, a witness's ranges by the council."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from web3.exceptions import ContractCustomError

from agent_guard.checkpoint import parse
from agent_guard.merkle import Frontier, leaf_hash, range_nodes
from tests.chain.test_log_verifier import root_of

pytestmark = pytest.mark.chain

VECTORS = Path(__file__).parents[1] / "vectors"
LOGS = json.loads((VECTORS / "logs.json").read_text())
TREES = json.loads((VECTORS / "trees.json").read_text())
CCTV, GOLDEN = TREES["cctv"], TREES["golden"]


def test_entries_of_real_logs_lead_to_their_roots_on_chain(town: Any) -> None:
    ask, argon, rekor = root_of(town), LOGS["argon2020"], LOGS["rekor"]
    head = parse(rekor["checkpoint"])
    for log, size, root in ((argon, argon["size"], b64decode(argon["root"])), (rekor, head.size, head.root)):
        proof = [b64decode(one) for one in log["inclusion"]]
        leaf = leaf_hash(b64decode(log["entry"]))
        assert ask(size, log["index"], leaf, proof).call() == root
        assert ask(size, log["index"], leaf, [*proof[:-1], bytes(32)]).call() != root
        with pytest.raises(ContractCustomError):
            ask(size, log["index"], leaf, proof[:-1]).call()


def test_cctvs_proofs_hold_on_chain_and_its_wrong_ones_do_not(town: Any) -> None:
    ask = root_of(town)
    for holds, cases in ((True, CCTV["inclusion"]), (False, CCTV["wrong inclusion"])):
        for leaf, index, size, root, proof in cases:
            found = ask(size, index, b64decode(leaf), [b64decode(one) for one in proof]).call()
            assert (found == b64decode(root)) == holds


def test_council_extends_the_witness_suites_compact_range_to_its_next_head(town: Any) -> None:
    log, council = LOGS["monkeys"], town.contract.contract
    web3 = town.connection.endpoint.web3
    caller = web3.eth.accounts[0]
    old, new = (parse(note) for note in log["range_heads"])
    frontier, added = ([bytes.fromhex(one) for one in log[name]] for name in ("frontier", "range"))
    extend, head = council.functions.extend, council.functions.headOf(caller)

    web3.eth.wait_for_transaction_receipt(extend(old.size, [], frontier).transact({"from": caller}))
    assert head.call()[:2] == [old.size, old.root]
    with pytest.raises(ContractCustomError):
        extend(new.size, frontier[::-1], added).call({"from": caller})
    web3.eth.wait_for_transaction_receipt(extend(new.size, frontier, added).transact({"from": caller}))
    assert head.call()[:2] == [new.size, new.root]


def test_council_has_certificate_transparencys_golden_roots_from_range_to_range(town: Any) -> None:
    council, web3 = town.contract.contract, town.connection.endpoint.web3
    caller = web3.eth.accounts[0]
    leaves = [leaf_hash(bytes([number & 0xFF, number >> 8])) for number in range(65_535)]
    frontier = Frontier()
    for size, root in GOLDEN["roots"]:
        added = range_nodes(frontier.size, leaves[frontier.size : size])
        extend = council.functions.extend(size, frontier.nodes, added)
        web3.eth.wait_for_transaction_receipt(extend.transact({"from": caller}))
        assert council.functions.headOf(caller).call()[:2] == [size, b64decode(root)]
        frontier.extend_range(size, added)
