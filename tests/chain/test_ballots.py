"""Signed ballots: kept in files, relayed by anyone, and refused whenever they are not what they were signed for."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.chain


@pytest.fixture
def agent(town: Any) -> str:
    town.register("indexer")
    return "indexer"


def submit(town: Any, *files: Path, expect: int = 0) -> Any:
    outcome = town.cli("vote", "submit", *files, "--account", "operator", "--yes", "--json", expect=expect)
    return outcome.json


def refused(town: Any, word: str, *files: Path, code: str = "AG313", exit_code: int = 1) -> None:
    """A submission that must be refused, with nothing sent."""
    sent = town.sent()
    error = town.cli.fails(code, exit_code, "vote", "submit", *files, "--account", "operator", "--yes")
    assert word in error["message"], error
    assert "Nothing was sent" in error["message"]
    assert town.sent() == sent


def edited(path: Path, **changes: object) -> Path:
    """The same ballot file with some fields changed, its signature as it was."""
    document = json.loads(path.read_text())

    def change(part: dict[str, Any]) -> dict[str, Any]:
        return {
            name: changes[name] if name in changes else change(value) if isinstance(value, dict) else value
            for name, value in part.items()
        }

    changed = path.with_suffix(".edited")
    changed.write_text(json.dumps(change(document)))
    assert json.loads(changed.read_text()) != document
    return changed


def test_ballots_signed_apart_halt_together_and_their_signers_send_nothing(town, cli, agent):
    sent = town.sent()
    files = [town.ballot("halt", agent, signer) for signer in ("signer1", "signer3")]
    assert town.sent() == sent

    said = submit(town, *files)

    assert (said["applied"], said["detail"]) == (True, {"counted": 2, "skipped": []})
    assert town.state(agent).may_run is False
    assert town.sent() == sent | {"operator": sent["operator"] + 1}


def test_sign_only_says_where_the_ballot_is_and_its_hashes(town, cli, agent):
    path = town.folder / "b.ballot"
    command = ("vote", "halt", agent, "--account", "signer1", "--sign-only", "-o", path, "--yes")

    said = cli.ask(*command)
    assert (said["applied"], said["tx"], said["detail"]["file"]) == (True, None, str(path))
    assert said["detail"]["signer"] == town.address("signer1")

    again = cli.fails("AG101", 2, *command)
    assert "exists" in again["message"]
    shown = cli(*command[:-2], town.folder / "c.ballot", "--yes").stderr
    assert "domain hash" in shown
    assert "message hash" in shown


def test_ballot_without_a_file_goes_to_stdout_alone(town, cli, agent):
    outcome = cli("vote", "halt", agent, "--account", "signer1", "--sign-only", "--yes")
    path = town.folder / "piped.ballot"
    path.write_text(outcome.stdout)

    assert submit(town, path)["detail"]["counted"] == 1


def test_ballot_that_can_not_be_written_is_one_error(town, cli, agent):
    target = town.folder / "no/such/folder.ballot"

    error = cli.fails(
        "AG104",
        1,
        *("vote", "halt", agent, "--account", "signer1", "--sign-only", "-o", target, "--yes"),
    )

    assert str(target) in error["message"]


def test_ballot_for_another_council_or_chain_is_refused(town, agent):
    path = town.ballot("halt", agent, "signer1")

    refused(town, "is for the council", edited(path, council="0x" + "11" * 20))
    refused(town, "is for the council", edited(path, chain_id=1))


def test_ballot_whose_agent_was_changed_is_refused(town, agent):
    from agent_guard.typed_data import agent_id

    town.register("other")
    path = town.ballot("halt", agent, "signer1")

    refused(town, "signature", edited(path, agent="0x" + agent_id("other").hex()))
    assert town.state("other").halt_votes == 0


def test_ballot_of_an_earlier_epoch_is_refused(town, agent):
    kept = town.ballot("halt", agent, "signer3")
    town.vote("halt", agent, "signer1", "signer2")
    town.vote("resume", agent, "signer1", "signer2")
    town.pass_time(2)
    town.cli("vote", "resume", agent, "--account", "signer1", "--yes")

    refused(town, "it is for epoch 1; the agent is in epoch 2", kept)


def test_ballot_expires_at_its_very_second(town, agent):
    first, second = (
        town.ballot("halt", agent, signer, "--expires", 100) for signer in ("signer1", "signer2")
    )
    deadline = town.connection.endpoint.block().timestamp + 100

    town.rpc("evm_setNextBlockTimestamp", deadline - 2)
    town.rpc("evm_mine")
    town.rpc("evm_setNextBlockTimestamp", deadline - 1)
    assert submit(town, first)["detail"]["counted"] == 1

    town.rpc("evm_setNextBlockTimestamp", deadline)
    town.rpc("evm_mine")
    refused(town, "it expired 0 s ago", second)
    assert town.state(agent).halt_votes == 1


def test_ballot_submitted_twice_counts_once(town, agent):
    path = town.ballot("halt", agent, "signer1")
    submit(town, path)

    refused(town, "the vote stands already", path)
    assert town.state(agent).halt_votes == 1


def test_the_same_ballot_twice_in_one_batch_counts_once(town, agent):
    path = town.ballot("halt", agent, "signer1")

    said = submit(town, path, path)

    assert said["detail"]["counted"] == 1
    assert said["detail"]["skipped"] == [{"signer": town.address("signer1"), "why": "ALREADY_VOTED"}]
    assert town.state(agent).may_run is True


def test_a_batch_of_halts_skips_the_bad_one_and_goes_on(town, agent):
    good = town.ballot("halt", agent, "signer1")
    bad = edited(town.ballot("halt", agent, "signer2", "--expires", 500), deadline=10**10)

    said = submit(town, bad, good)

    assert said["detail"]["counted"] == 1
    assert said["detail"]["skipped"] == [{"signer": town.address("signer2"), "why": "BAD_SIGNATURE"}]


def test_any_other_batch_is_all_or_nothing(town, agent):
    town.vote("halt", agent, "signer1", "signer2")
    good = town.ballot("resume", agent, "signer1")
    bad = edited(town.ballot("resume", agent, "signer2", "--expires", 500), deadline=2_000_000_000)

    refused(town, "ballot 2", good, bad)
    assert town.state(agent).resume_votes == 0


def test_only_stops_are_signed_for_more_than_a_day(town, cli, agent):
    town.vote("halt", agent, "signer1", "signer2")
    options = ("--account", "signer1", "--sign-only", "--expires", 86_401, "--yes")

    error = cli.fails("AG313", 1, "vote", "resume", agent, *options)

    assert "Nothing was signed" in error["message"]
    assert cli("vote", "halt", agent, *options).stdout


def test_who_is_no_signer_signs_no_ballot(town, cli, agent):
    options = ("--account", "operator", "--sign-only", "--yes")

    assert "Nothing was signed" in cli.fails("AG310", 4, "vote", "halt", agent, *options)["message"]


def test_ballot_of_who_is_no_signer_any_more_is_refused(town, agent):
    refused(
        town,
        "its signer is not in the present set",
        edited(town.ballot("halt", agent, "signer1"), signer=town.address("operator")),
    )


def test_what_is_no_ballot_is_told_and_nothing_is_sent(town, agent):
    path = town.folder / "what.ballot"
    good = town.ballot("halt", agent, "signer1").read_text()
    for content in ("", "{}", "[]", "null", good[:-20], good.replace('"signature"', '"signatur"'), "\ud800"):
        path.write_bytes(content.encode(errors="surrogatepass"))
        refused(town, str(path), path, code="AG314", exit_code=2)
    refused(town, "nowhere", town.folder / "nowhere.ballot", code="AG314", exit_code=2)


def test_halt_ballot_holds_for_months_and_needs_no_signer_online(town, agent):
    kept = [
        town.ballot("halt", agent, signer, "--expires", 86_400 * 100) for signer in ("signer1", "signer2")
    ]
    town.pass_time(86_400 * 99)

    submit(town, *kept)

    assert town.state(agent).may_run is False
