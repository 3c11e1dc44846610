"""A task in a process of its own, told to stop by a real SIGTERM at many moments, and started again until it is done.

The guard is stood in for by a transport inside that process, which allows everything: here it is about the signal.
"""

import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
STEPS = 2_000
CONTINUE = 75

BEGIN = """
import asyncio, os, signal, sys, time
from hashlib import sha256
from pathlib import Path
import httpx
from agent_guard.sdk import Guard
allow = httpx.MockTransport(lambda _: httpx.Response(200, json={"seq": 0, "decision": "allow"}))
guard = Guard(transport=allow)
done = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
INITIAL = {"next": 0, "digest": ""}
"""
# Each step has an effect that can't be taken back, in two halves, and adds to a result that depends on all before it.
SYNC = """
with guard.checkpoint("work.json", INITIAL) as state:
    while state["next"] < STEPS:
        with guard.action("step", number=state["next"]):
            os.write(done, b"<%d" % state["next"])
            time.sleep(0.001)
            os.write(done, b">")
            state["digest"] = sha256(f"{state['digest']} {state['next']}".encode()).hexdigest()
            state["next"] += 1
"""
ASYNC = """
async def main():
    async with guard.checkpoint("work.json", INITIAL) as state:
        while state["next"] < STEPS:
            async with guard.action("step", number=state["next"]):
                os.write(done, b"<%d" % state["next"])
                await asyncio.sleep(0.001)
                os.write(done, b">")
                state["digest"] = sha256(f"{state['digest']} {state['next']}".encode()).hexdigest()
                state["next"] += 1
        return state
state = asyncio.run(main())
"""
END = """
Path("result").write_text(state["digest"])
"""


def start(folder: Path, code: str, steps: int = STEPS) -> "subprocess.Popen[bytes]":
    code = BEGIN + f"STEPS = {steps}\n" + code
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def size(folder: Path) -> int:
    path = folder / "done"
    return path.stat().st_size if path.exists() else 0


def until_grown(folder: Path, more: int, process: "subprocess.Popen[bytes]") -> None:
    enough, end = size(folder) + more, time.monotonic() + 30
    while size(folder) < enough:
        assert process.poll() is None, "it ended before it was told to"
        assert time.monotonic() < end
        time.sleep(0.001)


def uninterrupted(steps: int) -> tuple[str, str]:
    """What is done and what comes out where nobody stops the task."""
    digest = ""
    for number in range(steps):
        digest = sha256(f"{digest} {number}".encode()).hexdigest()
    return "".join(f"<{number}>" for number in range(steps)), digest


@pytest.mark.parametrize(("code", "stops"), [(SYNC, 20), (ASYNC, 8)], ids=["sync", "async"])
def test_a_task_stopped_again_and_again_does_each_step_once_and_ends_with_the_same_result(
    tmp_path, code, stops
):
    chance = random.Random(20)
    for _ in range(stops):
        process = start(tmp_path, code + END)
        until_grown(tmp_path, chance.randrange(1, 60), process)
        time.sleep(chance.random() / 200)
        for _ in range(chance.randrange(1, 4)):  # the first is what counts
            process.terminate()
        assert process.wait(30) in (CONTINUE, -signal.SIGTERM)
        assert not (tmp_path / "result").exists()

    assert start(tmp_path, code + END).wait(60) == 0

    assert ((tmp_path / "done").read_text(), (tmp_path / "result").read_text()) == uninterrupted(STEPS)
    assert not (tmp_path / "work.json").exists()


def test_a_task_stopped_while_it_starts_loses_and_doubles_nothing(tmp_path):
    codes = []
    for moment in range(7):
        process = start(tmp_path, SYNC + END)
        time.sleep(moment * 0.1)
        process.terminate()
        codes.append(process.wait(30))

    assert set(codes) <= {CONTINUE, -signal.SIGTERM}  # it dies of it until the block is entered
    assert start(tmp_path, SYNC + END).wait(60) == 0
    assert ((tmp_path / "done").read_text(), (tmp_path / "result").read_text()) == uninterrupted(STEPS)


def test_one_sigterm_ends_the_process_in_order(tmp_path):
    process = start(tmp_path, SYNC + END)
    until_grown(tmp_path, 10, process)
    process.terminate()

    assert process.wait(30) == CONTINUE


def test_a_forked_child_dies_of_sigterm_as_ever_and_its_way_out_does_not_touch_the_file(tmp_path):
    code = """
checkpoint = guard.checkpoint("work.json", INITIAL)
with checkpoint as state:
    state["next"] = 1
    checkpoint.save()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(1)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    assert not guard.stopping
    for leave in (lambda: None, lambda: sys.exit(3)):
        child = os.fork()
        if child == 0:
            state["next"] = 9
            leave()
            break
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 3)
        assert '{"next": 1,' in Path("work.json").read_text()
    else:
        os.kill(os.getpid(), signal.SIGTERM)
        guard.pause_point()
"""
    assert start(tmp_path, code).wait(30) == CONTINUE


def test_a_block_in_a_thread_of_a_program_that_ignores_sigterm_is_stopped_by_the_guards_word(tmp_path):
    code = """
import json, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stop = {"error": {"code": "AG620", "message": "A stop was announced.", "remedy": "Exit."}}
def answer(request):
    if "outcome" not in request.url.path and json.loads(request.content)["arguments"]["number"] == 5:
        return httpx.Response(403, json=stop)
    return httpx.Response(200, json={"seq": 0, "decision": "allow"})
guard = Guard(transport=httpx.MockTransport(answer))
def run():
    with guard.checkpoint("work.json", INITIAL) as state:
        while True:
            with guard.action("step", number=state["next"]):
                os.kill(os.getpid(), signal.SIGTERM)
                state["next"] += 1
thread = threading.Thread(target=run)
thread.start()
thread.join()
sys.exit(7 if guard.stopping else 1)
"""
    assert start(tmp_path, code).wait(30) == 7
    assert '{"next": 5,' in (tmp_path / "work.json").read_text()
