"""Reading /proc, and signals that reach only what was seen."""

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from agent_guard.sandbox.processes import Process, parse_stat, read_process, send, stop_tree, walk

pytestmark = pytest.mark.unit

STAT = (
    "{pid} ({comm}) {state} 40 41 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 1 18446744073709551615"
)


@pytest.mark.parametrize("comm", ["sh", "a b", "x) R 1 (y", ")", "new\nline", ""])
def test_stat_is_parsed_whatever_the_command_calls_itself(comm: str) -> None:
    assert parse_stat(STAT.format(pid=43, comm=comm, state="S")) == Process(43, 40, 98765, "S")


def test_no_process_reads_as_none() -> None:
    assert read_process(2**22 + 1) is None


def test_signal_for_a_pid_that_was_taken_over_reaches_nobody() -> None:
    child = subprocess.Popen(["/bin/sleep", "30"])
    seen = read_process(child.pid)
    assert seen is not None
    send(replace(seen, started=seen.started - 1), signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    send(seen, signal.SIGKILL)
    assert child.wait(5) == -signal.SIGKILL
    send(seen, signal.SIGKILL)


def test_tree_is_walked_parents_first_and_stopped_whole() -> None:
    root = subprocess.Popen(["/bin/sh", "-c", "sleep 30 & sleep 30 & echo up; wait"], stdout=subprocess.PIPE)
    assert root.stdout is not None
    assert root.stdout.readline() == b"up\n"
    try:
        assert stop_tree(root.pid, 2)
        tree = list(walk(root.pid))
        assert tree[0].pid == root.pid
        assert len(tree) == 3
        assert {process.state for process in tree} == {"T"}
        assert {process.parent for process in tree} == {root.pid, os.getpid()}
    finally:
        for process in walk(root.pid):
            send(process, signal.SIGKILL)
        root.wait()
        root.stdout.close()
