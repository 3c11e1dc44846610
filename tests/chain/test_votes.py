"""Votes with the real commands, through every state an agent can be in, and every vote that can't count."""

import os
import pty
import subprocess
import sys
import time
from typing import Any

import pytest

from agent_guard.types import State

pytestmark = pytest.mark.chain


@pytest.fixture
def agent(town: Any) -> str:
    town.register("indexer")
    return "indexer"


def vote(town: Any, action: str, *words: object, signer: str = "signer1", **environ: str) -> dict[str, Any]:
    """One vote with the command; returns its detail."""
    said = town.cli.ask("vote", action, *words, "--account", signer, "--yes", **environ)
    assert set(said) == {"target", "applied", "tx", "detail"}
    assert said["applied"] is True
    assert len(said["tx"]) == 66
    return dict(said["detail"])


def refused(
    town: Any, code: str, exit_code: int, action: str, *words: object, signer: str = "signer1"
) -> str:
    """A vote that must be refused before anything is signed or sent; returns what was said."""
    sent, height = town.sent(), town.height()
    error = town.cli.fails(code, exit_code, "vote", action, *words, "--account", signer, "--yes")
    assert (town.sent(), town.height()) == (sent, height)
    return str(error["message"])


def test_two_of_three_halt_and_the_agent_may_not_run(town, cli, agent):
    first = vote(town, "halt", agent, signer="signer1")
    assert (first["state"], first["votes"], first["needed"]) == ("running", 1, 2)
    assert cli.ask("status", agent)["state"] == "voting"
    assert town.state(agent).may_run is True

    second = vote(town, "halt", agent, signer="signer3")

    assert (second["state"], second["votes"], second["needed"]) == ("halted", 2, 2)
    assert town.state(agent).may_run is False


def test_halt_on_a_halted_agent_is_moot_not_wrong(town, agent):
    town.vote("halt", agent, "signer1", "signer2")

    assert vote(town, "halt", agent, signer="signer3")["state"] == "halted"


def test_resume_takes_two_votes_the_delay_and_one_more_call(town, cli, agent):
    town.vote("halt", agent, "signer1", "signer2")
    assert vote(town, "resume", agent, signer="signer1")["state"] == "halted"
    assert vote(town, "resume", agent, signer="signer2")["state"] == "resuming"

    assert "waits" in refused(town, "AG312", 1, "resume", agent)
    town.pass_time(2)

    assert vote(town, "resume", agent)["state"] == "running"
    assert (town.state(agent).may_run, town.state(agent).epoch) == (True, 2)


def test_veto_sends_a_resume_back_to_halted(town, agent):
    town.vote("halt", agent, "signer1", "signer2")
    town.vote("resume", agent, "signer1", "signer2")

    assert vote(town, "veto", agent, signer="signer3")["state"] == "halted"
    town.pass_time(2)

    assert town.state(agent).may_run is False


def test_pause_holds_for_its_time_to_the_second_and_once_per_signer(town, agent):
    assert vote(town, "pause", agent)["state"] == "paused"
    until = town.state(agent).paused_until

    def state_at(second: int) -> State:
        town.rpc("evm_setNextBlockTimestamp", second)
        town.rpc("evm_mine")
        return State(town.state(agent).state)

    assert [state_at(second) for second in (until - 1, until)] == [State.PAUSED, State.RUNNING]
    sent = town.sent()
    error = town.cli.fails("AG205", 1, "vote", "pause", agent, "--account", "signer1", "--yes")
    assert "ALREADY_VOTED" in error["message"]
    assert "Nothing was sent" in error["message"]
    assert town.sent() == sent


def test_retire_takes_three_and_nothing_revives_the_agent(town, agent):
    for signer in ("signer1", "signer2"):
        assert vote(town, "retire", agent, signer=signer)["state"] == "running"
    assert vote(town, "retire", agent, signer="signer3")["state"] == "retired"

    for action in ("resume", "halt", "pause", "veto"):
        assert "RETIRED" in refused(town, "AG312", 1, action, agent, *veto_param(action))


def test_halt_of_the_fleet_stops_every_agent(town, cli, agent):
    town.register("other")

    for signer in ("signer1", "signer2"):
        vote(town, "halt", "--all", signer=signer)

    rows = cli.ask("status")["rows"]
    assert [(row["state"], row["fleet"], row["may_run"]) for row in rows] == [
        ("running", "halted", False)
    ] * 2
    assert "the whole fleet is halted: may not run" in cli("status", agent).stdout


def test_the_reason_goes_on_chain_as_its_hash(town, agent):
    from web3 import Web3

    from agent_guard.chain.history import events

    vote(town, "halt", agent, "--reason", "it read what it should not")

    voted = list(events(town.contract, ["Voted"], town.height(), town.connection.endpoint.block()))
    assert voted[-1].arguments["reason"] == bytes(Web3.keccak(text="it read what it should not"))


