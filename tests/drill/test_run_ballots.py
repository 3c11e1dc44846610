"""Ballots that signers hand to the guard itself, on a chain that mines nothing: they kill before any block."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agent_guard.types import State
from agent_guard.wiring import guarding
from tests.ports import free_port

pytestmark = pytest.mark.drill

BY_BALLOTS = "halted by ballots that signers handed to the guard"
# Accepts any signature (ERC-1271): returns its magic value.
ACCEPTS_ALL = "0x7f1626ba7e" + "00" * 28 + "60005260206000f3"


class Signers:
    """A town whose chain mines only when told, and the ways to its guard."""

    def __init__(self, town: Any, port: int) -> None:
        self.town = town
        self.port = port
        self.environ = {"AGENT_GUARD_SIGNERS_LISTEN": f"127.0.0.1:{port}", "AGENT_GUARD_ANCHOR_AGE": "60"}

    @property
    def folder(self) -> Path:
        operator = self.town.address("operator").lower()
        return Path(self.town.folder / "home/devnet/guards" / operator / "ballots")

    @property
    def socket(self) -> Path:
        return self.folder.parent / "guard.sock"

    def way(self, name: str) -> object:
        return {"socket": self.socket, "tcp": f"http://127.0.0.1:{self.port}", "folder": self.folder}[name]

    def ballot(self, signer: str, **changes: Any) -> Path:
        """A signed halt ballot, of other values than the true ones where told: `chain_id`, fields of a ballot."""
        from agent_guard import wiring
        from agent_guard.types import Action

        town, voting = self.town, self.town.connection.voting()
        choice = wiring.KeyChoice(None, town.keys.folder / signer, town.keys.password_file)
        account = wiring.unlock(town.connection.settings, choice)
        motion = voting.motion(Action.HALT, "indexer")
        said = voting.ballot(motion, town.address("signer1"), "", int(time.time()) + 600)
        fields = {name: value for name, value in changes.items() if name in said.__dataclass_fields__}
        said = replace(said, **{"signer": account.address, **fields})
        voting.chain_id = changes.get("chain_id", voting.chain_id)
        path = Path(town.folder / f"{signer}-{time.monotonic_ns()}.ballot")
        path.write_text(voting.sign(said, account, "").encode())
        return path

    def hand(self, *files: Path, to: object = "socket", expect: int | None = 0) -> dict[str, Any]:
        to = self.way(to) if isinstance(to, str) else to
        return dict(
            self.town.cli("vote", "submit", *files, "--to", to, "--yes", "--json", expect=expect).json
        )

    def refusal(self, file: Path) -> str:
        """Why the guard does not take it."""
        error = self.hand(file, expect=2)["error"]
        assert error["code"] == "AG315"
        return str(error["message"])

    def ask(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()

    def mine(self) -> None:
        """From now on the chain mines."""
        self.town.rpc("evm_setAutomine", True)
        self.town.rpc("evm_mine")

    def records(self) -> list[dict[str, Any]]:
        """The records of ballots in the log."""
        rows = self.town.cli.ask("log", "list", "indexer", "--last", "1000")["rows"]
        return [row for row in rows if row["kind"] == "ballot"]


@pytest.fixture
def still(request: pytest.FixtureRequest, found: Callable[..., Any]) -> Iterator[Signers]:
    """An Anvil of the test's own, which mines nothing once the agent is registered."""
    from agent_guard.devnet.anvil import Anvil

    path = f"{request.config.rootpath}/node_modules/.bin:{os.environ['PATH']}"
    with mock.patch.dict(os.environ, PATH=path):
        anvil = Anvil()
        anvil.start()
    try:
        town = found(anvil, resume_delay=1)
        town.register("indexer")
        town.rpc("evm_setAutomine", False)
        # A chain that mines nothing is what is tested, however long the test takes.
        town.cli.environ["AGENT_GUARD_MAX_BLOCK_AGE"] = "600"
        yield Signers(town, free_port())
    finally:
        os.kill(anvil.pid, signal.SIGCONT)
        anvil.stop()


