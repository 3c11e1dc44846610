"""Keystores: made, imported, listed, read by Foundry; and every way in which one can't be opened."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent_guard.keys import keystore

pytestmark = pytest.mark.chain

SECRET = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
VOTE = ("vote", "halt", "indexer", "--yes")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that cost nothing to lock."""
    monkeypatch.setattr(keystore.create, "__defaults__", (2,))
    monkeypatch.setattr(keystore.import_key, "__defaults__", (2,))


@pytest.fixture
def agent(town: Any) -> None:
    town.register("indexer")


def folder(town: Any) -> Path:
    return Path(town.keys.folder)


def test_new_key_is_private_listed_and_opened_by_cast(town, cli):
    password = str(town.keys.password_file)
    made = cli.ask("key", "new", "fresh", "--password-file", password)

    path = folder(town) / "fresh"
    assert made == {
        "target": "fresh",
        "applied": True,
        "tx": None,
        "detail": {"address": made["detail"]["address"], "path": str(path)},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["crypto"]["kdfparams"]["n"] == 262_144
    cast = ["cast", "wallet", "address", "--keystore", str(path), "--password-file", password]
    shown = subprocess.run(
        cast, env=os.environ | {"PATH": cli.environ["PATH"]}, capture_output=True, text=True
    )
    assert shown.stdout.strip() == made["detail"]["address"], shown.stderr
    listed = {row["name"]: row["address"] for row in cli.ask("key", "list")["rows"]}
    assert listed["fresh"].lower() == made["detail"]["address"].lower()
    assert set(listed) == {"operator", "signer1", "signer2", "signer3", "fresh"}


def test_key_that_cast_made_is_used_for_a_vote(town, cli, agent):
    command = ["cast", "wallet", "import", "theirs", "--keystore-dir", str(folder(town))]
    subprocess.run(
        [*command, "--private-key", SECRET, "--unsafe-password", "devnet"],
        env=os.environ | {"PATH": cli.environ["PATH"]},
        check=True,
        capture_output=True,
    )

    cli(*VOTE, "--account", "theirs")

    assert town.state("indexer").halt_votes == 1


@pytest.mark.usefixtures("cheap")
def test_imported_key_comes_from_a_pipe_and_is_never_shown(town, cli):
    outcome = cli("key", "import", "piped", "--json", stdin=f"0x{SECRET}\n", ETH_PASSWORD="", expect=4)
    assert outcome.error["code"] == "AG304"

    password = str(town.keys.password_file)
    outcome = cli("key", "import", "piped", "--password-file", password, "--json", stdin=f"0x{SECRET}\n")
    assert outcome.json["detail"]["address"] == town.address("signer1")
    assert SECRET not in (outcome.stdout + outcome.stderr + (folder(town) / "piped").read_text())


@pytest.mark.usefixtures("cheap")
def test_import_of_what_is_no_private_key_writes_nothing_and_repeats_nothing(town, cli):
    command = ("key", "import", "bad", "--password-file", town.keys.password_file, "--json")
    for given in ("", "0x12", SECRET[:-1] + "g", "0" * 64, "f" * 64):
        outcome = cli(*command, stdin=given + "\n", expect=2)

        assert outcome.error["code"] == "AG306"
        assert len(given) < 5 or given not in outcome.stdout
        assert not (folder(town) / "bad").exists()


@pytest.mark.usefixtures("cheap")
def test_existing_key_is_never_overwritten(town, cli):
    before = (folder(town) / "signer1").read_bytes()

    cli.fails("AG305", 1, "key", "new", "signer1", "--password-file", town.keys.password_file)

    assert (folder(town) / "signer1").read_bytes() == before
    assert [path.name for path in folder(town).iterdir() if "partial" in path.name] == []


def test_name_that_leaves_the_folder_is_refused(town, cli):
    for name in ("../signer9", ".hidden", "a/b", "", "a b"):
        cli.fails("AG101", 2, "key", "new", name, "--password-file", town.keys.password_file)


def refused(town: Any, code: str, exit_code: int, *options: object, **environ: str) -> dict[str, str]:
    """A vote that must fail for its key, and send nothing."""
    sent = town.sent()
    error = town.cli.fails(code, exit_code, *VOTE, *options, **environ)
    assert "Nothing was signed" in error["message"]
    assert (town.sent(), town.state("indexer").halt_votes) == (sent, 0)
    return dict(error)


def test_wrong_password_is_one_error_and_signs_nothing(town, cli, agent):
    wrong = town.folder / "wrong"
    wrong.write_text("not the password\n")

    error = refused(town, "AG303", 4, "--account", "signer1", "--password-file", wrong)

    assert "not the password" not in str(error)


DAMAGES: dict[str, Any] = {
    "empty": b"",
    "no JSON": b"not json",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "version 1": b'{"version": 1}',
    "no crypto": b'{"version": 3}',
    "unknown kdf": b'{"version": 3, "crypto": {"kdf": "none"}}',
    "no hexadecimal": {"mac": "zz"},
    "no salt": {"kdfparams": {"n": 2, "r": 8, "p": 1, "dklen": 32}},
    "scrypt cost is no power of two": {"kdfparams": {"n": 3, "r": 8, "p": 1, "dklen": 32, "salt": "00"}},
    "a folder": None,
}


def test_unreadable_keystore_is_one_error_and_signs_nothing(town, cli, agent):
    good = json.loads((folder(town) / "signer1").read_text())
    for name, damage in DAMAGES.items():
        path = folder(town) / name.replace(" ", "-")
        if damage is None:
            path.mkdir()
        elif isinstance(damage, bytes):
            path.write_bytes(damage)
        else:
            path.write_text(json.dumps(good | {"crypto": good["crypto"] | damage}))

        assert str(path) in refused(town, "AG302", 4, "--account", path.name)["message"]


def test_keystore_whose_ciphertext_was_cut_is_not_opened(town, cli, agent):
    path = folder(town) / "signer1"
    good = json.loads(path.read_text())
    good["crypto"]["ciphertext"] = good["crypto"]["ciphertext"][:10]
    path.write_text(json.dumps(good))

    refused(town, "AG303", 4, "--account", "signer1")


def test_missing_key_is_told_before_any_password(town, cli, agent):
    error = refused(town, "AG301", 4, "--account", "nobody", ETH_PASSWORD="")
    assert "agent-guard key list" in error["remedy"]
    refused(town, "AG301", 4)


def test_password_file_that_is_missing_empty_or_binary_is_one_error(town, cli, agent):
    path = town.folder / "secret"
    for content in (None, b"", b"\n", b"\xff\xfe"):
        if content is not None:
            path.write_bytes(content)

        refused(town, "AG304", 4, "--account", "signer1", "--password-file", path)


def test_without_a_terminal_or_a_file_no_password_is_waited_for(town, cli, agent):
    refused(town, "AG304", 4, "--account", "signer1", ETH_PASSWORD="")


@pytest.mark.parametrize(
    "chosen",
    [{"ETH_KEYSTORE_ACCOUNT": "signer1"}, {"ETH_KEYSTORE": "deployments/devnet/keystores/signer1"}],
    ids=["account", "path"],
)
def test_key_is_chosen_by_foundrys_variables(town, cli, agent, chosen):
    cli(*VOTE, **chosen)

    assert town.state("indexer").halt_votes == 1
