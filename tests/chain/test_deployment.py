"""Deploying a council, its record, and refusing every chain that is not the record's."""

import json
from typing import Any

import pytest

from agent_guard.chain import deployment as records

pytestmark = pytest.mark.chain

SETTINGS = ("--halt", 2, "--resume", 2, "--retire", 3, "--network", "other")


def signers(town: Any) -> list[str]:
    return [word for name in ("signer1", "signer2", "signer3") for word in ("--signer", town.address(name))]


def record_of(town: Any, **changes: object) -> None:
    path = town.folder / "deployments/devnet/Council.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_create_writes_a_record_that_check_confirms(town, cli):
    made = cli.ask("deployment", "create", *signers(town), *SETTINGS, "--account", "operator", "--yes")

    assert (made["applied"], made["detail"]["network"], made["detail"]["chain_id"]) == (True, "other", 31337)
    record = json.loads((town.folder / "deployments/other/Council.json").read_text())
    assert record["address"] == made["target"]
    assert record["transactionHash"] == made["tx"] == record["receipt"]["transactionHash"]
    assert record["args"][0] == [town.address(f"signer{i}") for i in (1, 2, 3)]
    assert record["deployBlock"] == town.height() - 1
    assert {"abi", "bytecodeHash", "codeHash", "genesisHash", "compiler"} <= set(record)
    checked = cli.ask("deployment", "check", "--network", "other")
    verifier = made["detail"]["log_verifier"]
    assert checked["rows"] == [
        {
            "network": "other",
            "address": made["target"],
            "chain_id": 31337,
            "log_verifier": verifier,
            "ok": True,
        }
    ]
    beside = json.loads((town.folder / "deployments/other/LogVerifier.json").read_text())
    assert (beside["contractName"], beside["address"], beside["args"]) == ("LogVerifier", verifier, [])
    assert set(beside) == set(record)


def test_show_and_list_need_no_chain(town, cli):
    nowhere = {"ETH_RPC_URL": "http://127.0.0.1:1"}

    assert cli.ask("deployment", "show", **nowhere)["rows"][0]["address"] == town.contract.address
    listed = cli.ask("deployment", "list", **nowhere)
    assert [(row["network"], row["chain_id"]) for row in listed["rows"]] == [("devnet", 31337)]


def test_create_never_overwrites_a_record(town, cli):
    before, sent = (town.folder / "deployments/devnet/Council.json").read_bytes(), town.sent()
    command = ("deployment", "create", *signers(town), *SETTINGS[:-2], "--account", "operator", "--yes")

    error = cli.fails("AG204", 1, *command)

    assert "Nothing was deployed" in error["message"]
    assert (town.folder / "deployments/devnet/Council.json").read_bytes() == before
    assert town.sent() == sent


@pytest.mark.parametrize(
    ("halt", "resume", "retire", "why"),
    [(0, 2, 3, "InvalidThresholds"), (2, 1, 3, "InvalidThresholds"), (3, 3, 3, "InvalidThresholds")],
    ids=["nobody halts", "resume below halt", "one signer can block a halt"],
)
def test_create_with_thresholds_the_constructor_refuses_sends_and_writes_nothing(
    town, cli, halt, resume, retire, why
):
    sent = town.sent()
    options = ("--halt", halt, "--resume", resume, "--retire", retire, "--network", "other")

    error = cli.fails(
        "AG205", 1, "deployment", "create", *signers(town), *options, "--account", "operator", "--yes"
    )

    assert why in error["message"]
    assert "Nothing was sent" in error["message"]
    assert (town.sent(), (town.folder / "deployments/other").exists()) == (sent, False)


def test_create_with_a_mistyped_address_sends_nothing(town, cli):
    sent, wrong = town.sent(), town.address("signer1").swapcase().replace("0X", "0x")

    cli.fails(
        "AG101",
        2,
        "deployment",
        "create",
        "--signer",
        wrong,
        *SETTINGS,
        "--account",
        "operator",
        "--yes",
    )

    assert town.sent() == sent


def test_create_from_an_empty_account_says_that_it_can_not_pay(town, cli):
    town.rpc("anvil_setBalance", town.address("operator"), "0x1")

    error = cli.fails(
        "AG206", 4, "deployment", "create", *signers(town), *SETTINGS, "--account", "operator", "--yes"
    )

    assert town.address("operator") in error["message"]
    assert not (town.folder / "deployments/other").exists()


def test_create_whose_second_transaction_fails_records_the_council_and_says_so(town, cli, monkeypatch):
    honest = records.create_verifier

    def poor(endpoint, sender, network):
        town.rpc("anvil_setBalance", sender.address, "0x1")
        return honest(endpoint, sender, network)

    monkeypatch.setattr(records, "create_verifier", poor)
    options = (*signers(town), *SETTINGS, "--account", "operator", "--yes")

    made = cli("deployment", "create", *options)

    assert "The council is deployed and recorded, but no log verifier" in made.stderr
    assert cli.ask("deployment", "check", "--network", "other")["rows"][0]["log_verifier"] is None


COMMANDS = (
    ("status",),
    ("status", "indexer"),
    ("deployment", "check"),
    ("council", "show"),
    ("agent", "list"),
    ("agent", "show", "indexer"),
    ("vote", "list"),
    ("vote", "halt", "indexer", "--account", "signer1", "--yes"),
    ("vote", "resume", "indexer", "--account", "signer1", "--yes"),
    ("vote", "pause", "indexer", "--account", "signer1", "--sign-only", "--yes"),
    ("agent", "register", "x", "--operator", "0x" + "11" * 20, "--account", "signer1", "--yes"),
    ("run", "indexer", "--account", "operator", "--", "true"),
)


def test_every_command_refuses_another_chain_another_genesis_and_other_code(town, cli):
    sent, code = town.sent(), town.connection.deployment.code_hash

    def refused(expected: str, word: str) -> None:
        for command in COMMANDS:
            error = cli.fails(expected, 1, *command)
            assert word in error["message"], (command, error)
            assert "Nothing was read or sent" in error["message"]

    record_of(town, chainId=1)
    refused("AG202", "chain id 31337 instead of 1")
    record_of(town, chainId=31337, genesisHash="0x" + "00" * 32)
    refused("AG202", "genesis block")
    record_of(town, genesisHash=town.connection.deployment.genesis_hash, codeHash="0x" + "11" * 32)
    refused("AG203", code)
    record_of(town, codeHash=code, address="0x" + "22" * 20)
    refused("AG203", "no code")
    assert town.sent() == sent


def test_a_node_whose_chain_id_changes_under_the_program_is_refused(town, cli):
    town.rpc("anvil_setChainId", 5)
    try:
        error = cli.fails("AG202", 1, "status")
    finally:
        town.rpc("anvil_setChainId", 31337)

    assert "chain id 5 instead of 31337" in error["message"]


def test_a_record_that_is_missing_or_broken_is_one_error(town, cli):
    path = town.folder / "deployments/devnet/Council.json"
    path.unlink()
    for content in (None, b"", b"[]", b"{}", b"\xff\xfe", b'{"address":"0x12","chainId":1}'):
        if content is not None:
            path.write_bytes(content)

        for command in (("status",), ("vote", "halt", "a", "--account", "signer1", "--yes")):
            assert str(path.relative_to(town.folder)) in cli.fails("AG204", 1, *command)["message"]


def test_a_network_name_that_leaves_the_folder_is_refused(town, cli):
    cli.fails("AG102", 2, "status", "--network", "../devnet")
