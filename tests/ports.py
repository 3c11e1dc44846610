"""Ports that a test may choose before whoever listens there does, and that stay free while nobody listens."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Below what Linux gives to connections: one that goes out, also of a client that tries this very port again and again
# until its server is back, gets any port of that range.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 100


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that the kernel gives to nobody by itself, where it leaves
    any (on some hosts its own begin at 1,024).
    """
    given = int(_RANGE.read_text().split()[0])
    last = min(_LAST, given) if given >= _FIRST + _TRIES else _LAST
    for port in random.sample(range(_FIRST, last), _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port between {_FIRST} and {last}")
