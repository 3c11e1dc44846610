"""Bounds what a client can make the HTTP server hold: connections, time, and the size of a request's head.

A hostile one opens thousands of connections, sends a byte a minute, never ends its headers, never reads its answer,
or speaks no HTTP. Guarantees: at most `most` connections are kept (one more is told 503 and closed at once), none is
kept longer than `seconds` without an answered request, and what is no HTTP gets a 400 in the API's one error shape.
So an agent can keep itself, and a stranger his door, from being served during the attack and no longer; the guard's
file descriptors stay free.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from agent_guard.api.failures import RETRY_SECONDS
from agent_guard.errors import GuardError

HEAD_LIMIT = 32 * 1024


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`most` connections at once; `seconds` until a connection without an answered request ends; `idle_seconds` that
    one is kept open for a next request; `backlog` connections the kernel holds until they are accepted."""

    most: int = 128
    seconds: float = 15.0
    idle_seconds: float = 5.0
    backlog: int = 128


def bounded_protocol(
    limits: ConnectionLimits, on_malformed: Callable[[GuardError], None]
) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1 protocol under `limits`; `on_malformed` hears of what is no HTTP."""

    class Bounded(BoundedProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, limits=limits, on_malformed=on_malformed, **kwargs)

    return Bounded


class BoundedProtocol(H11Protocol):
    """One connection. `expires_at` is in the loop's time."""

    def __init__(
        self, *args: Any, limits: ConnectionLimits, on_malformed: Callable[[GuardError], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._on_malformed = on_malformed
        self._turned_away = False
        self.expires_at = self.loop.time() + limits.seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limits.most:
            self._turned_away = True
            transport.write(_raw_response(503, "Service Unavailable", _too_many(self._limits.most)))
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._turned_away:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            super().data_received(data)

    def on_response_complete(self) -> None:
        self.expires_at = self.loop.time() + self._limits.seconds
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        error = _no_http()
        self._on_malformed(error)
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_raw_response(400, "Bad Request", error))
        self.transport.close()

    def abort(self) -> None:
        """Ends the connection without another word."""
        self.transport.abort()


def _raw_response(status: int, reason: str, error: GuardError) -> bytes:
    body = json.dumps(error.as_dict()).encode()
    again = f"retry-after: {RETRY_SECONDS}\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{again}connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _too_many(most: int) -> GuardError:
    return GuardError(
        "AG606",
        f"{most} connections are open already. Nothing was done; no action must happen.",
        "Close some, reuse them, and ask again.",
    )


def _no_http() -> GuardError:
    return GuardError(
        "AG615",
        f"What came is no HTTP/1.1 request, or its head is longer than {HEAD_LIMIT} bytes. Nothing was done.",
        "Speak HTTP/1.1, for example with: curl --unix-socket $AGENT_GUARD_SOCKET http://guard/v1/status",
    )
