"""Registering agents, giving them another operator, and their leases."""

import pytest

from agent_guard.types import State

pytestmark = pytest.mark.chain


def register(town, agent="indexer", operator="operator", signer="signer1", **more):
    address = town.address(operator) if operator in town.keys.addresses else operator
    return town.cli.ask(
        "agent", "register", agent, "--operator", address, "--account", signer, "--yes", **more
    )


def test_two_signers_register_an_agent_and_it_may_run(town, cli):
    assert register(town)["detail"]["state"] == "none"
    assert town.state("indexer").may_run is False

    assert register(town, signer="signer2")["detail"]["state"] == "running"

    listed = cli.ask("agent", "list")
    assert set(listed) == {"as_of", "block", "rows", "truncated"}
    assert [(row["agent"], row["state"], row["operator"]) for row in listed["rows"]] == [
        ("indexer", "running", town.address("operator"))
    ]
    assert cli.ask("agent", "show", "indexer")["rows"][0]["id"] == listed["rows"][0]["id"]


def test_the_same_signer_twice_registers_nothing(town, cli):
    register(town)
    sent = town.sent()

    command = ("agent", "register", "indexer", "--operator", town.address("operator"))
    cli.fails("AG313", 1, *command, "--account", "signer1", "--yes")

    assert (town.sent(), town.state("indexer").state) == (sent, State.NONE)


def test_votes_for_different_operators_are_not_added_up(town):
    register(town, operator="operator", signer="signer1")
    register(town, operator="signer3", signer="signer2")

    assert town.state("indexer").state is State.NONE


def test_another_operator_takes_two_votes_the_delay_and_one_more_call(town, cli):
    town.register("indexer")
    for signer in ("signer1", "signer2"):
        register(town, operator="signer3", signer=signer)
    assert cli.ask("vote", "list")["rows"][0]["ready_at"] is not None
    command = ("agent", "register", "indexer", "--operator", town.address("signer3"))
    cli.fails("AG312", 1, *command, "--account", "signer1", "--yes")
    assert town.state("indexer").operator == town.address("operator")

    town.pass_time(2)
    register(town, operator="signer3")

    assert town.state("indexer").operator == town.address("signer3")


def test_change_of_operator_can_be_vetoed(town, cli):
    town.register("indexer")
    for signer in ("signer1", "signer2"):
        register(town, operator="signer3", signer=signer)

    cli("vote", "veto", "indexer", "--account", "signer3", "--yes")
    town.pass_time(2)

    assert cli.ask("vote", "list")["rows"] == []
    assert town.state("indexer").operator == town.address("operator")


def test_who_is_no_signer_registers_nothing(town, cli):
    sent = town.sent()
    command = ("agent", "register", "indexer", "--operator", town.address("operator"))

    cli.fails("AG310", 4, *command, "--account", "operator", "--yes")

    assert town.sent() == sent
    assert not (town.folder / "deployments/devnet/agents.json").exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 300, "\x1b[31mred", "ünï"], ids=ascii)
def test_name_that_could_mislead_is_refused(town, cli, name):
    sent = town.sent()
    command = ("agent", "register", name, "--operator", town.address("operator"))

    error = cli.fails("AG101", 2, *command, "--account", "signer1", "--yes")

    assert "\x1b" not in error["message"]
    assert town.sent() == sent


def test_mistyped_operator_is_refused(town, cli):
    address = town.address("operator").replace("F", "f", 1)
    for wrong in (address, address[:-1], "operator", "0x" + "zz" * 20):
        cli.fails("AG101", 2, "agent", "register", "a", "--operator", wrong, "--account", "signer1", "--yes")


def test_show_of_an_unknown_agent_is_an_error(town, cli):
    assert "'nobody'" in cli.fails("AG311", 1, "agent", "show", "nobody")["message"]


def test_broken_list_of_names_is_told_and_not_overwritten(town, cli):
    path = town.folder / "deployments/devnet/agents.json"
    path.write_text("{not json")

    sent = town.sent()
    command = ("agent", "register", "a", "--operator", town.address("operator"))

    cli.fails("AG204", 1, "agent", "list")
    cli.fails("AG204", 1, *command, "--account", "signer1", "--yes")

    assert town.sent() == sent
    assert path.read_text() == "{not json"


def test_agent_whose_name_nobody_knows_is_shown_by_its_id(town, cli):
    town.register("secret")

    assert cli.ask("agent", "list")["rows"][0]["agent"].startswith("0x")


def test_lease_is_renewed_by_one_signer_and_only_within_its_grace(found, anvil):
    town = found(anvil, lease=100, lease_grace=50)
    before = town.rpc("evm_snapshot")
    try:
        town.register("indexer")
        until = town.state("indexer").lease_until
        town.pass_time(120)
        assert town.state("indexer").state is State.LAPSED

        renewed = town.cli.ask("agent", "renew", "indexer", "--account", "signer3")

        assert renewed["detail"]["lease_until"] > until
        assert town.state("indexer").state is State.RUNNING
        town.cli.fails("AG205", 1, "agent", "renew", "indexer", "--account", "operator")
        town.pass_time(200)
        error = town.cli.fails("AG205", 1, "agent", "renew", "indexer", "--account", "signer1")
        assert "LeaseOver" in error["message"]
    finally:
        town.rpc("evm_revert", before)


def test_votes_to_undo_a_lapse_do_not_undo_the_halt_that_follows(found, anvil):
    town = found(anvil, lease=100, lease_grace=50)
    before = town.rpc("evm_snapshot")
    try:
        town.register("indexer")
        town.pass_time(200)
        resume = ("vote", "resume", "indexer", "--yes", "--account")
        town.cli.ask(*resume, "signer1")
        assert town.state("indexer").resume_votes == 1
        assert [row["action"] for row in town.cli.ask("vote", "list")["rows"]] == ["resume"]

        town.vote("halt", "indexer", "signer1", "signer2")
        town.cli.ask(*resume, "signer2")

        assert (town.state("indexer").state, town.state("indexer").resume_votes) == (State.HALTED, 1)
        rows = town.cli.ask("vote", "list")["rows"]
        assert [(row["action"], row["votes"]) for row in rows] == [("resume", 1)]
    finally:
        town.rpc("evm_revert", before)


def test_renewal_where_there_are_no_leases_sends_nothing(town, cli):
    town.register("indexer")
    sent = town.sent()

    cli.fails("AG312", 1, "agent", "renew", "indexer", "--account", "signer1")

    assert town.sent() == sent
