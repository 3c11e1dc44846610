"""What is left of a container whose guard is gone, asked of the kernel: real containers, real guards, really killed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Mode, choose_mode
from agent_guard.sandbox.remains import Mark, how_known, mark, mark_host
from agent_guard.sandbox.view import ContainerSpec

pytestmark = pytest.mark.drill

# A guard that holds an agent which resists, notes where, and does nothing more. Both would outlive all limits.
GUARD = """
import json, sys, time
from dataclasses import asdict
from pathlib import Path
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.remains import mark
from agent_guard.sandbox.view import ContainerSpec
work, mode = Path(sys.argv[1]), sys.argv[2]
choice = choose_mode("none" if mode == "none" else "auto", mountinfo="" if mode == "pidns" else None)
code = "import os, time; [os.fork() or (os.setsid(), time.sleep(600)) for _ in range(5)]; time.sleep(600)"
container = launch(ContainerSpec((sys.executable, "-I", "-S", "-c", code), work), choice)
print(json.dumps(asdict(mark(container))), flush=True)
time.sleep(600)
"""
PROOFS = {"cgroup+pidns": "cgroup", "pidns": "namespace"}


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], Mark]]]:
    started: list[subprocess.Popen[str]] = []

    def start(mode: str) -> tuple[subprocess.Popen[str], Mark]:
        if mode == Mode.CGROUP.value and choose_mode().mode is not Mode.CGROUP:
            pytest.skip("no cgroup to be had here")
        command = [sys.executable, "-c", GUARD, str(tmp_path), mode]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        made = Mark(**json.loads(started[-1].stdout.readline()))
        assert made.mode == mode
        return started[-1], made

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.mark.parametrize("mode", PROOFS)
def test_an_agent_that_died_with_its_guard_is_known_to_be_dead_and_no_sooner(
    guard: Any, mode: str, until: Callable[..., None]
) -> None:
    process, made = guard(mode)
    assert how_known(made) is None
    process.kill()
    until("the proof", lambda: how_known(made) == PROOFS[mode])


@pytest.mark.parametrize("mode", PROOFS)
def test_a_dead_one_is_claimed_only_where_the_proof_is_to_be_had(
    guard: Any, mode: str, until: Callable[..., None]
) -> None:
    process, made = guard(mode)
    process.kill()
    until("the proof", lambda: how_known(made) is not None)
    # Another host; another boot of a host that has no id; a container whose processes or cgroups are not to be seen.
    assert how_known(replace(made, boot="other", machine="another's")) is None
    assert how_known(replace(made, boot="other", machine="")) is None
    unseen = replace(made, tree="0:0") if mode == "cgroup+pidns" else replace(made, namespace=1)
    assert how_known(unseen) is None


def test_a_cgroup_that_was_removed_since_is_as_good_as_an_empty_one(
    guard: Any, until: Callable[..., None]
) -> None:
    process, made = guard("cgroup+pidns")
    process.kill()
    until("an empty cgroup", lambda: how_known(made) == "cgroup")
    Path(made.leaf).rmdir()
    assert how_known(made) == "cgroup"


def test_another_cgroup_of_the_same_name_proves_nothing(guard: Any, until: Callable[..., None]) -> None:
    process, made = guard("cgroup+pidns")
    process.kill()
    until("an empty cgroup", lambda: how_known(made) == "cgroup")
    assert how_known(replace(made, leaf_inode=made.leaf_inode + 1)) is None


def test_another_process_that_has_the_pid_by_now_is_not_the_agent(guard: Any) -> None:
    _, made = guard("pidns")
    assert how_known(replace(made, init_started=made.init_started + 1)) == "namespace"


def test_without_a_container_a_killed_guard_proves_nothing(guard: Any) -> None:
    process, made = guard("none")
    process.kill()
    process.wait()
    assert how_known(made) is None


def test_an_earlier_boot_of_this_machine_left_nothing_alive() -> None:
    here = mark_host(Mode.NONE)
    assert how_known(here) is None
    earlier = replace(here, boot="00000000-0000-0000-0000-000000000000", machine="0123")
    assert how_known(earlier) is None
    if here.machine:
        assert how_known(replace(earlier, machine=here.machine)) == "boot"


def test_a_container_that_is_not_built_yet_proves_nothing_before_the_next_boot() -> None:
    assert how_known(mark_host(Mode.CGROUP)) is None
    assert how_known(mark_host(Mode.PIDNS)) is None


def test_an_agent_that_has_ended_already_can_be_marked(tmp_path: Path) -> None:
    container = launch(ContainerSpec(("true",), tmp_path), choose_mode())
    assert container.wait(60) == 0
    assert mark(container).leaf == ""
    container.close()
