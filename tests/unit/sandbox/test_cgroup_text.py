"""Reading the kernel's texts about cgroups."""

import os
from pathlib import Path

import pytest

from agent_guard.sandbox.cgroup import Cgroup, find_cgroup2, leaf_name, own_cgroup
from agent_guard.sandbox.leftovers import remove_stale
from agent_guard.sandbox.processes import read_process

pytestmark = pytest.mark.unit

UNIFIED = (
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
)
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UNIFIED, Path("/sys/fs/cgroup")),
        (HYBRID, Path("/sys/fs/cgroup/unified")),
        (UNIFIED.replace("/sys/fs/cgroup", r"/odd\040place"), Path("/odd place")),
        (HYBRID.replace("cgroup2", "cgroup"), None),
        ("36 35 98:0 /cgroup2 /mnt/cgroup2 rw - ext3 cgroup2 rw\n", None),
        ("", None),
    ],
)
def test_cgroup2_mount_is_found_by_its_type(text: str, expected: Path | None) -> None:
    assert find_cgroup2(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/\n", Path("/cg")),
        ("8:pids:/x\n1:cpu:/\n0::/user.slice/run-1.scope\n", Path("/cg/user.slice/run-1.scope")),
        ("0::/../outside\n", None),
        ("8:pids:/x\n", None),
    ],
)
def test_own_cgroup_is_the_line_of_hierarchy_0(text: str, expected: Path | None) -> None:
    assert own_cgroup(Path("/cg"), text) == expected


def test_leaf_name_holds_no_path_of_the_label() -> None:
    assert leaf_name(7, 9, "../a b") == "agent-guard.7.9.---a-b"
    assert leaf_name(7, 9, "") == "agent-guard.7.9.-"
    assert len(leaf_name(7, 9, "x" * 300)) < 100


def test_remove_stale_removes_only_empty_leaves_of_dead_guards(tmp_path: Path) -> None:
    me = read_process(os.getpid())
    assert me is not None
    names = {
        "dead": leaf_name(2**22 + 1, 5, "a"),
        "reused": leaf_name(me.pid, me.started + 1, "a"),
        "living": leaf_name(me.pid, me.started, "a"),
        "foreign": "agent-guard.service",
        "held": leaf_name(2**22 + 1, 5, "held"),
    }
    for name in names.values():
        (tmp_path / name).mkdir()
    (tmp_path / names["held"] / "process").touch()
    assert remove_stale(tmp_path) == [tmp_path / names["held"]]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names["living"], names["foreign"], names["held"]}


def test_limit_is_written_where_the_controller_is_enabled_and_refused_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("max\n")
    leaf = Cgroup(tmp_path)
    assert leaf.limit("pids", 64)
    assert (tmp_path / "pids.max").read_text() == "64"
    assert not leaf.limit("memory", 64)
    assert not (tmp_path / "memory.max").exists()
