"""The program as a shell sees it: exit codes, the one error, and how fast it can be ready to help."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from agent_guard.cli import main as program
from agent_guard.cli import options
from agent_guard.cli.output import Output
from agent_guard.errors import CATALOGUE, GuardError, Kind

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> dict[str, str]:
        return dict(json.loads(self.stdout)["error"])


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `agent-guard` in this process, in an empty folder and with no settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("ETH_RPC_URL", "ETH_KEYSTORE", "ETH_KEYSTORE_ACCOUNT", "ETH_PASSWORD", "AGENT_GUARD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENT_GUARD_KEYSTORES", str(tmp_path / "keystores"))

    def go(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["agent-guard", *arguments])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, out, err)

    return go


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[..., Outcome]:
    """Runs a command that raises."""

    def go(error: BaseException, *arguments: str) -> Outcome:
        app = typer.Typer()

        @app.command("boom")
        def boom(as_json: options.Json = False) -> None:
            raise error

        @app.command("other")
        def other() -> None: ...

        monkeypatch.setattr(program, "app", app)
        return run("boom", *arguments)

    return go


# --- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_error_ends_with_the_exit_code_of_its_kind(failing: Callable[..., Outcome], code: str) -> None:
    outcome = failing(GuardError(code, "It failed.", "Do this."))
    assert outcome.code == CATALOGUE[code].kind.value
    assert f"error {code}: It failed.\n  Do this.\n" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (KeyboardInterrupt(), 130),
        (EOFError(), 3),
        (typer.Exit(8), 8),
        (typer.Exit(0), 0),
        (typer.BadParameter("bad"), 2),
        (BrokenPipeError(), 0),
        (RuntimeError("unforeseen"), 1),
    ],
    ids=[
        "Ctrl-C",
        "the end of input",
        "a code of its own",
        "success",
        "a bad parameter",
        "a closed pipe",
        "unforeseen",
    ],
)
def test_other_ends_have_their_codes(
    failing: Callable[..., Outcome], error: BaseException, exit_code: int
) -> None:
    stdout = sys.stdout
    try:
        assert failing(error).code == exit_code
    finally:
        sys.stdout = stdout


def test_the_unforeseen_is_ag100_with_a_traceback_only_for_who_asks(
    failing: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failing(RuntimeError("boom"), "--json").error["code"] == "AG100"
    assert "Traceback" not in failing(RuntimeError("boom")).stderr
    monkeypatch.setenv("AGENT_GUARD_DEBUG", "1")
    assert "Traceback" in failing(RuntimeError("boom")).stderr


def test_the_end_of_input_at_a_question_is_a_cancelling(
    failing: Callable[..., Outcome],
) -> None:
    outcome = failing(EOFError(), "--json")
    assert (outcome.error["code"], outcome.error["kind"]) == ("AG103", "cancelled")


def test_with_json_an_error_is_the_one_object_on_stdout(failing: Callable[..., Outcome]) -> None:
    outcome = failing(GuardError("AG421", "It may not run.", "See status."), "--json")
    assert outcome.error == {
        "code": "AG421", "kind": "halted", "message": "It may not run.", "remedy": "See status.",
    }  # fmt: skip
    assert outcome.stderr == ""


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("vote", "halt", "--json"),
        ("vote", "halt", "alice", "--all", "--json"),
        ("vote", "halt", "alice", "--nonsense", "--json"),
        ("nonsense", "--json"),
        ("vote", "submit", "--json"),
        ("help", "AG999", "--json"),
        ("devnet", "--port", "0", "--json"),
        ("council", "rotate", "--halt", "x", "--json"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_ag101_and_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.error["code"] == "AG101"


@pytest.mark.parametrize(
    "arguments", [(), ("vote",), ("key",), ("run",)], ids=lambda words: " ".join(words) or "-"
)
def test_without_arguments_the_help_is_shown_as_it_is_laid_out(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.stderr.startswith("Usage: agent-guard")
    assert len(outcome.stderr.splitlines()) > 6
    assert "error" not in outcome.stderr.splitlines()[0]


def _commands() -> list[list[str]]:
    def walk(command: Any, words: list[str]) -> list[list[str]]:
        inner = getattr(command, "commands", {})
        return [words] + [found for name, sub in inner.items() for found in walk(sub, [*words, name])]

    return walk(typer.main.get_command(program.app), [])


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_has_help_that_says_what_it_does(run: Run, words: list[str]) -> None:
    outcome = run(*words, "--help")
    assert outcome.code == 0
    usage, _, rest = outcome.stdout.partition("\n\n")
    assert "agent-guard" in usage
    assert rest.strip()[0].isupper()
    assert max(map(len, outcome.stdout.splitlines())) <= 110


@pytest.mark.parametrize("words", [words for words in _commands() if words], ids=" ".join)
def test_every_command_that_gives_a_result_takes_json(run: Run, words: list[str]) -> None:
    shown = run(*words, "--help").stdout
    assert "--json" in shown or "COMMAND" in shown or words == ["help"]


@pytest.mark.parametrize("code", ["AG201", "ag201"])
def test_help_explains_a_code(run: Run, code: str) -> None:
    outcome = run("help", code)
    assert outcome.code == 0
    assert outcome.stdout.startswith("AG201 The chain can't be reached\n")
    assert "6 (indeterminate)" in outcome.stdout


def test_version_is_a_result(run: Run) -> None:
    assert run("--version").stdout.startswith("agent-guard ")


# --- being ready to help ---------------------------------------------------------------------------------------------

# Typer imports pydantic itself, to parse the arguments of a command.
HEAVY = ("web3", "fastapi", "eth_account", "uvicorn", "httpx", "requests", "cryptography", "sqlite3")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["vote", "halt", "--help"], ["run", "--help"], ["help", "AG201"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, json\nfrom agent_guard.cli.main import main\nsys.argv[1:] = json.loads(sys.argv[1])\n"
        f"try:\n    main()\nexcept SystemExit: pass\n"
        f"sys.stderr.write(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout
    assert json.loads(done.stderr) == []


# --- settings and questions ------------------------------------------------------------------------------------------


def test_a_broken_settings_file_is_ag102_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    (tmp_path / "agent_guard.toml").write_text("poll = -1\nnonsense = 1\n")
    outcome = run("key", "list", "--json")
    assert (outcome.code, outcome.error["code"]) == (2, "AG102")
    assert "poll" in outcome.error["message"]
    assert "nonsense" in outcome.error["message"]


def test_a_settings_file_that_is_named_must_be_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_GUARD_CONFIG", str(tmp_path / "elsewhere.toml"))
    assert run("key", "list", "--json").error["code"] == "AG102"


@pytest.mark.parametrize(
    ("typed", "goes_on"),
    [("y", True), (" Y ", True), ("n", False), ("", False), ("yes", False), (None, False)],
)
def test_a_question_goes_on_with_its_answer_alone(
    monkeypatch: pytest.MonkeyPatch, typed: str | None, goes_on: bool
) -> None:
    def answer() -> str:
        if typed is None:
            raise EOFError
        return typed

    monkeypatch.setattr("os.isatty", lambda fd: True)
    monkeypatch.setattr("builtins.input", answer)
    if goes_on:
        options.confirm(Output(), "Vote? [y]", "y", yes=False)
        return
    with pytest.raises(GuardError) as caught:
        options.confirm(Output(), "Vote? [y]", "y", yes=False)
    assert (caught.value.code, caught.value.kind) == ("AG103", Kind.CANCELLED)


def test_a_question_nobody_can_answer_is_a_usage_error_unless_yes_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.isatty", lambda fd: False)
    options.confirm(Output(), "Vote? [y]", "y", yes=True)
    with pytest.raises(GuardError) as caught:
        options.confirm(Output(), "Vote? [y]", "y", yes=False)
    assert caught.value.code == "AG101"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_and_listed_and_its_secrets_stay_unsaid(run: Run, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    made = run("key", "new", "alice", "--password-file", "password", "--json")
    assert made.code == 0
    detail = json.loads(made.stdout)["detail"]
    listed = run("key", "list", "--json")
    (row,) = json.loads(listed.stdout)["rows"]
    assert (row["name"], row["address"].lower()) == ("alice", detail["address"].lower())
    assert "correct horse" not in made.stdout + made.stderr
    again = run("key", "new", "alice", "--password-file", "password", "--json")
    assert (again.code, again.error["code"]) == (1, "AG305")


def test_a_key_is_imported_from_a_pipe_and_never_echoed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    (tmp_path / "password").write_text("correct horse\n")
    for typed, code in (("0x" + "ab" * 32 + "\n", 0), ("ab" * 31 + "\n", 2)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        outcome = run("key", "import", f"k{code}", "--password-file", "password")
        assert outcome.code == code
        assert "abab" not in outcome.stdout + outcome.stderr


def test_no_command_takes_a_key_or_a_password_as_an_argument() -> None:
    for words in _commands():
        command: Any = typer.main.get_command(program.app)
        for word in words:
            command = command.commands[word]
        names = {name for parameter in command.params for name in parameter.opts}
        assert not names & {"--private-key", "--password", "--key", "--mnemonic", "--secret"}, words


def test_log_records_leave_by_the_same_way(
    monkeypatch: pytest.MonkeyPatch, failing: Callable[..., Outcome]
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **more: seen.append(more["handlers"]))
    failing(GuardError("AG101", "It failed.", "Do this."))
    assert [type(handler).__name__ for handler in seen[0]] == ["Records"]