@pytest.mark.parametrize("way", ["socket", "tcp", "folder"])
def test_h_ballots_kill_before_any_block_and_are_then_relayed(still, guard, until, way):
    run = guard(still.town, "resist(); beat()", **still.environ)
    until("all its children", lambda: len(run.alive()) >= 6)
    files, height = [still.ballot(signer) for signer in ("signer1", "signer3")], still.town.height()

    first = still.hand(files[0], to=way)
    assert "1 open vote" in run.event("frozen")["reason"]
    assert run.stands_still()
    still.hand(files[1], to=way)
    dead = run.event("dead")

    assert (run.alive(), dead["reason"]) == ([], BY_BALLOTS)
    assert (still.town.height(), still.town.state("indexer").state) == (height, State.RUNNING)
    stages = dead["stages_ms"]
    assert stages["vote"] <= stages["quorum"] <= stages["seen"] <= stages["frozen"] <= stages["dead"]
    fates = [one["fate"] for one in first["detail"]["guards"]]
    assert (first["applied"], first["tx"], fates) == (True, None, ["left" if way == "folder" else "accepted"])
    still.mine()
    assert run.code() == 8
    assert still.town.state("indexer").state is State.HALTED
    assert still.town.cli.ask("audit", "indexer")["result"] == "VERIFIED"
    assert len(still.records()) == 2
    if way == "folder":
        assert sorted(path.suffix for path in still.folder.iterdir()) == [".accepted", ".accepted"]


def test_ballots_that_do_not_count_do_nothing_and_leave_a_record_each(still, guard):
    run = guard(still.town, **still.environ, AGENT_GUARD_FREEZE_ON_VOTE="false")
    good = still.ballot("signer1")
    forged = json.loads(good.read_text())
    forged["signature"] = "0x" + "11" * 64 + "1b"
    edited = still.town.folder / "edited"
    edited.write_text(json.dumps(forged))
    bad = {
        "not its signer's own": edited,
        "expired": still.ballot("signer1", deadline=1),
        "for epoch 2": still.ballot("signer1", epoch=2),
        "signer set 9": still.ballot("signer1", set_version=9),
        "not in the present set": still.ballot("operator"),
        "of chain 5": still.ballot("signer1", chain_id=5),
        "does not hold that agent": still.ballot("signer1", agent=b"\x09" * 32),
        "param is not a halt's": still.ballot("signer1", param=b"\x01" * 32),
    }

    for why, file in bad.items():
        assert why in still.refusal(file), why
    still.hand(good)
    assert "is here already" in still.refusal(good)
    # Three times one signer is one vote.
    still.refusal(still.ballot("signer1"))

    assert run.beats()
    refused = [run.event("ballot")["refused"] for _ in range(11)]
    assert [why is None for why in refused] == [False] * 8 + [True] + [False] * 2
    assert run.events() == ["started"] + ["ballot"] * 11
    said = json.loads(still.ask("/v1/status"))
    assert said["ballots"] == {"accepted": 1, "refused": 10, "malformed": 0}
    assert said["agents"][0]["verdict"] == "run"
    still.mine()
    run.process.terminate()
    assert run.code() == 130
    # That for an agent of nobody's stands among the guard's own entries.
    assert len(still.records()) == 10
    assert still.town.state("indexer").state is State.RUNNING


def test_ballot_of_a_contract_counts_on_chain_and_not_at_the_guard_which_says_so(still, guard):
    run = guard(still.town, **still.environ, AGENT_GUARD_FREEZE_ON_VOTE="false")
    still.town.rpc("anvil_setCode", still.town.address("signer2"), ACCEPTS_ALL)
    signed = json.loads(still.ballot("signer2").read_text())
    signed["signature"] = "0x01"
    file = still.town.folder / "contract.ballot"
    file.write_text(json.dumps(signed))

    assert "(ERC-1271) only the chain can check" in still.refusal(file)
    assert run.beats()

    still.mine()
    relayed = still.town.cli.ask("vote", "submit", file, "--account", "operator", "--yes")
    assert relayed["detail"] == {"counted": 1, "skipped": []}


