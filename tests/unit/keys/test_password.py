import getpass
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.keys import password

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("secret\n", "secret"),
        ("secret", "secret"),
        ("secret\nmore\n", "secret"),
        (" with spaces \n", " with spaces "),
    ],
)
def test_the_first_line_of_a_file_is_the_password(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "password").write_text(content)
    assert password.from_file(tmp_path / "password") == expected


@pytest.mark.parametrize("content", [b"", b"\nsecret\n", b"\xff\xfesecret"])
def test_a_file_without_a_password_is_ag304_and_tells_nothing_of_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(GuardError) as caught:
        password.from_file(tmp_path / "password")
    assert caught.value.code == "AG304"
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_ag304(tmp_path: Path) -> None:
    with pytest.raises(GuardError) as caught:
        password.from_file(tmp_path / "nothing")
    assert caught.value.code == "AG304"


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(GuardError) as caught:
        password.ask("Password: ")
    assert (caught.value.code, caught.value.exit_code) == ("AG304", 4)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    answers: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: answers.pop(0))
    yield answers
    assert answers == []


def test_a_new_password_is_asked_twice_and_must_agree(typed: list[str]) -> None:
    typed += ["secret", "secret"]
    assert password.ask("Password: ", twice=True) == "secret"
    typed += ["secret", "Secret"]
    with pytest.raises(GuardError) as caught:
        password.ask("Password: ", twice=True)
    assert caught.value.code == "AG103"
    assert "ecret" not in str(caught.value)


def test_a_known_password_is_asked_once(typed: list[str]) -> None:
    typed += ["secret"]
    assert password.ask("Password: ") == "secret"
