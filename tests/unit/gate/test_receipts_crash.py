"""A receipt outlives the guard that gave it: what it covers is on disk, whenever the guard is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import agent_guard
from agent_guard.log.tree import frontier_at
from agent_guard.store import SqliteStore
from tests.unit.gate.receipting import IDENTITY

pytestmark = pytest.mark.unit
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(agent_guard.__file__).parents[1])}


def test_no_kill_makes_two_receipts_contradict_each_other(tmp_path: Path) -> None:
    path, given = tmp_path / "log.sqlite", dict[int, str]()
    for most in (1, 30, 7, 100):
        command = [sys.executable, str(Path(__file__).with_name("receipting.py")), str(path)]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as guard:
            assert guard.stdout is not None
            seen = set[str]()
            while len(seen) < most:
                line = guard.stdout.readline()
                assert line, "the guard ended by itself"
                seen.add(line)
            guard.kill()
            seen.update(guard.stdout.readlines())
        for size, root in (line.split() for line in seen if line.endswith("\n")):
            assert given.setdefault(int(size), root) == root
    assert len(given) >= 100
    with SqliteStore(path, IDENTITY) as store, store.reader() as reader:
        assert {size: frontier_at(reader, size).root().hex() for size in given} == given
