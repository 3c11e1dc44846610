"""What one agent may hold: it takes until the kernel says no, here with a small part of the default limits."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Choice, choose_mode
from agent_guard.sandbox.view import ContainerSpec, Limits

pytestmark = pytest.mark.drill

MIB = 1 << 20
LIMITS = Limits(pids=40, memory=128 * MIB)
GREED = """
import json, os, resource, time
answer = {}
for name in (resource.RLIMIT_NPROC, resource.RLIMIT_DATA):
    try:
        resource.setrlimit(name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        pass
taken = []
try:
    while len(taken) < 40:
        taken.append(bytearray(8 << 20))
except MemoryError:
    pass
answer["memory"] = len(taken) * 8
del taken
for folder in ("/tmp", "/dev/shm", "/home/agent", "/", "/dev"):
    size = 0
    try:
        with open(folder + "/greed", "wb", buffering=0) as file:
            while size < 200:
                size += file.write(bytes(1 << 20)) >> 20
    except OSError:
        pass
    answer[folder] = size
    if size:
        os.unlink(folder + "/greed")
children = []
try:
    while len(children) < 100:
        children.append(os.fork())
        if not children[-1]:
            time.sleep(60)
            os._exit(0)
except OSError:
    pass
answer["children"] = len(children)
open("answer", "w").write(json.dumps(answer))
"""


@pytest.fixture(params=["cgroup+pidns", "pidns"])
def choice(request: pytest.FixtureRequest) -> Choice:
    found = choose_mode(mountinfo="" if request.param == "pidns" else None)
    if found.mode.value != request.param:
        pytest.skip(found.why)
    return found


def take(choice: Choice, work: Path, limits: Limits) -> dict[str, Any]:
    """What an agent got hold of: MiB of memory and of each file system, and processes."""
    spec = ContainerSpec((sys.executable, "-I", "-S", "-c", GREED), work, limits=limits)
    container = launch(spec, choice)
    try:
        assert container.wait(120) is not None
        return dict(json.loads((work / "answer").read_text()))
    finally:
        container.close()


def test_agent_that_takes_all_it_can_gets_no_more_than_its_limits(choice: Choice, tmp_path: Path) -> None:
    got = take(choice, tmp_path, LIMITS)

    assert 0 < got["memory"] <= 128
    assert 20 < got["children"] <= 40
    assert {got[folder] for folder in ("/tmp", "/dev/shm", "/home/agent")} == {32}
    assert (got["/"], got["/dev"]) == (0, 0)


def test_limits_of_one_agent_are_not_anothers(choice: Choice, tmp_path: Path) -> None:
    got = take(choice, tmp_path, Limits())

    assert got["children"] == 100
    assert got["memory"] == 320
    assert got["/tmp"] == 200


def test_host_without_the_controllers_says_so_in_the_modes_words() -> None:
    choice = choose_mode()
    if choice.parent is None:
        pytest.skip(choice.why)
    enabled = (choice.parent / "cgroup.subtree_control").read_text().split()
    assert ("rlimits" in choice.why) is not ({"pids", "memory"} <= set(enabled))
