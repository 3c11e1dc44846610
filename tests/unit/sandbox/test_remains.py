"""What proves that nothing is left of a container: asked where the place, or the host, may be another by now."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent_guard.sandbox import remains
from agent_guard.sandbox.mode import Mode
from agent_guard.sandbox.remains import how_known, mark_host

pytestmark = pytest.mark.unit


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has the cgroup tree lie in a folder."""
    return lambda folder: monkeypatch.setattr(remains, "find_cgroup2", lambda mountinfo: folder)


def test_a_leaf_that_is_gone_from_its_tree_is_proven_empty_only_where_it_was_seen(
    tmp_path: Path, mounted: Callable[[Path], None]
) -> None:
    """The same tree, mounted in another place: nothing lies at the leaf's old path, whatever lives in it."""
    (tmp_path / "unified").mkdir()
    mounted(tmp_path / "unified")
    noted = replace(mark_host(Mode.CGROUP), leaf=str(tmp_path / "unified" / "agent"), leaf_inode=5)
    assert how_known(noted) == "cgroup"
    (tmp_path / "unified").rename(tmp_path / "cgroup")
    mounted(tmp_path / "cgroup")
    (tmp_path / "cgroup" / "agent").mkdir()
    assert mark_host(Mode.NONE).tree == noted.tree
    assert how_known(noted) is None


@pytest.mark.parametrize(
    ("said", "known"),
    [("uninitialized", None), ("", None), ("0123", None), ("0123456789abcdef" * 2, "boot")],
)
def test_only_a_host_with_an_id_of_its_own_is_known_again_after_a_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, known: str | None
) -> None:
    machine, boot = tmp_path / "machine-id", tmp_path / "boot_id"
    monkeypatch.setattr(remains, "_MACHINE", machine)
    monkeypatch.setattr(remains, "_BOOT", boot)
    machine.write_text(said + "\n")
    boot.write_text("one\n")
    noted = mark_host(Mode.PIDNS)
    boot.write_text("another\n")
    assert how_known(noted) == known
