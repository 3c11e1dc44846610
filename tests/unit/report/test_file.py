"""The report's file: its form by its name, new, whole or not there."""

import errno
import os
from pathlib import Path

import pytest

from agent_guard.cli.files import new_file
from agent_guard.errors import GuardError
from agent_guard.report import Form, form_of, write
from agent_guard.report.file import umask

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


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_stick_without_links_takes_a_report_too_and_keeps_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "report.md", "first")
    with pytest.raises(GuardError, match="AG461"):
        write(tmp_path / "report.md", "second")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]


def test_name_as_long_as_a_name_may_be_is_one(tmp_path: Path) -> None:
    path = tmp_path / ("r" * 252 + ".md")
    write(path, "x")
    assert path.read_text() == "x"


def test_file_that_a_killed_process_left_does_not_keep_a_proof_from_being_written(tmp_path: Path) -> None:
    """In a container the next process has the same id."""
    (tmp_path / f".proof.{os.getpid()}").write_text("half a pr")
    with new_file(tmp_path / "proof") as file:
        file.write("whole")
    assert (tmp_path / "proof").read_text() == "whole"
    assert (tmp_path / "proof").stat().st_mode & 0o777 == 0o666 & ~umask()
    with pytest.raises(GuardError, match="exists"), new_file(tmp_path / "proof"):
        pass
    assert len(list(tmp_path.iterdir())) == 2


def test_folder_that_cannot_be_written_is_refused_before_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the system: root, who may run these tests, could write it."""
    asked: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "access", lambda path, mode: bool(asked.append((path, mode))))
    with pytest.raises(GuardError, match="Nothing was audited") as refused:
        form_of(tmp_path / "report.md")
    assert refused.value.code == "AG462"
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
