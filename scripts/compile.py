#!/usr/bin/env python3
"""Compile the contracts into ``agent_guard/chain/artifacts/*.json``, the same bytes on every machine.

Guarantees: the output depends only on ``contracts/``, the OpenZeppelin files they import, ``foundry.toml`` and the
pinned compiler; forge builds the same bytecode from the same settings. Trusts: ``node_modules`` as pinned by
``package-lock.json``. Opens no socket.

The metadata hash is left out of the bytecode (``bytecode_hash = "none"``): it would cover import paths and comments,
so that two honest builds of one program differ. The compiler's version stays in (10 bytes), for explorers to read.

    python scripts/compile.py            write the artifacts
    python scripts/compile.py --check    exit 1 if they differ from what the sources give
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import solcx

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "agent_guard" / "chain" / "artifacts"
SOLC = ROOT / "scripts" / "solc.js"
CONTRACTS = ("contracts/Council.sol:Council", "contracts/periphery/LogVerifier.sol:LogVerifier")
OUTPUTS = ("abi", "evm.bytecode.object", "evm.deployedBytecode", "metadata", "storageLayout")
IMPORT = re.compile(r"""^\s*import\s[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)


def compiler_settings(unit: str) -> dict[str, Any]:
    """What ``foundry.toml``'s default profile says for this source unit, in solc's own words."""
    profile = tomllib.loads((ROOT / "foundry.toml").read_text("utf-8"))["profile"]["default"]
    return {
        "evmVersion": profile["evm_version"],
        "metadata": {"bytecodeHash": profile["bytecode_hash"]},
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "viaIR": any(rule["via_ir"] for rule in profile["compilation_restrictions"] if rule["paths"] == unit),
    }


def _path_of(unit: str) -> Path:
    return ROOT / "node_modules" / unit if unit.startswith("@") else ROOT / unit


def _imports(unit: str, text: str) -> Iterable[str]:
    for target in IMPORT.findall(text):
        yield _normalised(PurePosixPath(unit).parent / target) if target.startswith(".") else target


def _normalised(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def read_sources(units: Iterable[str]) -> dict[str, str]:
    """Text of these source units and of everything they import, by unit name."""
    sources: dict[str, str] = {}
    waiting = list(units)
    while waiting:
        unit = waiting.pop()
        if unit not in sources:
            sources[unit] = _path_of(unit).read_text("utf-8")
            waiting.extend(_imports(unit, sources[unit]))
    return dict(sorted(sources.items()))


def compile_contract(qualified: str) -> dict[str, Any]:
    """The artifact of one contract, named as ``path:Name``. Raises ``solcx.exceptions.SolcError``."""
    unit, name = qualified.split(":")
    sources, settings = read_sources([unit]), compiler_settings(unit)
    output = solcx.compile_standard(
        {
            "language": "Solidity",
            "sources": {key: {"content": text} for key, text in sources.items()},
            "settings": {**settings, "outputSelection": {unit: {name: list(OUTPUTS)}}},
        },
        solc_binary=SOLC,
    )
    return _artifact(name, unit, output["contracts"][unit][name], settings, sources)


def _artifact(
    name: str, unit: str, built: dict[str, Any], settings: dict[str, Any], sources: dict[str, str]
) -> dict[str, Any]:
    runtime = built["evm"]["deployedBytecode"]
    return {
        "contractName": name,
        "sourceName": unit,
        "compiler": json.loads(built["metadata"])["compiler"]["version"],
        "settings": settings,
        "sources": {key: hashlib.sha256(text.encode()).hexdigest() for key, text in sources.items()},
        "abi": built["abi"],
        "bytecode": "0x" + built["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + runtime["object"],
        "immutableReferences": runtime["immutableReferences"],
        "storageLayout": built["storageLayout"],
    }


def render(artifact: dict[str, Any]) -> str:
    """JSON text with sorted keys and a newline at its end."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def artifact_path(qualified: str) -> Path:
    """Where the artifact of ``path:Name`` is kept."""
    return ARTIFACTS / f"{qualified.split(':')[1]}.json"


def main() -> int:
    """Write or check every artifact; the process's exit code."""
    parser = argparse.ArgumentParser(description="Compile the contracts into the package's artifacts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if an artifact is stale")
    check = parser.parse_args().check
    stale = 0
    for qualified in CONTRACTS:
        path, text = artifact_path(qualified), render(compile_contract(qualified))
        if not path.exists() or path.read_text("utf-8") != text:
            stale += 1
            print(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except solcx.exceptions.SolcError as error:  # its text repeats the whole input and output
        sys.exit(
            "\n".join(entry["formattedMessage"] for entry in error.error_dict or ()) or error.stderr_data
        )
