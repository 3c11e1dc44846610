"""The report's file: its form by its name, new, whole or not there."""

import os
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.report import Form, form_of, write

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "form"), [("r.html", Form.HTML), ("r.MD", Form.MARKDOWN), ("a.b.json", Form.JSON)]
)
def test_suffix_tells_the_form(tmp_path: Path, name: str, form: Form) -> None:
    assert form_of(tmp_path / name) is form


@pytest.mark.parametrize("name", ["report", "report.pdf", "report.htm", ".html"])
def test_unknown_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GuardError, match="AG460"):
        form_of(tmp_path / name)


def test_what_stands_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    path, dangling = tmp_path / "report.md", tmp_path / "link.md"
    path.write_text("evidence")
    dangling.symlink_to(tmp_path / "nowhere")
    for taken in (path, dangling):
        with pytest.raises(GuardError, match="AG461"):
            form_of(taken)
        with pytest.raises(GuardError, match="AG461"):
            write(taken, "new")
    assert path.read_text() == "evidence"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.md", "report.md"]


def test_missing_folder_is_refused_before_and_after(tmp_path: Path) -> None:
    for refused in (form_of, lambda path: write(path, "new")):
        with pytest.raises(GuardError, match="AG462"):
            refused(tmp_path / "none" / "report.md")


def test_written_file_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write(tmp_path / "report.md", "schöne neue Welt")
    finally:
        os.umask(previous)
    [path] = tmp_path.iterdir()
    assert path.read_text(encoding="utf-8") == "schöne neue Welt"
    assert path.stat().st_mode & 0o777 == 0o640


def test_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match="No space left"):
        write(tmp_path / "report.md", "x")
    assert not list(tmp_path.iterdir())
