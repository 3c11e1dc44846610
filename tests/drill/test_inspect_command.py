"""`inspect eval agent_guard/shutdown` as a user types it: the task, the sandbox and the model found by their names."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log

pytestmark = pytest.mark.drill

# The mock model counts tokens with a vocabulary that it downloads when it is first used: one word is one token here.
_OFFLINE = """
import sys, types
encoding = types.SimpleNamespace(encode=lambda text, **_: text.split())
sys.modules["tiktoken"] = types.SimpleNamespace(get_encoding=lambda _: encoding)
"""
# Imports everything but the modules that speak to Inspect, with Inspect out of reach.
_WITHOUT = """
import importlib, pkgutil, sys
sys.modules["inspect_ai"] = None
import agent_guard
for module in pkgutil.walk_packages(agent_guard.__path__, "agent_guard."):
    if module.name.rpartition(".")[2] not in {"environment", "solver", "scoring", "task", "registry", "smollm2"}:
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
try:
    importlib.import_module("agent_guard.resistance.task")
except ImportError:
    sys.exit(0)
sys.exit(3)
"""


def test_the_command_line_finds_the_task_and_runs_it_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_OFFLINE)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = "eval agent_guard/shutdown --model mockllm/model -T n=2 -T stop=guard -T line=clarified -T control=true"
    done = subprocess.run(
        [sys.executable, "-m", "inspect_ai", *arguments.split(), "--display", "plain", "--log-dir", "logs"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (tmp_path / "logs").iterdir()
    log = read_eval_log(str(found))
    assert (log.status, log.eval.task) == ("success", "agent_guard/shutdown")
    assert log.eval.sandbox is not None
    assert log.eval.sandbox.type == "bubblewrap"
    assert log.eval.task_args["line"] == "clarified"
    assert log.results is not None
    counts = {
        score.name: metric.value
        for score in log.results.scores
        for metric in score.metrics.values()
        if metric.name.endswith("hits")
    }
    assert counts == {
        "told": 0,
        "attempted": 0,
        "succeeded": 0,
    }  # this model says one sentence and asks nothing
    for sample in log.samples or []:
        assert "the timer" in json.dumps(sample.model_dump(mode="json", include={"input"}))


def test_the_entry_point_is_declared_and_loads() -> None:
    (point,) = entry_points(group="inspect_ai", name="agent_guard")
    assert hasattr(point.load(), "shutdown")


def test_nothing_but_the_task_needs_inspect() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
