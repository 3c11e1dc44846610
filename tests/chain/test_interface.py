"""The public contract of the command line: shapes of --json, exit codes, errors, and which stream says what."""

import json
import os
import re
import subprocess
import sys

import pytest

from agent_guard.errors import CATALOGUE, GuardError, Kind

pytestmark = pytest.mark.chain

READS = (
    ("status",),
    ("status", "indexer"),
    ("vote", "list"),
    ("agent", "list"),
    ("agent", "show", "indexer"),
    ("council", "show"),
    ("deployment", "check"),
)


def test_exit_codes_are_the_promised_table():
    assert {kind.name: kind.value for kind in Kind} == {
        "FAILURE": 1,
        "USAGE": 2,
        "CANCELLED": 3,
        "PERMISSION": 4,
        "TAMPERED": 5,
        "INDETERMINATE": 6,
        "NO_QUORUM": 7,
        "HALTED": 8,
        "INTERRUPTED": 130,
    }


def test_every_read_is_of_one_named_block(town, cli):
    town.register("indexer")
    for command in READS:
        said = cli.ask(*command)
        assert set(said) >= {"as_of", "block", "rows", "truncated"}, command
        number = said["block"]["number"] if isinstance(said["block"], dict) else said["block"]
        assert number == town.height(), command
        assert said["as_of"] == town.connection.endpoint.block().timestamp
        assert isinstance(said["rows"], list)
        assert said["truncated"] is False


def test_reads_without_a_chain_have_rows_as_well(town, cli):
    for command in (("key", "list"), ("deployment", "list"), ("deployment", "show")):
        said = cli.ask(*command)
        assert isinstance(said["rows"], list)
        assert said["truncated"] is False


def test_every_write_says_what_it_did(town, cli):
    town.register("indexer")
    ballot = town.ballot("halt", "indexer", "signer2")
    writes = (
        ("vote", "halt", "indexer", "--account", "signer1", "--yes"),
        ("vote", "submit", ballot, "--account", "operator", "--yes"),
        ("agent", "register", "b", "--operator", town.address("operator"), "--account", "signer1", "--yes"),
    )
    for command in writes:
        said = cli.ask(*command)
        assert set(said) == {"target", "applied", "tx", "detail"}, command
        assert said["applied"] is True
        assert re.fullmatch("0x[0-9a-f]{64}", said["tx"])


def test_an_error_with_json_is_one_object_on_stdout(cli):
    outcome = cli("vote", "halt", "nobody", "--account", "signer1", "--yes", "--json", expect=1)

    assert set(outcome.error) == {"code", "kind", "message", "remedy"}
    assert (outcome.error["code"], outcome.error["kind"]) == ("AG311", "failure")
    assert outcome.stderr == ""


def test_an_error_in_words_is_on_stderr_with_its_remedy_and_code(cli):
    outcome = cli("vote", "halt", "nobody", "--account", "signer1", "--yes", expect=1)

    assert outcome.stdout == ""
    assert "error AG311" in outcome.stderr
    assert "agent-guard agent list" in outcome.stderr
    assert "more: agent-guard help AG311" in outcome.stderr
    assert "\x1b" not in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such",),
        ("vote", "no-such"),
        ("vote", "halt", "--no-such"),
        ("status", "a", "b"),
        ("vote", "halt", "--account"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error_with_both_outputs(cli, arguments):
    assert cli.fails("AG101", 2, *arguments)["remedy"]
    outcome = cli(*arguments, expect=2)
    assert (outcome.stdout, "AG101" in outcome.stderr) == ("", True)


def test_every_code_is_explained_and_an_unknown_one_is_not(cli):
    for code, explanation in CATALOGUE.items():
        said = cli.ask("help", code)
        assert (said["code"], said["kind"], said["title"]) == (
            code,
            explanation.kind.name.lower(),
            explanation.title,
        )
        assert GuardError(code, "m", "r").exit_code == explanation.kind.value
    cli.fails("AG101", 2, "help", "AG999")


def test_version_and_help_of_every_command_read_without_a_chain_or_a_home(cli):
    nowhere = {"ETH_RPC_URL": "http://127.0.0.1:1", "AGENT_GUARD_HOME": "/nowhere"}
    assert re.fullmatch(r"agent-guard \d+\.\d+\S*\n", cli("--version", **nowhere).stdout)
    shown = cli("--help", **nowhere).stdout
    for name in (
        "run",
        "status",
        "vote",
        "audit",
        "log",
        "agent",
        "council",
        "deployment",
        "key",
        "devnet",
        "doctor",
    ):
        assert f"\n  {name} " in shown, shown
        assert "Usage" in cli(name, "--help", **nowhere).stdout


def test_help_does_not_import_the_heavy_parts(cli):
    code = (
        "import sys; sys.argv = ['agent-guard', '--help']\n"
        "from agent_guard.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('web3', 'fastapi', 'eth_account', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.environ, capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_true_process_gives_the_same_exit_codes_and_streams(town, cli):
    town.register("indexer")
    good, bad, halted = (
        cli.start("status", "indexer", "--json"),
        cli.start("agent", "show", "nobody", "--json"),
        cli.start("status", "nobody", "--exit-status"),
    )

    out, err = good.communicate(timeout=120)
    assert (good.returncode, json.loads(out)["state"], err) == (0, "running", "")
    out, err = bad.communicate(timeout=120)
    assert (bad.returncode, json.loads(out)["error"]["code"], err) == (1, "AG311", "")
    halted.communicate(timeout=120)
    assert halted.returncode == 8


def test_reader_that_goes_away_is_no_error(town, cli):
    town.register("indexer")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "agent_guard", "status", "indexer"],
        cwd=cli.folder,
        env=cli.environ,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)

    assert done.returncode in (0, 1)
    assert done.stderr == ""


def test_unforeseen_failure_is_one_error_without_a_traceback(town, cli, monkeypatch):
    from agent_guard.chain.endpoint import Endpoint

    def fail(self: object) -> int:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(Endpoint, "chain_id", fail)

    outcome = cli("status", expect=1)

    assert "AG100" in outcome.stderr
    assert "RuntimeError: nobody foresaw this" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "Traceback" in cli("status", expect=1, AGENT_GUARD_DEBUG="1").stderr


def test_audit_without_a_log_is_an_error_and_no_result(town, cli):
    town.register("indexer")

    assert str(town.folder / "home") in cli.fails("AG510", 1, "audit", "indexer")["message"]
