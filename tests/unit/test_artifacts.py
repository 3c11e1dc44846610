"""The shipped artifact is what the sources, settings and pinned compiler give, and offers all that ICouncil promises.

Trusts ``node_modules``; opens no socket. Skipped where the pinned compiler is not installed (``make install``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACT = ROOT / "agent_guard" / "chain" / "artifacts" / "Council.json"
SOLC = ROOT / "scripts" / "solc.js"

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not (ROOT / "node_modules" / "solc").exists(), reason="needs make install"),
]


def _compile_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compile_contracts", ROOT / "scripts" / "compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return _compile_script()


@pytest.fixture(scope="module")
def artifact() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(ARTIFACT.read_text("utf-8"))
    return loaded


def _signatures(abi: list[dict[str, Any]]) -> dict[str, str]:
    return {f"{e['type']} {e.get('name', '')}": json.dumps(e, sort_keys=True) for e in abi}


def test_artifact_recompiled_from_sources_is_the_same_to_the_byte(script: ModuleType) -> None:
    for qualified in script.CONTRACTS:
        rebuilt = script.render(script.compile_contract(qualified))
        assert script.artifact_path(qualified).read_text("utf-8") == rebuilt


def test_core_imports_no_periphery(script: ModuleType, artifact: dict[str, Any]) -> None:
    assert not [name for name in artifact["sources"] if "periphery" in name]
    assert [name for name in script.CONTRACTS if "periphery" in name]


def test_artifact_sources_match_the_files_on_disk(script: ModuleType, artifact: dict[str, Any]) -> None:
    texts = script.read_sources([artifact["sourceName"]])
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    assert digests == artifact["sources"]


def test_artifact_abi_holds_every_entry_of_the_interface_unchanged(
    script: ModuleType, artifact: dict[str, Any]
) -> None:
    promised = script.compile_contract("contracts/interfaces/ICouncil.sol:ICouncil")["abi"]
    offered = _signatures(artifact["abi"])
    for key, entry in _signatures(promised).items():
        assert json.loads(offered[key])["inputs"] == json.loads(entry)["inputs"], key
        assert json.loads(offered[key]).get("outputs") == json.loads(entry).get("outputs"), key


def test_artifact_runtime_code_fits_the_limit_of_eip_170(artifact: dict[str, Any]) -> None:
    assert len(artifact["deployedBytecode"]) // 2 - 1 <= 24_576


def test_artifact_storage_layout_is_the_documented_one(artifact: dict[str, Any]) -> None:
    layout = artifact["storageLayout"]
    slots = {entry["label"]: int(entry["slot"]) for entry in layout["storage"]}
    assert slots["_agents"] == 2
    assert (slots["_set"], slots["_signers"], slots["_placeOf"]) == (3, 4, 5)
    assert (slots["_tallies"], slots["_heads"], slots["_changeUntil"]) == (6, 7, 8)
    agent = next(kind for kind in layout["types"].values() if kind["label"].endswith(".Agent"))
    fields = {member["label"]: (int(member["slot"]), member["offset"]) for member in agent["members"]}
    assert fields["state"] == (0, 0)
    assert fields["epoch"] == (0, 1)
    assert fields["pausedUntil"] == (0, 6)
    assert fields["leaseUntil"] == (0, 11)
    assert fields["operator"] == (1, 0)


def test_solc_script_answers_version_in_the_words_that_tools_parse() -> None:
    said = subprocess.run([SOLC, "--version"], capture_output=True, text=True, check=True).stdout
    assert "Version: 0.8.37+commit." in said


def test_solc_script_writes_answers_beyond_a_pipes_buffer_whole() -> None:
    body = "".join(f"function f{i}() external pure returns (uint256) {{ return {i}; }}" for i in range(700))
    question = {
        "language": "Solidity",
        "sources": {"A.sol": {"content": f"pragma solidity ^0.8.0; contract A {{ {body} }}"}},
        "settings": {"outputSelection": {"*": {"*": ["abi"]}}},
    }
    command = [SOLC, "--standard-json", "--allow-paths", "."]
    said = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, check=True
    ).stdout
    assert len(said) > 1 << 16
    assert len(json.loads(said)["contracts"]["A.sol"]["A"]["abi"]) == 700


def test_solc_script_refuses_an_import_outside_the_allowed_paths(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "Secret.sol").write_text("pragma solidity ^0.8.0; contract Secret {}")
    content = 'pragma solidity ^0.8.0; import "../Secret.sol"; contract A {}'
    question = {"language": "Solidity", "sources": {"x/A.sol": {"content": content}}, "settings": {}}
    command = [SOLC, "--standard-json", "--allow-paths", str(allowed)]
    said = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, check=True
    ).stdout
    assert any("neither in the input nor below" in entry["message"] for entry in json.loads(said)["errors"])


def test_solc_script_with_an_unknown_option_fails_and_says_so() -> None:
    done = subprocess.run([SOLC, "--combined-json", "abi"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unrecognised option" in done.stderr
