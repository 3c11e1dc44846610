"""HTTP to the guard over its Unix socket. Every failure to get a clear answer is `Unreachable`.

Safe to share between threads. A process forked from one that used it gets connections of its own: two processes on
one connection could read each other's yes.
"""

import os
import ssl
from pathlib import Path
from typing import Any

import httpx

from agent_guard.sdk.process import PerProcess
from agent_guard.sdk.refusals import Unreachable, refusal, unreachable

SOCKET_VARIABLE = "AGENT_GUARD_SOCKET"
PATH_LIMIT = 107
CONNECTIONS = 32
CONNECT_RETRIES = 2
"""Tries to connect again, with half a second between: the guard's backlog may be full. Nothing was sent before."""
# Shorter than the guard's own, so that we never send on a connection that it is about to close.
IDLE_SECONDS = 2.0


class Wire:
    """Connections to one guard.

    Args:
        path: the guard's socket.
        seconds: how long each step of a request (connect, send, wait) may take.
        transport: stands in for the socket (tests).
    """

    def __init__(
        self, path: Path | None, seconds: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._path = path
        self._seconds = seconds
        self._transport = transport
        self._client = PerProcess(self._connect)
        self._folder: int | None = None

    def request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer's JSON object. Raises `Denied` for any status but 200, `Unreachable` for no clear answer."""
        try:
            response = self._client.get().request(method, path, json=body)
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RuntimeError) as error:
            raise unreachable(
                f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            ) from error
        if response.status_code != 200:
            raise refusal(response.status_code, answer)
        if not isinstance(answer, dict):
            raise unreachable("its answer is no JSON object")
        return answer

    def close(self) -> None:
        """Closes the connections; the next request opens new ones."""
        if client := self._client.take():
            client.close()

    def _connect(self) -> httpx.Client:
        limits = httpx.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS
        )
        transport = self._transport or httpx.HTTPTransport(
            # There is no TLS on this socket; an empty context spares every agent the loading of certificates.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            uds=self._reachable_path(),
            limits=limits,
            retries=CONNECT_RETRIES,
        )
        return httpx.Client(
            transport=transport, base_url="http://guard", timeout=self._seconds, trust_env=False
        )

    def _reachable_path(self) -> str:
        """The socket's path, or a short name for it where it is longer than the kernel takes (unix(7))."""
        path = self._path or _path_from_environment()
        if len(os.fsencode(path)) <= PATH_LIMIT:
            return str(path)
        if self._folder is None:
            self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{path.name}"


def _path_from_environment() -> Path:
    path = os.environ.get(SOCKET_VARIABLE, "")
    if not path:
        raise no_socket()
    return Path(path)


def no_socket() -> Unreachable:
    """AG618: nobody said where the guard is."""
    return Unreachable(
        "AG618",
        f"{SOCKET_VARIABLE} is not set, so no guard can be asked. The action must not happen.",
        "Start the agent with: agent-guard run AGENT -- COMMAND",
    )
