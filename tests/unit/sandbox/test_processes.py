"""Reading /proc, and signals that reach only what was seen."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from agent_guard.sandbox.processes import Process, lives, parse_stat, read_process, send, stop_tree, walk

pytestmark = pytest.mark.unit

STAT = (
    "{pid} ({comm}) {state} 40 41 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 1 18446744073709551615"
)


@pytest.mark.parametrize("comm", ["sh", "a b", "x) R 1 (y", ")", "new\nline", ""])
def test_stat_is_parsed_whatever_the_command_calls_itself(comm: str) -> None:
    assert parse_stat(STAT.format(pid=43, comm=comm, state="S")) == Process(43, 40, 98765, "S")


def test_no_process_reads_as_none() -> None:
    assert read_process(2**22 + 1) is None


def test_process_lives_until_it_dies_also_where_nobody_waits_for_it() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        seen = read_process(child.pid)
        assert seen is not None
        assert lives(child.pid, seen.started)
        assert not lives(child.pid, seen.started + 1)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        zombie = read_process(child.pid)
        assert zombie is not None
        assert (zombie.state, zombie.started) == ("Z", seen.started)
        assert not lives(child.pid, seen.started)
    finally:
        child.wait()
    assert not lives(child.pid, seen.started)


# Its main thread ends at once (pthread_exit(3)); another one goes on until its standard input does.
HEADLESS = """
import ctypes, os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_process_lives_on_in_another_thread_once_the_main_one_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE)
    try:
        seen, deadline = read_process(child.pid), time.monotonic() + 30
        while seen is not None and seen.state != "Z" and time.monotonic() < deadline:
            seen = read_process(child.pid)
        assert seen is not None
        assert seen.state == "Z"
        assert lives(child.pid, seen.started)
    finally:
        child.kill()
        child.communicate()


def test_signal_for_a_pid_that_was_taken_over_reaches_nobody() -> None:
    child = subprocess.Popen(["/bin/sleep", "30"])
    seen = read_process(child.pid)
    assert seen is not None
    send(replace(seen, started=seen.started - 1), signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    send(seen, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
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
