"""The log verifier on a real chain: against our own proofs, the RFC's tree, and by `log prove --on-chain`."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3.exceptions import ContractCustomError

from agent_guard import wiring
from agent_guard.chain import deployment as records
from agent_guard.chain.log_verifier import LogVerifier
from agent_guard.chain.periphery import verifier_artifact
from agent_guard.errors import GuardError
from agent_guard.merkle import inclusion_proof, leaf_hash, subtree_of, tree_root
from tests.chain.test_audit import AGENT, Guard
from tests.vectors import probes

pytestmark = pytest.mark.chain
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc6962.json").read_text())


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """An agent whose log of 22 entries is anchored, under a council of before there were log verifiers."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(11)
    made.anchor.flush(60)
    yield made
    made.close()


def deploy(town: Any) -> str:
    return str(
        town.cli.ask("deployment", "verifier", "--account", "operator", "--yes", "--network", "devnet")[
            "target"
        ]
    )


def prove(guard: Guard, *options: str) -> tuple[object, ...]:
    return ("log", "prove", AGENT, 4, "--log", guard.path, *options)


def root_of(town: Any) -> Any:
    """`rootOf` of a verifier, as the chain computes it."""
    web3 = town.connection.endpoint.web3
    return web3.eth.contract(address=deploy(town), abi=verifier_artifact()["abi"]).functions.rootOf


def test_certificate_transparency_tree_holds_on_chain(town: Any) -> None:
    ask, leaves = root_of(town), [leaf_hash(bytes.fromhex(data)) for data in VECTORS["leaves"]]
    for case in VECTORS["inclusion"]:
        index, size = case["index"], case["size"]
        found = ask(size, index, leaves[index], [bytes.fromhex(one) for one in case["proof"]]).call()
        assert found.hex() == VECTORS["roots"][size]


def test_corruptions_of_certificate_transparencys_suite_do_not_hold_on_chain(town: Any) -> None:
    """All but those that no call can carry: a hash of another length than 32 bytes."""
    ask, carried = root_of(town), 0
    for right in probes.inclusions():
        for name, wrong in probes.wrong_inclusions(right):
            if any(len(value) != 32 for value in (wrong.leaf, *wrong.proof)):
                continue
            carried += 1
            try:
                found = ask(wrong.size, wrong.index, wrong.leaf, wrong.proof).call()
            except ContractCustomError:
                continue
            assert found != wrong.root, name
    assert carried > 60


def test_proofs_of_our_own_prover_hold_on_chain_in_trees_of_any_shape(town: Any) -> None:
    ask, dice = root_of(town), random.Random(4)
    for _ in range(60):
        size = dice.choice([1, 2, 3, dice.randrange(4, 600)])
        index = dice.choice([0, size - 1, dice.randrange(size)])
        leaves = [dice.randbytes(32) for _ in range(size)]
        subtree = subtree_of(leaves)
        proof = inclusion_proof(index, size, subtree)
        assert ask(size, index, leaves[index], proof).call() == tree_root(size, subtree)


def test_command_verifies_the_entry_by_the_contract_and_names_it(guard: Guard) -> None:
    address = deploy(guard.town)
    row = guard.town.cli.ask(*prove(guard, "--on-chain"))["rows"][0]
    assert row["verified_by"] == address
    assert f"by the log verifier {address}" in guard.town.cli(*prove(guard, "--on-chain")).stdout
    assert "verified_by" not in guard.town.cli.ask(*prove(guard))["rows"][0]


def test_copy_that_is_behind_the_chain_is_not_taken_to_the_contract(guard: Guard) -> None:
    deploy(guard.town)
    copy = guard.town.folder / "tiles"
    guard.town.cli("log", "export", AGENT, "--tiles", copy, "--log", guard.path)
    guard.town.cli("log", "prove", AGENT, 4, "--log", copy, "--on-chain")
    guard.act(1)
    guard.anchor.flush(60)
    guard.town.cli("log", "prove", AGENT, 4, "--log", copy)
    error = guard.town.cli.fails("AG541", 1, "log", "prove", AGENT, 4, "--log", copy, "--on-chain")
    assert "was verified on chain" in error["message"]


def test_command_without_a_verifier_says_how_to_get_one(guard: Guard) -> None:
    error = guard.town.cli.fails("AG430", 1, *prove(guard, "--on-chain"))
    assert "deployment verifier" in error["remedy"]


def test_verifier_is_deployed_once_and_its_code_is_checked(guard: Guard) -> None:
    town = guard.town
    deploy(town)
    sent = town.sent()
    town.cli.fails("AG204", 1, "deployment", "verifier", "--account", "operator", "--yes")
    assert town.sent() == sent
    path = town.folder / "deployments/devnet/LogVerifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"address": town.contract.address}))
    town.cli.fails("AG203", 1, *prove(guard, "--on-chain"))
    town.cli.fails("AG203", 1, "deployment", "check")


def test_record_of_another_contract_is_no_verifiers(guard: Guard) -> None:
    deploy(guard.town)
    folder = guard.town.folder / "deployments/devnet"
    (folder / "LogVerifier.json").write_bytes((folder / "Council.json").read_bytes())
    guard.town.cli.fails("AG204", 1, *prove(guard, "--on-chain"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"entry": b"another"}, "WrongRoot"),
        ({"proof": []}, "WrongProofLength(expected 5, given 0)"),
        ({"index": 22}, "NotInLog(index 22, size 22)"),
        ({"operator": "0x" + "11" * 20}, "NotInLog(index 4, size 0)"),
        ({"council": "0x" + "11" * 20}, "NoCouncil"),
    ],
)
def test_what_does_not_hold_is_refused_by_name(guard: Guard, change: dict[str, Any], why: str) -> None:
    deploy(guard.town)
    connection = wiring.connect(guard.town.connection.settings)
    made = guard.town.cli.ask(*prove(guard))["rows"][0]
    honest = {
        "council": connection.contract.address,
        "operator": made["operator"],
        "index": 4,
        "entry": made["entry"].encode(),
        "proof": [bytes.fromhex(one[2:]) for one in made["hashes"]],
        "block": connection.endpoint.block(),
    }
    verifier = wiring.log_verifier(connection)
    assert verifier.verify_entry(**honest) == (22, bytes.fromhex(made["root"][2:]))
    with pytest.raises(GuardError, match="AG431") as refused:
        verifier.verify_entry(**honest | change)
    assert why in refused.value.message


def test_address_without_the_verifier_is_no_yes(guard: Guard) -> None:
    connection = guard.town.connection
    nobody = LogVerifier(connection.endpoint, "0x" + "11" * 20)
    with pytest.raises(GuardError, match="AG201"):
        nobody.verify_entry(
            connection.contract.address, "0x" + "11" * 20, 0, b"", [], connection.endpoint.block()
        )


def test_verifier_has_no_other_name_than_its_record(tmp_path: Path) -> None:
    (tmp_path / "Council.json").write_text(json.dumps({"contractName": "LogVerifier"}))
    with pytest.raises(GuardError, match="another contract than Council"):
        records.load(tmp_path / "Council.json")
