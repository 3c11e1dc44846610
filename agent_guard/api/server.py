"""Serves an application on an agent's Unix socket, from a thread with an event loop of its own.

Guarantees: `start` returns when requests are answered, `stop` when the thread has ended; signal handlers stay as they
are; whatever an agent does to its socket is bounded (`connections`). Trusts the socket it is given.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from agent_guard.api.app import create_app
from agent_guard.api.connections import HEAD_LIMIT, BoundedProtocol, ConnectionLimits, bounded_protocol
from agent_guard.api.socket import bind_socket
from agent_guard.errors import GuardError
from agent_guard.gate import Gate

START_SECONDS = 10.0
GRACE_SECONDS = 1
STOP_SECONDS = 10.0


class Server:
    """One agent's HTTP server.

    Args:
        app: the application.
        bound: a bound socket (`api.socket.bind_socket`); closed by `stop`.
        on_malformed: hears, in the server's thread, of what came over the socket and is no HTTP.
        limits: what an agent may hold.
    """

    def __init__(
        self,
        app: FastAPI,
        bound: socket.socket,
        on_malformed: Callable[[GuardError], None] = lambda _: None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._bound = bound
        self._started: Future[None] = Future()
        self._server = _Sweeping(_config(app, limits, on_malformed), self._started)
        self._thread = threading.Thread(target=self._run, name="agent-api", daemon=True)

    def start(self) -> None:
        """Starts the thread. Raises AG616 when the server does not come up."""
        self._thread.start()
        try:
            self._started.result(START_SECONDS)
        except Exception as error:
            self.stop()
            raise GuardError(
                "AG616",
                f"The agent's API did not start: {error!r}. No agent was started.",
                "Run agent-guard doctor; the guard's own output has the details.",
            ) from error

    def stop(self) -> None:
        """Ends open requests after a second at most, closes the socket. A second call does nothing."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._bound.close()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and self._server.started

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._bound]))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits in start(); without a server no agent runs
            if not self._started.done():
                self._started.set_exception(error)


def serve(gate: Gate, path: Path, limits: ConnectionLimits = ConnectionLimits()) -> Server:  # noqa: B008 - frozen
    """Opens an agent's door: a started server for its gate, on a new Unix socket at `path`. Raises AG616."""
    server = Server(create_app(gate), bind_socket(path), gate.note_refusal, limits)
    server.start()
    return server


class _Sweeping(uvicorn.Server):
    """uvicorn's server, telling when it is up, and ending connections that have expired."""

    def __init__(self, config: uvicorn.Config, up: "Future[None]") -> None:
        super().__init__(config)
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set_result(None)

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            self._sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._sweep(float("inf"))

    def _sweep(self, now: float) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol) and connection.expires_at < now:
                connection.abort()


def _config(
    app: FastAPI, limits: ConnectionLimits, on_malformed: Callable[[GuardError], None]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=bounded_protocol(limits, on_malformed),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # Warnings are about what the agent sent: it must not be able to fill the guard's own output.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=limits.backlog,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEAD_LIMIT,
    )
