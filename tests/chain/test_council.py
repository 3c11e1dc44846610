"""The council as it is shown, and rotating it."""

from typing import Any

import pytest

pytestmark = pytest.mark.chain


def rotate(town: Any, signers: tuple[str, ...], who: str, *limits: int) -> dict[str, Any]:
    chosen = [word for name in signers for word in ("--signer", town.address(name))]
    halt, resume, retire = limits or (1, 2, 2)
    options = ("--halt", halt, "--resume", resume, "--retire", retire, "--account", who, "--yes")
    return dict(town.cli.ask("council", "rotate", *chosen, *options))


def test_show_gives_signers_thresholds_and_delays(town, cli):
    (row,) = cli.ask("council", "show")["rows"]

    assert row["signers"] == [town.address(f"signer{i}") for i in (1, 2, 3)]
    assert row["thresholds"] == {"halt": 2, "resume": 2, "retire": 3}
    assert row["timing"]["resume_delay"] == 2
    assert (row["set_version"], row["chain_id"]) == (1, 31337)


def test_rotation_takes_two_votes_the_delay_and_one_more_call_and_voids_old_ballots(town, cli):
    town.register("indexer")
    kept = town.ballot("halt", "indexer", "signer1")
    cli("vote", "halt", "indexer", "--account", "signer1", "--yes")
    new = ("signer1", "operator")
    rotate(town, new, "signer1")
    rotate(town, new, "signer2")
    error = cli.fails(
        "AG312",
        1,
        *("council", "rotate", "--signer", town.address("signer1"), "--signer", town.address("operator")),
        *("--halt", 1, "--resume", 2, "--retire", 2, "--account", "signer1", "--yes"),
    )
    assert "waits" in error["message"]

    town.pass_time(2)
    rotate(town, new, "signer3")

    (row,) = cli.ask("council", "show")["rows"]
    assert (row["signers"], row["set_version"]) == ([town.address(name) for name in new], 2)
    assert row["thresholds"]["halt"] == 1
    assert town.state("indexer").halt_votes == 0
    sent = town.sent()
    refused = cli.fails("AG313", 1, "vote", "submit", kept, "--account", "operator", "--yes")
    assert "it is for signer set 1; the present one is 2" in refused["message"]
    cli.fails("AG310", 4, "vote", "halt", "indexer", "--account", "signer2", "--yes")
    assert town.sent() == sent


def test_rotation_can_be_vetoed_and_proposed_again_with_another_salt(town, cli):
    new = ("signer1", "signer2")
    for who in ("signer1", "signer2"):
        rotate(town, new, who)

    cli("vote", "veto", "--all", "--account", "signer3", "--yes")

    town.pass_time(2)
    assert cli.ask("vote", "list")["rows"] == []
    assert cli.ask("council", "show")["rows"][0]["set_version"] == 1


@pytest.mark.parametrize(
    ("signers", "limits"),
    [(("signer1", "signer1"), (1, 2, 2)), (("signer1", "signer2"), (2, 2, 2)), (("signer1",), (1, 2, 2))],
    ids=["doubled signer", "one blocks a halt", "more votes than signers"],
)
def test_rotation_to_a_set_the_contract_refuses_sends_nothing(town, cli, signers, limits):
    sent = town.sent()
    chosen = [word for name in signers for word in ("--signer", town.address(name))]
    halt, resume, retire = limits
    options = ("--halt", halt, "--resume", resume, "--retire", retire, "--account", "signer1", "--yes")

    error = cli.fails("AG101", 2, "council", "rotate", *chosen, *options)

    assert "Nothing was signed or sent" in error["message"]
    assert town.sent() == sent