def test_ballots_signed_before_kill_while_the_chain_is_down_and_reach_it_later(still, guard):
    files = [still.ballot(signer) for signer in ("signer2", "signer3")]
    run = guard(still.town, "resist(); beat()", **still.environ, AGENT_GUARD_RPC_TIMEOUT="0.5")
    os.kill(still.town.anvil.pid, signal.SIGSTOP)
    time.sleep(1.5)
    assert run.beats()

    still.hand(*files)
    dead = run.event("dead")

    assert (dead["reason"], run.alive()) == (BY_BALLOTS, [])
    os.kill(still.town.anvil.pid, signal.SIGCONT)
    still.mine()
    assert run.code() == 8
    assert still.town.state("indexer").state is State.HALTED


def test_guard_killed_between_taking_and_relaying_starts_no_agent_until_a_later_final_epoch(
    still, guard, until, monkeypatch
):
    run = guard(still.town, "resist(); beat()", **still.environ)
    still.hand(*[still.ballot(signer) for signer in ("signer1", "signer2")])
    latches = still.town.folder / "home/devnet/latches"
    until("the halt to be kept", lambda: list(latches.glob("*.json")))
    run.kill()
    run.process.wait()
    until("the agent's end", lambda: run.alive() == [])
    # What the guard had sent is lost, too: the chain knows of nothing.
    still.town.rpc("anvil_dropAllTransactions")
    assert still.town.state("indexer").state is State.RUNNING

    again = ("run", "indexer", "--account", "operator", "--", "/bin/true")
    # The first to come tells of the life as well, where the kill came before the guard had recorded its end. What it
    # records then it would have anchored; not this chain, on which it would wait a minute for a block.
    monkeypatch.setattr(guarding, "FLUSH_SECONDS", 2.0)
    first = still.town.cli("run", "indexer", "--account", "operator", "--json", "--", "/bin/true", expect=8)
    *told, refused = [json.loads(line) for line in first.stdout.splitlines()]
    assert [step["event"] for step in told] in ([], ["found_dead"])
    assert (refused["error"]["code"], BY_BALLOTS in refused["error"]["message"]) == ("AG421", True)
    still.mine()
    assert BY_BALLOTS in still.town.cli.fails("AG421", 8, *again)["message"]
    still.town.vote("halt", "indexer", "signer1", "signer2")
    still.town.vote("resume", "indexer", "signer1", "signer2")
    still.town.pass_time(2)
    still.town.cli("vote", "resume", "indexer", "--account", "signer1", "--yes")
    assert still.town.state("indexer").state is State.RUNNING
    # Resumed, but not in a final block yet: Anvil's are the newest but two.
    assert BY_BALLOTS in still.town.cli.fails("AG421", 8, *again)["message"]
    for _ in range(3):
        still.town.rpc("evm_mine")
    still.town.cli(*again)


def test_strange_things_in_the_folder_hold_up_no_ballot(still, guard):
    run = guard(still.town, **still.environ)
    os.mkfifo(still.folder / "a-pipe.json")
    (still.folder / "b-folder.json").mkdir()
    (still.folder / "c-link.json").symlink_to(still.town.folder / "nowhere")
    (still.folder / "d-large.json").write_bytes(b" " * 100_000)
    (still.folder / "e-binary.json").write_bytes(bytes(range(256)))
    (still.folder / "f-stays.json.refused" / "in the way").mkdir(parents=True)
    (still.folder / "f-stays.json").write_text("{}")
    told = [run.event("trouble") for _ in range(6)]
    time.sleep(0.5)

    still.hand(*[still.ballot(signer) for signer in ("signer1", "signer2")], to="folder")

    assert run.event("dead")["reason"] == BY_BALLOTS
    assert [step["error"]["message"].partition(":")[0] for step in told] == [
        *("a-pipe.json", "b-folder.json", "c-link.json", "d-large.json", "e-binary.json", "f-stays.json"),
    ]
    assert run.events().count("trouble") == 6


