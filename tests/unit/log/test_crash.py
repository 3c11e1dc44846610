"""A writer killed with SIGKILL at any moment loses nothing that it acknowledged, and the next one just goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

import agent_guard
from agent_guard.entry import Entry
from agent_guard.log.recorder import Recorder
from agent_guard.log.tree import frontier_at
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Reader, SqliteReader, SqliteStore
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit
KILLS = 10
WRITER = Path(__file__).with_name("writer.py")


def run_and_kill(place: Path | str, seconds: float) -> list[str]:
    """Lines that a writer printed until it was killed `seconds` after its first one."""
    home = {**os.environ, "PYTHONPATH": str(Path(agent_guard.__file__).parents[1])}
    writer = subprocess.Popen([sys.executable, str(WRITER), str(place)], stdout=subprocess.PIPE, env=home)
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read()
    writer.wait()
    return (first + rest).decode().splitlines()


def check_whole(reader: Reader, acknowledged: dict[int, str]) -> None:
    """Every acknowledged entry is there, indices and counters have no gap, and leaves are those of the bodies."""
    counters: dict[bytes, int] = defaultdict(int)
    tree = Frontier()
    for expected, row in enumerate(reader.rows()):
        entry = Entry.decode(row.body)
        assert (row.index, entry.index, entry.counter) == (expected, expected, counters[row.agent])
        assert row.leaf == leaf_hash(row.body)
        assert row.content is not None
        assert entry.commits_to(row.content.salt, row.content.body)
        assert acknowledged.pop(expected, row.leaf.hex()) == row.leaf.hex()
        counters[row.agent] += 1
        tree.append(row.leaf)
    assert acknowledged == {}
    assert frontier_at(reader, reader.size()).root() == tree.root()


def test_kill_minus_nine_at_random_moments_loses_no_acknowledged_entry(
    path: Path, identity: LogIdentity
) -> None:
    moments = random.Random(2026)
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        for line in run_and_kill(path, moments.uniform(0, 0.08)):
            _, _, index, leaf = line.split()
            assert acknowledged.setdefault(int(index), leaf) == leaf
        with SqliteReader(path) as reader:
            check_whole(reader, dict(acknowledged))
    assert len(acknowledged) >= KILLS
    with SqliteStore(path, identity) as store:
        recorder = Recorder(store, block=lambda: None)
        assert recorder.append("a", "config", {}).result().index == store.size - 1
        recorder.close()
