"""The block on sockets is itself tried: what it lets through, no unit test would show."""

import socket

import pytest

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_unit_test_that_opens_an_internet_socket_is_refused(
    family: socket.AddressFamily, no_internet_sockets: list[str]
) -> None:
    with pytest.raises(RuntimeError, match="opened a socket"):
        socket.socket(family)
    assert no_internet_sockets == [f"a socket of {family.name}"]
    no_internet_sockets.clear()  # it was meant


def test_a_connection_by_name_is_refused_before_the_name_is_asked_for(
    no_internet_sockets: list[str],
) -> None:
    with pytest.raises(RuntimeError, match="opened the name"):
        socket.create_connection(("localhost", 9), timeout=0.1)
    no_internet_sockets.clear()


def test_a_pair_of_unix_sockets_is_nobody_elses_affair() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"x")
        assert other.recv(1) == b"x"
