"""The demonstration, as `make demo` runs it: once, whole, and leaving nothing."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

ROOT = Path(__file__).parents[2]


def test_demo_tells_the_whole_story_and_leaves_nothing(tmp_path):
    environ = os.environ | {
        "PATH": f"{ROOT}/node_modules/.bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
    }
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "agent_guard", "demo", "--json"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    steps = told["steps"]
    assert steps["processes alive"] == "0"
    assert int(steps["processes killed"]) >= 5
    assert steps["exit code of the run"] == "8"
    assert steps["audit"] == "VERIFIED: indexer"
    assert steps["audit after the change"] == "TAMPERED: indexer"
    assert re.fullmatch(r"-?\d+ ms", steps["first vote to freeze"])
    assert re.fullmatch(r"\d+ ms", steps["halt seen to dead"])
    assert 0 < told["seconds"] <= time.monotonic() - began
    assert list(tmp_path.iterdir()) == []
