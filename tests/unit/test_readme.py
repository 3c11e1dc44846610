"""The README's promises that a machine can check: commands, settings, exit codes, and the kill path with its size."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from agent_guard.cli.main import app
from agent_guard.errors import CATALOGUE, Kind
from agent_guard.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "contracts/README.md",
    ROOT / "agent_guard/sandbox/README.md",
    ROOT / "agent_guard/resistance/README.md",
    ROOT / "agent_guard/store/README.md",
    ROOT / "SECURITY.md",
]


def table_after(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = README.split(f"## {heading}\n", 1)[1]
    rows = re.search(r"(?:^\|.*\n)+", section, re.M)
    assert rows is not None
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].splitlines()[2:]]


def commands() -> list[list[str]]:
    """Every `agent-guard` command of the README's shell blocks, split into words."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    text = "\n".join(re.sub(r"<<'PY'.*?\nPY\n", "\n", block, flags=re.S) for block in blocks).replace(
        "\\\n", " "
    )
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("agent-guard")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_readme_parses_as_the_program_would(words: list[str]) -> None:
    command = typer.main.get_command(app)
    with command.make_context("agent-guard", words[1:], resilient_parsing=False) as context:
        rest = [*context._protected_args, *context.args]
        while hasattr(command, "resolve_command"):
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)  # raises on what it does not know
            rest = [*getattr(context, "_protected_args", []), *context.args]


def test_the_settings_table_lists_every_setting_with_its_default() -> None:
    listed = {}
    for names, default, _ in table_after("Settings"):
        for name, value in zip(
            re.findall(r"`(\w+)`", names), [*default.split(", "), *[default] * 3], strict=False
        ):
            listed[name] = value.strip("`")
    assert set(listed) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if field.default not in (None, "", ()):
            value = field.default[0] if isinstance(field.default, tuple) else field.default
            shown = (
                f"{value:g}"
                if isinstance(value, float)
                else str(value).lower()
                if value is True
                else str(value)
            )
            assert listed[name] == shown, name


def test_the_exit_code_table_is_the_programs() -> None:
    assert {int(code) for code, _ in table_after("Exit codes")} == {0, *(kind.value for kind in Kind)}


def test_every_error_code_of_the_readme_exists() -> None:
    assert set(re.findall(r"\bAG\d{3}\b", README)) <= set(CATALOGUE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert all((document.parent / link).exists() for link in links)


def test_the_compose_file_is_yaml_with_a_chain_a_deployer_a_guard_and_by_profile_a_database() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(compose["services"]) == {"chain", "deployer", "guard", "database"}
    database = compose["services"].pop("database")
    assert database["profiles"] == ["postgres"]
    assert re.fullmatch(r"postgres:[0-9]+-bookworm", database["image"])
    for service in compose["services"].values():
        stage = service["build"]["target"]
        assert f" AS {stage}\n" in (ROOT / "Dockerfile").read_text()
    command = shlex.split(compose["services"]["deployer"]["command"])
    group = typer.main.get_command(app)
    with group.make_context("agent-guard", command) as context:
        assert context._protected_args[0] == "deployment"
