"""Ed25519 keys in files: made once, whole, and for their owner alone."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.keys.ed25519 import load_or_make

pytestmark = pytest.mark.unit


def raw(path: Path) -> bytes:
    return load_or_make(path, "The key").private_bytes_raw()


def test_a_key_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    first = raw(path)
    assert raw(path) == first == bytes.fromhex(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_one_time_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(raw, [tmp_path / "key"] * 16))) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32, "00" * 33])
def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(GuardError) as caught:
        load_or_make(path, "The key")
    assert caught.value.code == "AG302"
    assert path.read_text() == content


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError) as caught:
        load_or_make(tmp_path / "file" / "key", "The key")
    assert caught.value.code == "AG302"