def test_flood_of_forged_ballots_on_the_port_delays_no_stop_through_the_socket(still, guard, until):
    run = guard(still.town, "resist(); beat()", **still.environ)
    files = [still.ballot(signer) for signer in ("signer1", "signer2")]
    forged = json.loads(files[0].read_text()) | {"signature": "0x" + "11" * 64 + "1b"}
    body, over, codes = json.dumps(forged), threading.Event(), []

    def flood() -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", still.port, timeout=60)
            try:
                for _ in range(50):
                    connection.request("POST", "/v1/ballots", body, {"content-type": "application/json"})
                    response = connection.getresponse()
                    response.read()
                    codes.append(response.status)
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()

    floods = [threading.Thread(target=flood) for _ in range(8)]
    for thread in floods:
        thread.start()
    try:
        until("answers of both kinds", lambda: {409, 503} <= set(codes))
        still.hand(*files)
        dead = run.event("dead")
    finally:
        over.set()
        for thread in floods:
            thread.join()

    assert (dead["reason"], run.alive()) == (BY_BALLOTS, [])
    assert set(codes) == {409, 503}
    still.mine()
    assert run.code() == 8
    # What a stranger sends fills no disk.
    assert len(still.records()) < 200


def test_door_is_for_this_user_alone_and_tells_where_the_guard_stands(still, guard, until):
    run = guard(still.town, **still.environ)

    assert oct(still.socket.stat().st_mode & 0o777) == "0o600"
    assert oct(still.socket.parent.stat().st_mode & 0o777) == "0o700"
    (agent,) = json.loads(still.ask("/v1/status"))["agents"]
    assert (agent["agent"], agent["verdict"], agent["phase"], agent["state"]) == (
        "indexer",
        "run",
        "living",
        "running",
    )
    metrics = still.ask("/metrics")
    assert 'agent_guard_verdict{agent="indexer",decision="run"} 1.0' in metrics
    assert f'agent_guard_endpoint_agrees{{endpoint="{still.town.anvil.url}"}} 1.0' in metrics
    still.hand(*[still.ballot(signer) for signer in ("signer1", "signer2")])
    run.event("dead")
    until(
        "the death in the metrics",
        lambda: 'agent_guard_deaths_total{agent="indexer"} 1.0' in still.ask("/metrics"),
    )
    still.mine()
    assert run.code() == 8


def test_guard_names_the_endpoint_that_differs_and_status_repeats_it_and_the_signed_death(
    still, guard, until, rpc_proxy
):
    url = still.town.anvil.url
    liar, honest = rpc_proxy(url), rpc_proxy(url)
    endpoints = {"ETH_RPC_URL": f"{url},{honest.url},{liar.url}"}
    guard(still.town, **still.environ, **endpoints)

    liar.lie(bytes(32), epoch=9)
    until(
        "the dissent in the metrics",
        lambda: f'endpoint_dissents_total{{endpoint="{liar.url}"}} 1.0' in still.ask("/metrics"),
    )

    metrics = still.ask("/metrics")
    assert f'agent_guard_endpoint_agrees{{endpoint="{liar.url}"}} 0.0' in metrics
    assert f'agent_guard_endpoint_agrees{{endpoint="{honest.url}"}} 1.0' in metrics
    assert "agent_guard_endpoints_needed 2.0" in metrics
    said = json.loads(still.ask("/v1/status"))["endpoints"]
    assert (said["agree"], said["needed"], said["total"], list(said["dissent"])) == (2, 2, 3, [liar.url])
    # The command itself asks one endpoint: what it says of three is the guard's word.
    shown = still.town.cli.ask("status", "indexer")["endpoints"]
    assert (shown["agree"], shown["total"], list(shown["dissent"])) == (2, 3, [liar.url])
    still.hand(*[still.ballot(signer) for signer in ("signer1", "signer2")])
    until("the death in the status", lambda: still.town.cli.ask("status", "indexer")["death"])
    assert still.town.cli.ask("status", "indexer")["death"]["signed"] is True


