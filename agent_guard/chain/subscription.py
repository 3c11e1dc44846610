"""New blocks as they come, over WebSocket: for speed only.

A subscription that dies, lies or never opens costs at most one poll: the guard polls beside it, and what a
notification says is never believed, only taken as a reason to read now.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import cast

from web3 import AsyncWeb3
from web3.providers.persistent import WebSocketProvider
from web3.types import RPCResponse

from agent_guard.canonical import check_depth

logger = logging.getLogger(__name__)

# A peer that answers no ping for this long is taken for dead. web3's default hides a dead socket for 300 s.
PING_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
MESSAGE_LIMIT = 1 << 20


class _BoundedProvider(WebSocketProvider):
    """web3's provider, which parses messages that would overflow the parser's stack and end the process."""

    async def socket_recv(self) -> RPCResponse:
        if self._ws is None:
            raise ConnectionError("not connected")
        message = await self._ws.recv(decode=False)
        check_depth(message)
        return cast(RPCResponse, json.loads(message))


class HeadSubscription:
    """Calls `on_head()` from its own thread for every new block that the node announces.

    Args:
        url: ws or wss URL.
        on_head: must return quickly and not raise.
        timeout: seconds to connect and subscribe.
    """

    def __init__(self, url: str, on_head: Callable[[], None], timeout: float) -> None:
        self.url = url
        self.on_head = on_head
        self.timeout = timeout
        self.connected = False
        self._stopping = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="head-subscription", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; waits at most a second for it. Does nothing to one that was never started."""
        self._stopping.set()
        if not self._thread.is_alive():
            self._loop.close()
            return
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._cancel_all)
        self._thread.join(timeout=1.0)

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopping.is_set():
            try:
                self._loop.run_until_complete(self._listen())
            except asyncio.CancelledError:
                break
            except Exception as error:  # noqa: BLE001 - whatever breaks here costs speed only: the poll goes on
                logger.debug("subscription to new blocks failed (%s), trying again", type(error).__name__)
            self.connected = False
            self._stopping.wait(RECONNECT_SECONDS)
        self._loop.close()

    async def _listen(self) -> None:
        provider = _BoundedProvider(
            self.url,
            websocket_kwargs={
                "ping_interval": PING_SECONDS,
                "ping_timeout": PING_SECONDS,
                "open_timeout": self.timeout,
                "close_timeout": 1.0,
                "max_size": MESSAGE_LIMIT,
            },
            request_timeout=self.timeout,
            max_connection_retries=1,
        )
        async with AsyncWeb3(provider) as web3:
            await web3.eth.subscribe("newHeads")
            self.connected = True
            async for _ in web3.socket.process_subscriptions():
                self.on_head()


def websocket_url(http_url: str) -> str:
    """The WebSocket address most nodes serve beside an HTTP one: the same, with ws for http."""
    return "ws" + http_url.removeprefix("http")
