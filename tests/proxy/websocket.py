"""One WebSocket connection: calls as over HTTP, and `newHeads`: the true ones passed on, or others, or none.

The protocol is `websockets`' own, without its sockets, so that HTTP and WebSocket share one port as in a node.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine, Iterator
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.proxy import garbage
from tests.proxy.behaviour import Behaviour
from tests.proxy.node import Node, UpstreamGoneError
from tests.proxy.script import Script
from tests.proxy.wire import cut, trickle

HEADS = ("follow", "silent", "phantom", "flood", "nonsense", "closed")
IDLE_SECONDS = 0.02
# Invented heads from one reading of the newest: a flood must not drown the Anvil behind.
FRESHNESS = 50
# A subscriber that believes in heads must bear all of these.
NONSENSE = ("not JSON", "[]", "{}", "null", '"\\ud800"', "7", '{"method":"eth_subscription","params":null}')


class WebSocket:
    """Serves one connection until either side ends it."""

    def __init__(
        self,
        script: Script,
        node: Node,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._script = script
        self._node = node
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol(max_size=None)
        self._parts = bytearray()
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, list[asyncio.Task[None]]] = {}

    async def run(self, head: bytes) -> None:
        try:
            self._protocol.receive_data(head)
            self._shake_hands()
            while self._protocol.state is State.OPEN and (data := await self._reader.read(1 << 16)):
                await self._script.passage()  # who hangs answers no ping either
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    self._take(event)
                await self._flush(0.0)
        finally:
            await self._end_tasks()

    def _shake_hands(self) -> None:
        refusal = self._script.behaviour.refusal
        for request in self._protocol.events_received():
            if not isinstance(request, Request):
                continue
            if refusal is None:
                self._protocol.send_response(self._protocol.accept(request))
            else:
                text = refusal.body.decode("latin-1")
                self._protocol.send_response(self._protocol.reject(HTTPStatus(refusal.status), text))
        self._writer.writelines(self._protocol.data_to_send())

    async def _flush(self, pause: float) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await trickle(self._writer, data, pause)
            else:
                self._writer.write_eof()

    def _take(self, event: Any) -> None:
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts += event.data
        if event.fin:
            message, self._parts = bytes(self._parts), bytearray()
            self._spawn(self._answer, message)

    def _spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> asyncio.Task[None]:
        # Not a coroutine made beforehand: nobody would ever await it, were the task cancelled before it began.
        task = asyncio.ensure_future(self._guarded(work, *given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        try:
            await work(*given)
        except UpstreamGoneError:
            cut(self._writer)
        except OSError:
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001 - a fault of the proxy itself: the fixture fails the test with it
            self._script.failures.append(error)
            cut(self._writer)

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------ calls

    async def _answer(self, message: bytes) -> None:
        asked = self._node.received(message)
        await self._script.passage()
        behaviour = self._script.behaviour
        method = asked.get("method") if isinstance(asked, dict) else None
        honest = behaviour.error is None and behaviour.garbage is None
        if behaviour.reset:
            cut(self._writer)
        elif behaviour.refusal is not None:
            await self._close(1013)
        elif method == "eth_subscribe" and honest and asked.get("params") == ["newHeads"]:
            await self._subscribe(asked, behaviour)
        elif method == "eth_unsubscribe" and honest:
            known = self._unsubscribe(asked["params"][0])
            await self._say({"jsonrpc": "2.0", "id": asked.get("id"), "result": known}, behaviour)
        else:
            await self._say(await self._node.answer(asked, behaviour), behaviour)

    async def _say(self, what: Any, behaviour: Behaviour) -> None:
        await asyncio.sleep(behaviour.delay)
        await self._script.passage()
        if behaviour.garbage is not None:
            await self._send(garbage.KINDS[behaviour.garbage](what), behaviour.drip)
        else:
            await self._send(iter([json.dumps(what).encode()]), behaviour.drip)

    async def _send(self, parts: Iterator[bytes], pause: float = 0.0) -> None:
        """One message, a frame for each part."""
        async with self._sending:
            self._frame(self._protocol.send_text, next(parts), fin=False)
            await self._flush(pause)
            for part in parts:
                self._frame(self._protocol.send_continuation, part, fin=False)
                await self._flush(pause)
                if self._protocol.state is not State.OPEN:
                    return
            self._frame(self._protocol.send_continuation, b"", fin=True)
            await self._flush(pause)

    def _frame(self, send: Callable[..., None], data: bytes, fin: bool) -> None:
        if self._protocol.state is State.OPEN:
            send(data, fin=fin)

    async def _close(self, code: int) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            await self._flush(0.0)

    # ------------------------------------------------------------------------------------------------------ heads

    async def _subscribe(self, asked: dict[str, Any], behaviour: Behaviour) -> None:
        name, listening = "0x" + secrets.token_hex(16), asyncio.Event()
        tasks = [self._spawn(self._follow, name, listening)]
        await listening.wait()
        await self._say({"jsonrpc": "2.0", "id": asked.get("id"), "result": name}, behaviour)
        tasks.append(self._spawn(self._invent, name))
        self._subscriptions[name] = tasks

    def _unsubscribe(self, name: str) -> bool:
        tasks = self._subscriptions.pop(name, [])
        for task in tasks:
            task.cancel()
        return bool(tasks)

    async def _follow(self, name: str, listening: asyncio.Event) -> None:
        """Passes on what the Anvil behind announces, from whichever is behind at the time."""
        announced = ""
        while True:
            url = self._script.behaviour.upstream
            try:
                async with self._listening_to(url) as node:
                    await node.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}')
                    await node.recv()
                    listening.set()
                    while self._script.behaviour.upstream == url:
                        try:
                            message = await asyncio.wait_for(node.recv(), IDLE_SECONDS)
                        except TimeoutError:
                            continue
                        header = json.loads(message)["params"]["result"]
                        announced = await self._relay(name, header, announced)
            except (OSError, WebSocketException) as error:
                raise UpstreamGoneError(url) from error

    def _listening_to(self, url: str) -> connect:
        # An Anvil that stands still must not hold up our own end by its farewell.
        return connect("ws" + url.removeprefix("http"), compression=None, proxy=None, close_timeout=0.5)

    async def _relay(self, name: str, header: Any, announced: str) -> str:
        """Announces a header, or the one that a node in the past has come to; returns the hash last announced."""
        behaviour = self._script.behaviour
        if behaviour.heads != "follow":
            return announced
        if behaviour.past is not None:
            header = await self._newest(behaviour)
        if header["hash"] != announced:
            self._spawn(self._say, _notification(name, header), behaviour)
        return str(header["hash"])

    async def _newest(self, behaviour: Behaviour) -> dict[str, Any]:
        answer = await self._node.asking(behaviour)("eth_getBlockByNumber", ["latest", False])
        return dict(answer["result"])

    async def _invent(self, name: str) -> None:
        """Says what no Anvil announced, for as long as the behaviour wants it."""
        count, header = 0, None
        while self._protocol.state is State.OPEN:
            behaviour = self._script.behaviour
            inventing = behaviour.heads not in ("follow", "silent")
            await asyncio.sleep(behaviour.every if inventing else IDLE_SECONDS)
            if not inventing or self._script.behaviour != behaviour or behaviour.hung:
                continue
            if header is None or count % FRESHNESS == 0:
                header = await self._newest(behaviour)
            count += 1
            if behaviour.heads == "closed":
                await self._close(1001)
            elif behaviour.heads == "nonsense":
                await self._send(iter([NONSENSE[count % len(NONSENSE)].encode()]))
            elif behaviour.heads == "phantom":
                await self._announce(name, _phantom(header, count))
            else:
                await self._announce(name, header)

    async def _announce(self, name: str, header: dict[str, Any]) -> None:
        await self._send(iter([json.dumps(_notification(name, header)).encode()]))


def _notification(name: str, header: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": name, "result": header},
    }


def _phantom(header: dict[str, Any], count: int) -> dict[str, Any]:
    """The header of a block that never was: higher than the newest, with a hash nobody knows."""
    number = int(header["number"], 16) + count
    return header | {
        "number": hex(number),
        "hash": "0x" + secrets.token_hex(32),
        "parentHash": header["hash"],
    }
