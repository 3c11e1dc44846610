"""The compiled council, as `scripts/compile.py` wrote it; nobody needs a compiler to deploy."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def council_artifact() -> dict[str, Any]:
    """ABI, bytecode and immutable references of `contracts/Council.sol`."""
    text = (files("agent_guard.chain") / "artifacts" / "Council.json").read_text()
    return dict(json.loads(text))
