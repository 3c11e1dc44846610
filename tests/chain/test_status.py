"""Where agents stand, in every state, for people and for scripts."""

import time

import pytest

pytestmark = pytest.mark.chain

FIELDS = {
    *(
        "agent",
        "id",
        "state",
        "may_run",
        "epoch",
        "halt_votes",
        "halt_threshold",
        "head",
        "block",
        "endpoints",
    ),
    *("anchor_lag", "guard"),
}


def test_status_has_at_least_the_promised_fields(town, cli):
    town.register("indexer")

    said = cli.ask("status", "indexer")

    assert set(said) >= FIELDS | {"as_of", "rows", "truncated"}
    assert set(said["head"]) >= {"size", "root"}
    assert set(said["block"]) >= {"number", "hash", "age_s"}
    assert said["endpoints"] == {"agree": 1, "total": 1}
    assert set(said["guard"]) >= {"alive", "pulse_age_s"}
    assert (said["guard"]["alive"], said["guard"]["pulse_age_s"]) == (False, None)
    assert said["block"]["number"] == town.height()
    assert "every action is allowed" in said["policy"]


def test_status_names_every_state(found, anvil):
    town = found(anvil, lease=100, lease_grace=50)
    before = town.rpc("evm_snapshot")
    try:

        def state():
            said = town.cli.ask("status", "indexer")
            return said["state"], said["may_run"], said["halt_votes"]

        seen = [state()]
        town.register("indexer")
        seen.append(state())
        town.vote("halt", "indexer", "signer1")
        seen.append(state())
        town.vote("pause", "indexer", "signer2")
        seen.append(state())
        town.vote("halt", "indexer", "signer2")
        seen.append(state())
        town.vote("resume", "indexer", "signer1", "signer3")
        seen.append(state())
        town.pass_time(2)
        town.cli("vote", "resume", "indexer", "--account", "signer1", "--yes")
        town.pass_time(100)
        seen.append(state())
        town.vote("retire", "indexer", "signer1", "signer2", "signer3")
        seen.append(state())
    finally:
        town.rpc("evm_revert", before)

    assert seen == [
        ("unregistered", False, 0),
        ("running", True, 0),
        ("voting", True, 1),
        ("paused", False, 1),
        ("halted", False, 0),
        ("resuming", False, 0),
        ("lapsed", False, 0),
        ("retired", False, 0),
    ]


def test_exit_status_is_8_unless_every_agent_shown_may_run(town, cli):
    town.register("indexer")
    town.register("other")
    cli("status", "--exit-status")

    town.vote("halt", "other", "signer1", "signer2")

    cli("status", "indexer", "--exit-status")
    cli("status", "other", "--exit-status", expect=8)
    cli("status", "--exit-status", expect=8)
    cli("status", "nobody", "--exit-status", expect=8)


def test_status_without_agents_says_how_to_add_one(town, cli):
    assert cli.ask("status")["rows"] == []
    assert "agent-guard agent register" in cli("status").stdout


def test_piped_status_has_no_colour_and_whole_hashes(town, cli):
    town.register("indexer")

    shown = cli("status", "indexer").stdout

    assert "\x1b" not in shown
    assert cli.ask("status", "indexer")["id"] in shown


def test_watch_says_it_again_at_every_change(town, cli):
    town.register("indexer")
    process = cli.start("status", "indexer", "--watch", AGENT_GUARD_POLL="0.1")
    assert process.stdout.readline().startswith("indexer is running")
    town.vote("halt", "indexer", "signer1", "signer2")

    deadline = time.monotonic() + 20
    while not (line := process.stdout.readline()).startswith("indexer is halted"):
        assert time.monotonic() < deadline, line
    process.send_signal(2)

    assert process.wait(timeout=10) == 130
