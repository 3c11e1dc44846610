"""The addresses that a server is told to listen at."""

import pytest

from agent_guard.api import bind_tcp, parse_address
from agent_guard.errors import GuardError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8720", ("127.0.0.1", 8720)),
        ("[::1]:0", ("::1", 0)),
        ("guard-1.example.org:65535", ("guard-1.example.org", 65535)),
    ],
)
def test_host_and_port_are_told_apart(text, found):
    assert parse_address(text) == found


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "8720", "a:", "a:b", "a:65536", "a:-1", "a:+1", "a:1_0", "a:\u00b2", "a:\u0661", "::1:80", "a b:1",
     "[]:1", "[::1:1", "a:1\n", "\u202ea:1", "a:" + "9" * 5_000, "a" * 254 + ":1", "http://a:1"],
)  # fmt: skip
def test_other_text_is_no_address(text):
    assert parse_address(text) is None


def test_host_that_can_be_no_name_is_said(monkeypatch):
    def look_up(host: str, *_: object, **__: object) -> None:
        host.encode("idna")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with pytest.raises(GuardError) as refused:
        bind_tcp("a" * 64, 80)
    assert refused.value.code == "AG616"
