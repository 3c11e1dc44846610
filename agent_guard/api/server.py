"""Serves HTTP on sockets that it is given, agents' or signers', from one thread with an event loop of its own.

Guarantees: `open` returns when requests are answered there, `stop` when the thread has ended; signal handlers stay as
they are; whatever a client does to its socket is bounded (`connections`), and what one holds it takes from no other.
Trusts the sockets it is given.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from agent_guard.api.app import create_app, door
from agent_guard.api.connections import HEAD_LIMIT, BoundedProtocol, ConnectionLimits, bounded_protocol
from agent_guard.api.socket import bind_socket
from agent_guard.errors import GuardError
from agent_guard.gate import Gate

START_SECONDS = 10.0
GRACE_SECONDS = 1
STOP_SECONDS = 10.0
SWEEP_SECONDS = 0.5


class Server:
    """An HTTP server with any number of doors. `name`: of its thread."""

    def __init__(self, name: str = "agent-api") -> None:
        self._loop = asyncio.new_event_loop()
        self._doors: list[tuple[_Door, socket.socket]] = []
        self._serving: set[asyncio.Task[None]] = set()  # the loop's alone
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def open(
        self,
        app: ASGIApp,
        bound: socket.socket,
        on_malformed: Callable[[GuardError], None] = lambda _: None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        """Serves `app` on a bound socket, which `stop` closes.

        Args:
            on_malformed: hears, in the server's thread, of what came over the socket and is no HTTP.
            limits: what may be held of this door.

        Raises:
            GuardError: AG616 when it does not come up.
        """
        up: Future[None] = Future()
        opened = _Door(_config(app, limits, on_malformed), up)
        self._doors.append((opened, bound))
        self._loop.call_soon_threadsafe(self._serve, opened, bound, up)
        try:
            up.result(START_SECONDS)
        except Exception as error:
            raise GuardError(
                "AG616",
                f"The API did not start: {error!r}. Nothing was started.",
                "Run agent-guard doctor; the guard's own output has the details.",
            ) from error

    def stop(self) -> None:
        """Ends open requests after a second at most, closes the sockets. A second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(STOP_SECONDS)
        for _, bound in self._doors:
            bound.close()

    @property
    def alive(self) -> bool:
        """Whether requests are answered at every door."""
        return self._thread.is_alive() and all(opened.started for opened, _ in self._doors)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.gather(*self._serving, return_exceptions=True))
        self._loop.close()

    def _serve(self, opened: "_Door", bound: socket.socket, up: "Future[None]") -> None:
        task = self._loop.create_task(opened.serve([bound]))
        self._serving.add(task)

        def ended(task: "asyncio.Task[None]") -> None:
            # Told to whoever waits in open(); without its door no agent runs.
            if not up.done():
                failure = None if task.cancelled() else task.exception()
                up.set_exception(failure or RuntimeError("the door closed before it opened"))

        task.add_done_callback(ended)

    def _end(self) -> None:
        for opened, _ in self._doors:
            opened.end()
        self._loop.stop()


def serve(gate: Gate, path: Path, limits: ConnectionLimits = ConnectionLimits()) -> Server:  # noqa: B008 - frozen
    """A started server with one agent's door, on a new Unix socket at `path`. Raises AG616."""
    server = Server()
    server.start()
    try:
        server.open(door(create_app(), gate), bind_socket(path), gate.note_refusal, limits)
    except GuardError:
        server.stop()
        raise
    return server


class _Door(uvicorn.Server):
    """uvicorn's server, telling when it is up, and ending connections that have expired.

    It shares its loop with others, so it sleeps between two sweeps instead of looking ten times a second.
    """

    def __init__(self, config: uvicorn.Config, up: "Future[None]") -> None:
        super().__init__(config)
        self._up = up
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Has `serve` end; from the loop."""
        self.should_exit = True
        self._ending.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set_result(None)

    async def main_loop(self) -> None:
        while not self._ending.is_set():
            try:
                await asyncio.wait_for(self._ending.wait(), SWEEP_SECONDS)
            except TimeoutError:
                self._sweep(asyncio.get_running_loop().time())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._sweep(float("inf"))

    def _sweep(self, now: float) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol) and connection.expires_at < now:
                connection.abort()


def _config(
    app: ASGIApp, limits: ConnectionLimits, on_malformed: Callable[[GuardError], None]
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