def test_port_that_is_taken_is_told_and_nothing_is_started(still):
    with socket.socket() as other:
        other.bind(("127.0.0.1", still.port))
        other.listen()
        command = ("run", "indexer", "--account", "operator", "--", "/bin/true")
        said = still.town.cli.fails("AG616", 1, *command, **still.environ)
    assert "Nothing was started" in said["message"]


# ------------------------------------------------------------------------------------------------------- vote halt --to


def test_halt_handed_over_and_cast_kills_at_the_second_and_says_what_happened_where(still, guard):
    run = guard(still.town, **still.environ)
    still.town.rpc("evm_setAutomine", True)
    vote = ("vote", "halt", "indexer", "--reason", "it drifts", "--yes", "--to", still.socket, "--account")

    first = still.town.cli.ask(*vote, "signer1")
    second = still.town.cli.ask(*vote, "signer2", "--to", still.folder)

    for said in (first, second):
        assert said["applied"] is True
        assert said["detail"]["guards"][0]["fate"] == "accepted"
        assert said["detail"]["chain"] in ("cast", "stands")
    assert second["detail"]["guards"][1]["fate"] == "left"
    assert run.event("dead")["reason"] in (BY_BALLOTS, "halted by the council")
    assert run.code() == 8
    assert still.town.state("indexer").state is State.HALTED


def test_halt_that_the_chain_does_not_take_still_stops_and_says_that_the_guard_relays(still, guard, until):
    run = guard(still.town, **still.environ)
    still.town.rpc("evm_setAutomine", True)
    for signer in ("signer1", "signer2"):
        still.town.rpc("anvil_setBalance", still.town.address(signer), "0x0")
    vote = ("vote", "halt", "indexer", "--yes", "--to", still.socket, "--account")
    still.town.rpc("evm_setAutomine", False)

    first = still.town.cli.ask(*vote, "signer1")
    outcome = still.town.cli(*vote, "signer2")

    assert (first["applied"], first["tx"], first["detail"]["chain"]) == (True, None, "failed")
    assert first["detail"]["error"]["code"] == "AG206"
    assert "WARNING: the chain did not take the vote" in outcome.stderr
    assert "relays it" in outcome.stderr
    assert run.event("dead")["reason"] == BY_BALLOTS
    still.mine()
    assert run.code() == 8
    assert still.town.state("indexer").state is State.HALTED


def test_signer_who_voted_on_chain_may_still_hand_a_ballot_to_the_guard(still, guard):
    run = guard(still.town, **still.environ)
    still.town.rpc("evm_setAutomine", True)
    still.town.vote("halt", "indexer", "signer1")
    run.event("frozen")
    vote = ("vote", "halt", "indexer", "--yes", "--to", still.socket, "--account")

    said = still.town.cli.ask(*vote, "signer1")
    only = still.town.cli.ask(*vote, "signer2", "--sign-only", "-o", still.town.folder / "kept.ballot")

    assert (said["detail"]["chain"], said["detail"]["guards"][0]["fate"]) == ("stands", "accepted")
    assert only["detail"]["file"] == str(still.town.folder / "kept.ballot")
    assert run.event("dead")["reason"] == BY_BALLOTS
    assert run.code() == 8
    # What stands on chain already is no trouble to relay.
    assert "trouble" not in run.events()
