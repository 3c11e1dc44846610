"""The layers of the program, kept by walking the imports of every module: arrows point down only.

faces        cli  api  sdk  demo  drill  resistance   what people, agents and evaluations touch
composition  wiring  session             builds the parts of a command or a run and hands them on
services     guard  gate  audit  report  voting  log  mirror  witness
adapters     chain  store  keys  sandbox  devnet  telemetry   what it talks to; they never import each other
core         errors types canonical entry merkle checkpoint tlog typed_data settings text wilson     pure; no I/O
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "agent_guard"

CORE = {
    "errors", "types", "canonical", "entry", "merkle", "checkpoint", "tlog", "typed_data", "settings", "text", "wilson"
}  # fmt: skip
ADAPTERS = {"chain", "store", "keys", "sandbox", "devnet", "telemetry"}
SERVICES = {"guard", "gate", "audit", "report", "voting", "log", "mirror", "witness"}
COMPOSITION = {"wiring", "session"}
FACES = {"cli", "api", "sdk", "demo", "drill", "resistance"}
LEVEL = {
    name: level
    for level, names in enumerate((CORE, ADAPTERS, SERVICES, COMPOSITION, FACES))
    for name in names
}

# What core may import besides itself and the standard library's pure modules.
PURE_LIBRARIES = {"rfc8785", "pydantic", "cryptography", "eth_hash", "eth_keys", "eth_utils"}
PURE_STANDARD = {
    "base64", "binascii", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "itertools", "json",
    "math", "re", "tomllib", "typing", "unicodedata",
}  # fmt: skip
# Touching the disk or the clock needs none of these names.
IMPURE_CALLS = {
    "open", "read_text", "write_text", "read_bytes", "write_bytes", "exists", "is_file", "is_dir", "mkdir", "unlink",
    "stat", "iterdir", "glob", "resolve", "cwd", "getenv", "input", "print", "now", "today", "utcnow", "time",
}  # fmt: skip
WEB = {"fastapi", "starlette", "uvicorn", "httpx", "aiohttp", "flask"}
DATABASES = {"sqlite3", "sqlalchemy", "psycopg", "apsw", "dbm"}
CLI = {"typer", "click", "argparse", "rich"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of all modules a file imports, at its top or inside a function; not those for the type checker."""
    found: set[str] = set()
    for node in _reached(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            module = node.module or ""
            found |= {module} | {
                f"{module}.{alias.name}" for alias in node.names if _is_module(f"{module}.{alias.name}")
            }
    return frozenset(found)


def _reached(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from _reached(child)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def part_of(module: str) -> str | None:
    """The first name under agent_guard, None for another package, "" for the package itself."""
    words = module.split(".")
    if words[0] != "agent_guard":
        return None
    return words[1] if len(words) > 1 else ""


def parts(path: Path) -> set[str]:
    """The parts of agent_guard that a file imports, its own left out."""
    own = part_of(name_of(path))
    return {part for part in map(part_of, imports(path)) if part and part != own}


def foreign(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(path) if part_of(module) is None}


def of(*names: str) -> list[Path]:
    return [path for path in modules() if part_of(name_of(path)) in names]


@pytest.mark.parametrize(
    "path", [path for path in modules() if path.parent != PACKAGE or path.stem in CORE], ids=name_of
)
def test_a_module_imports_nothing_that_stands_above_it(path: Path) -> None:
    own = part_of(name_of(path))
    assert own in LEVEL, f"{own} has no place among the layers"
    above = {part for part in parts(path) if LEVEL[part] > LEVEL[own]}
    # The session runs the agent's API beside the agent, and takes it apart again.
    allowed = {"api"} if own in COMPOSITION else set()
    assert not above - allowed, f"{name_of(path)} imports {above}"


@pytest.mark.parametrize("path", of(*ADAPTERS), ids=name_of)
def test_an_adapter_imports_no_other_adapter(path: Path) -> None:
    assert not parts(path) & ADAPTERS


@pytest.mark.parametrize("path", of(*CORE), ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    allowed = PURE_STANDARD | PURE_LIBRARIES
    if path.name == "settings.py":
        allowed = allowed | {"pathlib"}  # paths as values; the one thing asked of the host is where ~ is
    assert foreign(path) <= allowed
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not called & IMPURE_CALLS


def test_every_file_of_the_package_has_its_place_among_the_layers() -> None:
    assert {part_of(name_of(path)) for path in modules()} - {"", "__main__"} == LEVEL.keys()


def test_the_kill_path_asks_neither_the_gate_nor_the_audit() -> None:
    for path in of("guard"):
        assert parts(path) <= CORE | {"sandbox"}, name_of(path)


def test_what_runs_inside_the_agent_imports_the_core_and_httpx_only() -> None:
    for path in of("sdk"):
        assert parts(path) <= CORE, name_of(path)
        assert not foreign(path) & (
            WEB - {"httpx"} | DATABASES | CLI | {"web3", "eth_account", "cryptography"}
        )
    assert parts(PACKAGE / "demo" / "agent.py") == {"sdk"}


def test_what_runs_as_the_agent_of_a_drill_imports_nothing_else_of_the_package() -> None:
    """It is copied into a trial's folder, and runs there on a bare Python."""
    for path in (PACKAGE / "drill" / "agent").glob("*.py"):
        assert {name for name in imports(path) if part_of(name) is not None} <= {
            name_of(other) for other in (PACKAGE / "drill" / "agent").glob("*.py")
        }
        assert foreign(path) <= set(sys.stdlib_module_names), name_of(path)


def test_only_wiring_and_session_build_adapters() -> None:
    """A face may read an adapter's values and call its functions, but never make the thing that holds a connection."""
    built = {
        f"{name_of(path)}: {call}"
        for path in of(*FACES)
        for call in _constructed(path)
        if not (name_of(path) == "agent_guard.cli.devnet" and call == "Anvil")  # the command is that process
    }
    assert not built


def _constructed(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    adapters = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and part_of(node.module or "") in ADAPTERS
        for alias in node.names
        if alias.name[0].isupper() and not alias.name.isupper()
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in adapters:
            yield node.func.id


def test_only_the_inspect_task_needs_inspect_and_nothing_needs_the_task() -> None:
    """`inspect_ai` comes with the extra `drill` alone."""
    needing = {name_of(path) for path in modules() if "inspect_ai" in foreign(path)}
    names = ("environment", "registry", "scoring", "smollm2", "solver", "task")
    assert needing <= {f"agent_guard.resistance.{name}" for name in names}
    assert not [name_of(path) for path in modules() if "resistance" in parts(path)]
    assert foreign(PACKAGE / "resistance" / "inside.py") <= sys.stdlib_module_names
    assert not parts(PACKAGE / "resistance" / "inside.py")


def test_every_module_says_at_its_top_what_it_is() -> None:
    silent = [name_of(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    words = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not [name_of(path) for path in modules() if set(path.stem.split("_")) & words]


# --- the kill path ---------------------------------------------------------------------------------------------------


def kill_path() -> list[Path]:
    """What takes part when an agent is stopped: the contract; and all that these modules of chain, guard and sandbox
    reach by imports. What lies in the same folders but only deploys, anchors, looks back, tries out, or builds the
    container before the agent's first instruction, is not on it."""
    roots = ["chain/view.py", "chain/subscription.py", "sandbox/container.py"]
    roots += ["guard/verdict.py", "guard/watcher.py", "guard/supervisor.py"]
    found: set[Path] = set()
    waiting = [PACKAGE / root for root in roots]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [other for other in of("chain", "guard", "sandbox") if name_of(other) in imports(path)]
    contracts = [*(ROOT / "contracts").glob("*.sol"), *(ROOT / "contracts" / "libraries").glob("*.sol")]
    return sorted(found) + sorted(contracts)


# It was to stay under 2,000. The quorum, its proofs, kept halts, ballots and the deadman came to it, and then fork
# proofs (50 lines of the contract); see agent_guard/README.md. It is to grow no further.
MOST_LINES = 2_660


def test_the_kill_path_grows_no_further() -> None:
    counted = {str(path.relative_to(ROOT)): lines_of_code(path) for path in kill_path()}
    assert sum(counted.values()) < MOST_LINES, counted


def test_the_readme_lists_the_kill_path_and_its_size() -> None:
    readme = (ROOT / "README.md").read_text()
    section = readme.split("The **kill path** is", 1)[1].split("It imports no command line", 1)[0]
    listed = set(re.findall(r"`([\w./{},]+)`", section))
    files = {f"{folder}{name}" for item in listed for folder, names in [_unfolded(item)] for name in names}
    assert files == {str(path.relative_to(ROOT)) for path in kill_path()} - {
        "agent_guard/sandbox/__init__.py"
    }
    assert f"{sum(map(lines_of_code, kill_path())):,} lines" in section


def _unfolded(item: str) -> tuple[str, list[str]]:
    """`a/{b,c}.py` as ("a/", ["b.py", "c.py"])."""
    folder, brace, rest = item.partition("{")
    if not brace:
        return "", [item]
    names, _, ending = rest.partition("}")
    return folder, [name + ending for name in names.split(",")]


def test_the_kill_path_holds_every_part_that_the_design_names() -> None:
    names = {str(path.relative_to(ROOT)) for path in kill_path()}
    assert {
        "contracts/Council.sol",
        "agent_guard/chain/view.py",
        "agent_guard/chain/council.py",
        "agent_guard/chain/endpoint.py",
        "agent_guard/guard/verdict.py",
        "agent_guard/guard/watcher.py",
        "agent_guard/guard/supervisor.py",
        "agent_guard/sandbox/container.py",
        "agent_guard/sandbox/cgroup.py",
    } <= names


def test_the_kill_path_imports_no_command_line_web_framework_or_database() -> None:
    for path in (path for path in kill_path() if path.suffix == ".py"):
        assert not foreign(path) & (CLI | WEB | DATABASES), name_of(path)
        assert parts(path) <= CORE | {"chain", "guard", "sandbox"}, name_of(path)


def test_the_verdict_imports_nothing_that_could_ask_anyone() -> None:
    assert foreign(PACKAGE / "guard" / "verdict.py") <= PURE_STANDARD
    assert parts(PACKAGE / "guard" / "verdict.py") == {"types"}


def lines_of_code(path: Path) -> int:
    """Lines that hold more than space, comments and docstrings."""
    source = path.read_text()
    return _lines_of_solidity(source) if path.suffix == ".sol" else _lines_of_python(source)


def _lines_of_solidity(source: str) -> int:
    without = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    return sum(1 for line in without.splitlines() if line.strip() and not line.strip().startswith("//"))


def _lines_of_python(source: str) -> int:
    strings = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    silent = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER
    }  # fmt: skip
    code = {
        number
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in silent
        for number in range(token.start[0], token.end[0] + 1)
    }
    return len(code - strings)
