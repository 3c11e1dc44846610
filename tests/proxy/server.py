"""The proxy's one port of 127.0.0.1, for HTTP and WebSocket, and the thread that serves it.

The port is held from the first moment to the last: while the node is down nobody else can be given it, and a connection
to it is refused. `stop` ends the thread and every connection, also those that hang.
"""

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Coroutine
from typing import Any

from tests.proxy.node import Node, UpstreamGoneError
from tests.proxy.script import Script
from tests.proxy.websocket import WebSocket
from tests.proxy.wire import cut, read_head, response_to, send

PATIENCE = 60.0


class Server:
    """Serves what `script` says. All methods are for the test's thread."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._place = _bound(0)  # never listens
        self.port = int(self._place.getsockname()[1])
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"rpc-proxy-{self.port}", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Listens, if it does not."""
        self._do(self._open())

    def close(self) -> None:
        """Refuses connections, and cuts those there are."""
        self._do(self._close())

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._place.close()
        if self._thread.is_alive():
            raise RuntimeError("the proxy's thread does not end")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        done: concurrent.futures.Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _open(self) -> None:
        if self._listener is None:
            self._node = Node(self._script)
            self._listener = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def _close(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        # Those accepted in this very moment have no task yet; the next turn of the loop starts it.
        await asyncio.sleep(0)
        connections = dict(self._connections)
        for writer, task in connections.items():
            cut(writer)
            task.cancel()
        await asyncio.gather(*connections.values(), return_exceptions=True)
        await self._node.close()

    async def _stop(self) -> None:
        await self._close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._listener is None or task is None:
            return cut(writer)
        self._connections[writer] = task
        try:
            while await self._exchange(reader, writer):
                pass
        except UpstreamGoneError:
            cut(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or we have cut it off; asyncio would report a cancelled handler as a fault
        except Exception as error:  # noqa: BLE001 - a fault of the proxy itself: the fixture fails the test with it
            self._script.failures.append(error)
            cut(writer)
        finally:
            del self._connections[writer]
            writer.close()
        return None

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; says whether the connection goes on."""
        head = await read_head(reader)
        if head.upgrade:
            await self._script.passage()
            if self._script.behaviour.reset:
                cut(writer)
            else:
                await WebSocket(self._script, self._node, reader, writer).run(head.raw)
            return False
        asked = self._node.received(await reader.readexactly(head.length))
        await self._script.passage()
        behaviour = self._script.behaviour
        if behaviour.reset:
            cut(writer)
            return False
        answers = await self._node.answer(asked, behaviour)
        await asyncio.sleep(behaviour.delay)
        await self._script.passage()
        response = response_to(answers, behaviour)
        await send(writer, response, behaviour)
        return response.length is not None


def _bound(port: int) -> socket.socket:
    # With the protocol named: asyncio turns Nagle's algorithm off only where it is, and 40 ms a call is no honest node.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
