"""Nothing in agent_guard writes to the terminal but `cli/output`. Ruff's T20 catches print; this walks for the rest."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PACKAGE = Path(__file__).parents[3] / "agent_guard"
OUTPUT = PACKAGE / "cli" / "output.py"
WRITERS = {"print", "pprint", "echo", "secho", "print_exc", "print_exception", "print_stack", "write_through"}


def _words(node: ast.AST) -> str:
    return ast.unparse(node)


def exits(path: Path) -> set[str]:
    """Every expression of a module that could put text on stdout or stderr."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and _words(node) in (
            "sys.stdout",
            "sys.stderr",
            "sys.__stdout__",
            "sys.__stderr__",
        ):
            found.add(_words(node))
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            opened = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if name in WRITERS or (name == "write" and opened[:1] in ([1], [2])):
                found.add(_words(node)[:60])
            if name in ("StreamHandler", "Console"):
                found.add(name)
    return found


# getpass, in keys/password.py, asks on the terminal itself and without echo; its prompt is our own word and the key's
# name. The others write no text of anybody's: a broken pipe's stdout is put away, and a dummy tree of the trial kill
# tells its parent through pipes that stand in the place of its own stdout. What `resistance/inside` writes is our own
# text, read by the agent in its container.
KNOWN = {
    "cli/main.py": {"sys.stdout"},
    "resistance/inside.py": {"os.write(1, f'{text}\\n'.encode())"},
    "sandbox/probe.py": {"os.write(1, letter)", "os.write(1, b'h')"},
}


@pytest.mark.parametrize(
    "path", sorted(set(PACKAGE.rglob("*.py")) - {OUTPUT}), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_other_module_puts_text_on_the_terminal(path: Path) -> None:
    allowed = KNOWN.get(str(path.relative_to(PACKAGE)), set())
    assert exits(path) <= allowed


def test_the_walk_finds_what_it_looks_for(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text(
        "import sys, os, traceback\nprint('a')\nsys.stderr.write('b')\nos.write(2, b'c')\ntraceback.print_exc()\n"
        "x.stderr.write('d')\nlogging.StreamHandler()\n"
    )
    assert exits(sample) == {
        "print('a')",
        "sys.stderr",
        "os.write(2, b'c')",
        "traceback.print_exc()",
        "StreamHandler",
    }
    assert exits(OUTPUT) >= {"sys.stdout", "sys.stderr"}


def test_only_the_command_line_holds_an_output_or_its_streams() -> None:
    for path in set(PACKAGE.rglob("*.py")) - {OUTPUT}:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("stdout", "stderr")
                and _words(node.value) == "out"
            ):
                pytest.fail(f"{path.relative_to(PACKAGE)} reaches past Output: {_words(node)}")