@pytest.mark.parametrize("action", ["halt", "resume", "retire", "pause", "veto"])
def test_who_is_no_signer_signs_and_sends_nothing(town, agent, action):
    message = refused(town, "AG310", 4, action, agent, *veto_param(action), signer="operator")

    assert town.address("operator") in message
    assert "Nothing was signed or sent" in message


@pytest.mark.parametrize("action", ["halt", "resume", "retire", "pause", "veto"])
def test_unknown_agent_is_told_and_nothing_is_sent(town, action):
    assert "'nobody'" in refused(town, "AG311", 1, action, "nobody", *veto_param(action))


def veto_param(action: str) -> tuple[str, ...]:
    return ("--param", "0x" + "00" * 32) if action == "veto" else ()


def test_doubled_vote_is_refused_and_the_first_stands(town, agent):
    vote(town, "halt", agent)

    assert "1 of 2" in refused(town, "AG313", 1, "halt", agent)
    assert town.state(agent).halt_votes == 1


def test_resume_of_an_agent_that_runs_is_refused(town, agent):
    assert "RUNNING" in refused(town, "AG312", 1, "resume", agent)


def test_veto_of_nothing_is_refused(town, agent):
    assert "0 changes and no resume" in refused(town, "AG312", 1, "veto", agent)


@pytest.mark.parametrize("words", [(), ("indexer", "--all")], ids=["neither", "both"])
def test_an_agent_or_the_fleet_must_be_named(town, agent, words):
    refused(town, "AG101", 2, "halt", *words)


@pytest.mark.parametrize("param", ["xyz", "0x12", ""])
def test_param_that_is_no_word_of_the_contract_is_refused(town, agent, param):
    if param:
        refused(town, "AG101", 2, "veto", agent, "--param", param)
    else:
        refused(town, "AG312", 1, "veto", agent, "--param", param)


def test_without_a_terminal_and_without_yes_nothing_is_signed(town, cli, agent):
    sent = town.sent()

    error = cli.fails("AG101", 2, "vote", "halt", agent, "--account", "signer1")

    assert "Nothing was signed or sent" in error["message"]
    assert "--yes" in error["remedy"]
    assert town.sent() == sent


def test_votes_that_are_open_are_listed_with_their_voters(town, cli, agent):
    town.register("other")
    vote(town, "halt", agent, signer="signer2")
    vote(town, "retire", "other", signer="signer3")

    listed = cli.ask("vote", "list")

    assert set(listed) == {"as_of", "block", "rows", "truncated"}
    shown = [
        (row["agent"], row["action"], row["votes"], row["needed"], row["voters"]) for row in listed["rows"]
    ]
    names = {row["agent"] for row in listed["rows"]}
    assert len(names) == 2
    assert [row[1:] for row in shown] == [
        ("halt", 1, 2, [town.address("signer2")]),
        ("retire", 1, 3, [town.address("signer3")]),
    ]
    assert len(cli.ask("vote", "list", agent)["rows"]) == 1
    town.pass_time(3600)
    assert cli.ask("vote", "list")["rows"] == []


def test_before_the_signature_everything_is_said_in_words(town, cli, agent):
    vote(town, "halt", agent, signer="signer2")
    said = cli("vote", "halt", agent, "--account", "signer1", "--reason", "why", "--yes").stderr

    for words in (
        "HALT",
        "indexer, RUNNING in epoch 1",
        "why",
        f"{town.contract.address} on chain 31337",
        "1 of 2 so far",
        "This vote decides (2 of 2): indexer is killed",
    ):
        assert words in said, said


def type_in(town: Any, *command: str, answer: str) -> tuple[int, str]:
    """Runs a command on a terminal and types an answer to its question; returns its exit code and all it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_guard", *command],
        cwd=town.folder,
        env=town.cli.environ,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 30
    while b"]" not in shown.rpartition(b"? [")[2]:
        piece = _read(master)
        assert piece, shown
        shown += piece
        assert time.monotonic() < deadline, shown
    os.write(master, answer.encode() + b"\n")
    code = process.wait(timeout=30)
    while piece := _read(master):
        shown += piece
    os.close(master)
    return code, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody has the other end open
        return b""


def test_halt_asks_for_one_y_on_a_terminal(town, agent):
    code, shown = type_in(town, "vote", "halt", agent, "--account", "signer1", answer="y")

    assert (code, town.state(agent).halt_votes) == (0, 1), shown


def test_resume_asks_for_the_agents_name_and_takes_no_y(town, agent):
    town.vote("halt", agent, "signer1", "signer2")
    sent = town.sent()

    code, shown = type_in(town, "vote", "resume", agent, "--account", "signer1", answer="y")

    assert (code, town.sent(), town.state(agent).resume_votes) == (3, sent, 0), shown
    assert "AG103" in shown
    assert "Nothing was signed or sent" in shown
