"""`agent-guard drill` as a shell sees it; the drills themselves are run in tests/drill."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_guard.cli import main as program
from agent_guard.drill.catalogue import DRILLS
from agent_guard.drill.result import Host, Result, Trial, file_name, save

pytestmark = pytest.mark.unit

RESULT = Result(
    1_795_600_000,
    Host("Linux", 2, "root", "bubblewrap 0.12.0", "3.11.7", ()),
    1,
    (Trial("double-fork", "signal", "root", True, alive=1), Trial("double-fork", "guard", "root", True)),
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `agent-guard drill` in this process, with one result in its home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_GUARD_HOME", str(tmp_path / "home"))
    save(RESULT, tmp_path / "home/drills" / file_name(RESULT.as_of))

    def go(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["agent-guard", "drill", *arguments])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return go


def test_list_names_every_drill_with_what_it_tries_and_needs(run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert all(drill.name in out and drill.tries in out for drill in DRILLS)

    rows = json.loads(run("list", "--json")[1])
    assert rows["block"] is None
    assert [row["drill"] for row in rows["rows"]] == [drill.name for drill in DRILLS]
    assert {"drill": "docker", "needs": "a Docker or Podman socket"}.items() <= next(
        row.items() for row in rows["rows"] if row["drill"] == "docker"
    )


@pytest.mark.parametrize(
    "arguments",
    [(), ("double-fork", "--all"), ("fly",), ("--all", "--placement", "moon"), ("--all", "--n", "0")],
)
def test_run_without_sense_runs_nothing(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, _ = run("run", *arguments, "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "AG101"


def test_report_of_the_newest_result_is_markdown_or_json(run: Run) -> None:
    code, out, _ = run("report")
    assert code == 0
    assert "| double-fork | 1/1 of 1 | 1/0 of 1 |" in out
    for arguments in (("--format", "json"), ("--json",)):
        rows = json.loads(run("report", *arguments)[1])
        assert [row["survived"] for row in rows["rows"]] == [1, 0]


@pytest.mark.parametrize("name", ["a.md", "a.json", "a.svg", "a.png"])
def test_report_goes_into_a_file_in_the_form_of_its_name(run: Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    code, out, _ = run("report", "-o", name, "--json")
    assert code == 0
    assert json.loads(out) == {"target": name, "applied": True, "tx": None, "detail": {"format": name[2:]}}
    start = {"md": b"# Escape", "json": b"{", "svg": b"<?xml", "png": b"\x89PNG"}[name[2:]]
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--format", "gif"), "AG101"),
        (("--format", "png"), "AG101"),
        (("missing.json",), "AG451"),
        (("-o", "missing/a.md"), "AG104"),
    ],
)
def test_report_that_cannot_be_made_says_why(run: Run, arguments: tuple[str, ...], code: str) -> None:
    assert json.loads(run("report", *arguments, "--json")[1])["error"]["code"] == code


def test_report_without_any_result_says_how_to_get_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_GUARD_HOME", "elsewhere")
    code, _, err = run("report")
    assert code == 1
    assert "agent-guard drill run --all" in err
