"""The local chain: started, used, told to end; and what stands in its way."""

import json
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agent_guard.devnet.anvil import Anvil, find_anvil
from agent_guard.errors import GuardError
from tests.ports import free_port

pytestmark = pytest.mark.chain


def ready(process: Any) -> dict[str, Any]:
    """The one JSON object that says that the chain is up, indented over several lines or on one."""
    text = ""
    for line in process.stdout:
        text += line
        try:
            return dict(json.loads(text))
        except ValueError:
            continue
    raise AssertionError(f"it ended: {process.stderr.read()}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def fresh(town: Any, tmp_path: Path) -> Any:
    """A folder without records."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    town.cli.folder = folder
    town.cli.environ = {
        name: value
        for name, value in town.cli.environ.items()
        if name not in ("ETH_RPC_URL", "AGENT_GUARD_KEYSTORES", "ETH_PASSWORD")
    }
    return town.cli


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_devnet_is_ready_to_use_and_ends_when_told(fresh, number):
    port = free_port()
    process = fresh.start("devnet", "--port", port, "--json")
    said = ready(process)

    assert said["rpc_url"] == f"http://127.0.0.1:{port}"
    assert {row["name"] for row in said["accounts"]} == {"operator", "signer1", "signer2", "signer3"}
    use = {"ETH_RPC_URL": said["rpc_url"], "AGENT_GUARD_KEYSTORES": said["keystores"]}
    fresh("deployment", "check", **use)
    operator = next(row["address"] for row in said["accounts"] if row["name"] == "operator")
    for signer in ("signer1", "signer2"):
        command = ("agent", "register", "a", "--operator", operator, "--account", signer, "--yes")
        fresh(*command, ETH_PASSWORD=said["password_file"], **use)
    assert fresh.ask("status", "a", **use)["state"] == "running"

    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    assert not listens(port)


def test_devnet_keeps_its_chain_in_a_file(fresh):
    port, state = free_port(), fresh.folder / "chain.json"
    for expected in ("created", "kept"):
        process = fresh.start("devnet", "--port", port, "--state", state, "--json")
        council = ready(process)["council"]
        if expected == "created":
            before = council
        process.terminate()
        assert process.wait(timeout=60) == 0, process.stderr.read()
        assert state.exists()
    assert council == before


def test_devnet_whose_anvil_ends_says_so(fresh):
    process = fresh.start("devnet", "--port", free_port())
    lines = iter(process.stderr.readline, "")
    line = next(line for line in lines if "Anvil runs as process" in line)

    os.kill(int("".join(c for c in line.split("process")[1] if c.isdigit())), signal.SIGKILL)

    assert process.wait(timeout=60) == 1
    assert "AG207" in process.stderr.read()


def test_port_in_use_starts_nothing_and_writes_nothing(fresh):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = fresh.fails("AG208", 1, "devnet", "--port", taken.getsockname()[1])

    assert "--port" in error["remedy"]
    assert list(fresh.folder.iterdir()) == []


def test_no_anvil_starts_nothing_and_says_how_to_install_it(fresh):
    error = fresh.fails("AG207", 1, "devnet", "--port", free_port(), PATH="/nowhere")

    assert "npm install @foundry-rs/anvil" in error["remedy"]
    assert list(fresh.folder.iterdir()) == []


def test_stopped_anvil_leaves_nothing_behind_not_even_one_that_was_killed(monkeypatch, anvil, tmp_path):
    monkeypatch.setenv("PATH", f"{Path(__file__).parents[2]}/node_modules/.bin:{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Anvil() as running:
        (states,) = tmp_path.iterdir()
        assert str(states).encode() in Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")
        os.kill(running.pid, signal.SIGKILL)

    assert list(tmp_path.iterdir()) == []


def test_anvil_that_ends_at_once_is_told_with_its_own_words(fresh, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "anvil").write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    (programs / "anvil").chmod(0o755)

    error = fresh.fails("AG207", 1, "devnet", "--port", free_port(), PATH=f"{programs}:/bin:/usr/bin")

    assert "exit code 3: it is broken" in error["message"]


def test_anvil_is_the_program_itself_so_that_its_pid_is_the_chains(anvil):
    assert Path(f"/proc/{anvil.pid}/exe").readlink().name == "anvil"


def test_anvil_is_found_in_the_working_folders_node_modules(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GuardError, match="AG207"):
        find_anvil()
    folder = tmp_path / "node_modules/.bin"
    folder.mkdir(parents=True)
    (folder / "anvil").write_text("#!/bin/sh\n")
    (folder / "anvil").chmod(0o755)

    assert find_anvil() == str(folder / "anvil")


def test_stopped_anvil_listens_no_more(monkeypatch, anvil):
    monkeypatch.setenv("PATH", f"{Path(__file__).parents[2]}/node_modules/.bin:{os.environ['PATH']}")
    with Anvil() as running:
        assert listens(running.port)
        port = running.port

    assert not listens(port)
    assert running.ended()
