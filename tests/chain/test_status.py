"""Where agents stand, in every state, for people and for scripts."""

import json
import time
from base64 import b64encode

import pytest

from agent_guard.types import State

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
    assert said["endpoints"] == {"agree": 1, "total": 1, "dissent": {}}
    assert said["death"] is None
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

    deadline = time.monotonic() + 120
    while not (line := process.stdout.readline()).startswith("indexer is halted"):
        assert time.monotonic() < deadline, line
    process.send_signal(2)

    assert process.wait(timeout=60) == 130


# ----------------------------------------------------------------------------------------------------------- endpoints


def test_endpoints_that_differ_from_the_quorum_are_counted_and_named(town, cli, rpc_proxy):
    from agent_guard.typed_data import agent_id

    town.register("indexer")
    town.register("other")
    honest, liar = rpc_proxy(town.anvil.url), rpc_proxy(town.anvil.url)
    urls = f"{town.anvil.url},{honest.url},{liar.url}"

    def endpoints(agent="indexer"):
        return cli.ask("status", agent, ETH_RPC_URL=urls)["endpoints"]

    assert endpoints() == {"agree": 3, "total": 3, "dissent": {}}
    liar.lie(agent_id("indexer"), state=State.HALTED, may_run=False)
    assert endpoints() == {"agree": 2, "total": 3, "dissent": {liar.url: "says HALTED in epoch 1"}}
    assert endpoints("other") == {"agree": 3, "total": 3, "dissent": {}}
    shown = cli("status", "indexer", ETH_RPC_URL=urls).stdout
    assert "2 of 3 agree" in shown
    assert f"at {liar.url}" in shown
    liar.ok()
    # A block behind, and saying the same, is no dissent.
    town.rpc("evm_mine")
    liar.lag(1)
    assert endpoints()["agree"] == 3
    liar.ok()
    liar.down()
    assert endpoints() == {"agree": 2, "total": 3, "dissent": {liar.url: "gave no usable answer"}}


def test_a_lie_about_the_fleet_is_dissent_on_every_agent(town, cli, rpc_proxy):
    town.register("indexer")
    liar = rpc_proxy(town.anvil.url)
    liar.lie(bytes(32), state=State.HALTED, may_run=False)

    urls = ",".join((town.anvil.url, rpc_proxy(town.anvil.url).url, liar.url))
    said = cli.ask("status", "indexer", ETH_RPC_URL=urls)["endpoints"]

    assert said["dissent"] == {liar.url: "says RUNNING in epoch 1, fleet HALTED"}


# --------------------------------------------------------------------------------------------------------- last death

FACTS = {
    "epoch": 1,
    "vote": 1_700_000_000_000,
    "quorum": 1_700_000_001_000,
    "block": 1_700_000_001_000,
    "seen": 1_700_000_001_020,
    "frozen": 1_700_000_001_023,
    "dead": 1_700_000_001_050,
    "processes": 7,
    "mode": "cgroup+pidns",
}


def receipt(town, key="operator", agent="indexer", **changes):
    """A death receipt on this host, signed by `key`; `changes` are made after the signing."""
    from eth_account import Account

    from agent_guard import wiring
    from agent_guard.typed_data import agent_id, death_typed_data

    choice = wiring.KeyChoice(None, town.keys.folder / key, town.keys.password_file)
    account = wiring.unlock(town.connection.settings, choice)
    message = death_typed_data(
        agent_id(agent), FACTS, town.connection.deployment.chain_id, town.contract.address
    )
    signature = b64encode(Account.sign_typed_data(account.key, full_message=message).signature).decode()
    path = town.folder / "home/devnet/agents/indexer/death.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(FACTS | {"reason": "halted", "signature": signature} | changes))


def test_the_last_death_is_shown_with_its_stages_if_the_operator_signed_it(town, cli):
    town.register("indexer")
    receipt(town)

    assert cli.ask("status", "indexer")["death"] == {"signed": True, **FACTS}
    shown = cli("status", "indexer").stdout
    assert "signed by the operator: 7 processes, cgroup+pidns" in shown
    assert "vote -1000 ms · quorum +0 ms · block +0 ms · seen +20 ms · frozen +23 ms · dead +50 ms" in shown
    assert "2023-11-14T22:13:21.050Z" in shown


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "signer1"},
        {"agent": "other"},
        {"processes": 0},
        {"dead": 1_700_000_001_049},
        {"dead": "soon"},
        {"dead": 1e300},
        {"mode": "none\x1b[2J"},
        {"mode": None},
        {"signature": ""},
        {"signature": "\x00é"},
        {"signature": None},
        {"epoch": 1 << 70},
    ],
    ids=str,
)
def test_a_receipt_that_the_operator_did_not_sign_so_is_not_believed_and_that_is_said(town, cli, changes):
    town.register("indexer")
    receipt(town, **changes)

    assert cli.ask("status", "indexer")["death"] == {"signed": False}
    assert "the receipt here is not signed by the operator on chain" in cli("status", "indexer").stdout


@pytest.mark.parametrize("text", ["", "[]", "null", '{"dead": ', '{"alive": 1}'])
def test_what_is_no_receipt_is_none(town, cli, text):
    town.register("indexer")
    receipt(town)
    (town.folder / "home/devnet/agents/indexer/death.json").write_text(text)

    assert cli.ask("status", "indexer")["death"] is None
