"""The codes and exit codes, which scripts rely on: what the interface promises, the catalogue, and what is raised."""

import ast
import re
from pathlib import Path

import pytest

from agent_guard.errors import CATALOGUE, GuardError, Kind

pytestmark = pytest.mark.unit

PACKAGE = Path(__file__).parents[2] / "agent_guard"
CODE = re.compile(r"AG[0-9]{3}")

# The interface's table: 0 is no error, and an agent's own code is its own.
EXIT_CODES = {
    "FAILURE": 1, "USAGE": 2, "CANCELLED": 3, "PERMISSION": 4, "TAMPERED": 5, "INDETERMINATE": 6, "NO_QUORUM": 7,
    "HALTED": 8, "INTERRUPTED": 130,
}  # fmt: skip

# What a script may meet most, by name: a change of kind would be a change of contract.
KINDS = {
    "AG100": 1, "AG101": 2, "AG102": 2, "AG103": 3, "AG201": 6, "AG202": 1, "AG203": 1, "AG204": 1, "AG205": 1,
    "AG206": 4, "AG301": 4, "AG302": 4, "AG303": 4, "AG304": 4, "AG305": 1, "AG306": 2, "AG310": 4, "AG311": 1,
    "AG312": 1, "AG313": 1, "AG314": 2, "AG420": 4, "AG421": 8, "AG530": 5, "AG542": 5, "AG602": 8,
}  # fmt: skip


def literals() -> dict[str, set[str]]:
    """Every code that stands as a string of its own in the source, with the files it stands in."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.setdefault(node.value, set()).add(path.name)
    return found


def test_the_kinds_are_the_interfaces_exit_codes_and_no_others() -> None:
    assert {kind.name: kind.value for kind in Kind} == EXIT_CODES


@pytest.mark.parametrize(("code", "exit_code"), KINDS.items())
def test_a_codes_exit_code_is_kept(code: str, exit_code: int) -> None:
    assert GuardError(code, "It failed.", "Do this.").exit_code == exit_code


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    assert set(literals()) <= set(CATALOGUE)


def test_every_code_of_the_catalogue_is_used_outside_it() -> None:
    unused = {code for code, files in literals().items() if files == {"errors.py"}}
    assert not unused


def test_every_mention_of_a_code_in_a_text_is_one_of_the_catalogue() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert set(re.findall(r"\bAG[0-9]{3}\b", path.read_text())) <= set(CATALOGUE), path


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_explanation_is_a_title_and_sentences(code: str) -> None:
    entry = CATALOGUE[code]
    assert CODE.fullmatch(code)
    assert entry.title
    assert not entry.title.endswith(".")
    assert entry.text.endswith((".", ")"))
    assert entry.text.isprintable()
    assert entry.title.isprintable()


def test_an_unknown_code_is_refused_where_it_is_made() -> None:
    with pytest.raises(KeyError):
        GuardError("AG999", "It failed.", "Do this.")


def test_an_error_has_the_shape_of_the_interface() -> None:
    error = GuardError("AG310", "It failed.", "Do this.")
    assert error.as_dict() == {
        "error": {"code": "AG310", "kind": "permission", "message": "It failed.", "remedy": "Do this."}
    }
    assert str(error) == "AG310: It failed. Do this."
