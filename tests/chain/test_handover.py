"""`vote halt --to` where no guard answers, or only a folder: what the chain then does, and what the signer is told."""

import pytest

from agent_guard.typed_data import SignedBallot
from agent_guard.types import State

pytestmark = pytest.mark.chain


@pytest.fixture
def agent(town):
    town.register("indexer")
    return "indexer"


@pytest.fixture
def folder(town):
    path = town.folder / "ballots"
    path.mkdir()
    return path


def ballots(folder):
    return [SignedBallot.decode(path.read_text()) for path in sorted(folder.glob("*.json"))]


def halt(*options, signer="signer1"):
    return ("vote", "halt", "indexer", "--account", signer, "--reason", "it drifts", "--yes", *options)


def test_guard_that_is_not_there_is_a_warning_where_the_chain_takes_the_vote(town, cli, agent):
    gone = town.folder / "guard.sock"

    outcome = cli(*halt("--to", gone))
    said = cli.ask(*halt("--to", gone, signer="signer2"))

    assert f"WARNING: {gone}: not handed over: it can't be reached" in outcome.stderr
    assert "indexer is RUNNING" in outcome.stdout
    assert f"at {gone}" in outcome.stdout
    assert (said["applied"], said["detail"]["chain"], said["detail"]["state"]) == (True, "cast", "halted")
    (guard,) = said["detail"]["guards"]
    assert (guard["to"], guard["fate"]) == (str(gone), "unreached")
    assert set(said) == {"target", "applied", "tx", "detail"}
    assert town.state(agent).state is State.HALTED


def test_folder_gets_the_ballot_that_is_cast_with_its_reason_and_epoch(town, cli, agent, folder):
    said = cli.ask(*halt("--to", folder))

    (signed,) = ballots(folder)
    assert (signed.reason, signed.ballot.epoch, signed.ballot.signer) == (
        "it drifts",
        1,
        town.address("signer1"),
    )
    assert [guard["fate"] for guard in said["detail"]["guards"]] == ["left"]
    assert town.state(agent).halt_votes == 1


def test_ballot_on_the_whole_fleet_is_handed_over_as_one(town, cli, agent, folder):
    cli("vote", "halt", "--all", "--account", "signer1", "--yes", "--to", folder)

    assert [signed.ballot.agent for signed in ballots(folder)] == [bytes(32)]
    assert town.state("--all").halt_votes == 1


def test_sign_only_hands_over_and_sends_nothing(town, cli, agent, folder):
    sent, kept = town.sent(), town.folder / "kept"

    said = cli.ask(*halt("--to", folder, "--sign-only", "-o", kept))

    assert (said["applied"], said["tx"], said["detail"]["file"]) == (True, None, str(kept))
    assert ballots(folder) == [SignedBallot.decode(kept.read_text())]
    assert town.sent() == sent
    assert "AG101" in cli(*halt("--to", folder, "--sign-only", "-o", kept), expect=2).stderr
    assert len(ballots(folder)) == 1


def test_sign_only_that_reaches_no_guard_fails_and_keeps_the_ballot(town, cli, agent):
    gone, kept = town.folder / "guard.sock", town.folder / "kept"

    error = cli.fails("AG317", 1, *halt("--to", gone, "--sign-only", "-o", kept))

    assert str(gone) in error["message"]
    assert kept.exists()


def test_signer_without_gas_and_without_a_guard_has_failed_and_hears_of_both(town, cli, agent, folder):
    town.rpc("anvil_setBalance", town.address("signer1"), "0x0")

    error = cli.fails("AG206", 4, *halt("--to", town.folder / "guard.sock"))
    assert "guard.sock: it can't be reached" in error["message"]
    # A file in a folder is no word of a guard.
    error = cli.fails("AG206", 4, *halt("--to", folder))
    assert "the guard's own record shows whether it counted" in error["message"]
    assert len(ballots(folder)) == 1


def test_chain_that_is_down_is_told_with_the_way_that_needs_none(town, cli, agent, folder):
    error = cli.fails("AG201", 6, *halt("--to", folder), ETH_RPC_URL="http://127.0.0.1:9")

    assert "Nothing was signed or handed over" in error["message"]
    assert "agent-guard vote submit FILE --to" in error["remedy"]
    assert ballots(folder) == []


def test_stranger_signs_and_hands_over_nothing(town, cli, agent, folder):
    cli.fails("AG310", 4, *halt("--to", folder, signer="operator"))
    cli.fails("AG311", 1, "vote", "halt", "nobody", "--account", "signer1", "--yes", "--to", folder)

    assert ballots(folder) == []


def test_signer_sees_what_is_signed_and_where_it_goes_before_confirming(town, cli, agent, folder):
    outcome = cli(*[word for word in halt("--to", folder) if word != "--yes"], expect=2)

    for word in (
        "HALT",
        "indexer, RUNNING in epoch 1",
        "it drifts",
        "expires",
        "domain hash",
        "message hash",
    ):
        assert word in outcome.stderr
    assert str(folder) in outcome.stderr
    assert (ballots(folder), town.state(agent).halt_votes) == ([], 0)
