"""Unit tests open no socket to anywhere: a test that does fails, even if the code it tests swallows the refusal."""

import socket
from collections.abc import Iterator

import pytest
import urllib3  # noqa: F401 - asks the host about IPv6 with a socket of its own, once, when it is first imported

INTERNET = (socket.AF_INET, socket.AF_INET6)


class SocketOpenedError(RuntimeError):
    """A unit test reached for the network."""


@pytest.fixture(autouse=True)
def no_internet_sockets(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Refuses sockets of the Internet families and name look-ups; yields what was tried."""
    tried: list[str] = []
    if request.node.get_closest_marker("unit") is None:
        yield tried
        return
    create, look_up = socket.socket.__init__, socket.getaddrinfo

    def refuse(what: str) -> None:
        tried.append(what)
        raise SocketOpenedError(f"a unit test opened {what}")

    def guarded(self: socket.socket, *arguments: object, **more: object) -> None:
        create(self, *arguments, **more)  # type: ignore[arg-type]
        if self.family in INTERNET:
            self.close()
            refuse(f"a socket of {self.family.name}")

    def guarded_look_up(host: object, *arguments: object, **more: object) -> object:
        refuse(f"the name {host!r}")
        return look_up(host, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "__init__", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield tried
    if tried:
        pytest.fail(f"this unit test opened {', '.join(tried)}")
