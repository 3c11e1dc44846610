"""The compiled periphery, as `scripts/compile.py` wrote it. Apart from `artifact.py`: no stop runs through it."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def verifier_artifact() -> dict[str, Any]:
    """ABI and bytecode of `contracts/periphery/LogVerifier.sol`."""
    text = (files("agent_guard.chain") / "artifacts" / "LogVerifier.json").read_text()
    return dict(json.loads(text))
