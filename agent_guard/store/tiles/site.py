"""A site that serves a tiled log over HTTP.

Guarantees: waits no longer than `TIMEOUT` between two bytes and `DEADLINE` for a whole file, its headers included,
however slowly it drips; unpacks gzip piece by piece, and nothing that was packed twice, so that no file takes more
memory than its reader allows; follows no redirect and uses no proxy of the environment. Trusts the site for nothing.
"""

import asyncio
import time
import weakref
import zlib
from collections.abc import Awaitable, Iterator
from typing import TypeVar

import httpx

from agent_guard.errors import GuardError
from agent_guard.store.tiles.source import CHUNK

TIMEOUT = 10.0
DEADLINE = 60.0
"""Seconds."""

_GZIP = 16 + zlib.MAX_WBITS

Found = TypeVar("Found")


class Site:
    """A prefix of an HTTP server. For one thread at a time, on which no event loop runs."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.name = url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT, trust_env=False, transport=transport, headers={"accept-encoding": "gzip"}
        )
        # A loop of our own: only so can the whole of a file be given a deadline, from the connecting to the last byte.
        self._loop = asyncio.new_event_loop()
        self._forgotten = weakref.finalize(self, self._loop.close)

    def chunks(self, path: str) -> Iterator[bytes]:
        """See `Source`."""
        try:
            yield from self._pieces(path, time.monotonic() + DEADLINE)
        except TimeoutError as error:
            raise self._failed(path, f"not done after {DEADLINE:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError, zlib.error) as error:
            raise self._failed(path, str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Ends the connections."""
        if self._forgotten.alive:
            self._loop.run_until_complete(self._client.aclose())
            self._forgotten()

    def _pieces(self, path: str, deadline: float) -> Iterator[bytes]:
        request = self._client.build_request("GET", f"{self.name}/{path}")
        answer = self._within(deadline, self._client.send(request, stream=True))
        try:
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise FileNotFoundError(path)
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP status {answer.status_code}")
            raw = self._raw(answer, deadline)
            packed = answer.headers.get("content-encoding", "identity").strip().lower()
            if packed not in ("identity", "gzip"):
                raise ValueError(f"it is packed as {packed[:40]!a}, which was not asked for")
            yield from _unpacked(raw) if packed == "gzip" else raw
        finally:
            self._loop.run_until_complete(answer.aclose())

    def _raw(self, answer: httpx.Response, deadline: float) -> Iterator[bytes]:
        pieces = answer.aiter_raw()
        while piece := self._within(deadline, anext(pieces, b"")):
            yield piece

    def _within(self, deadline: float, step: Awaitable[Found]) -> Found:
        return self._loop.run_until_complete(_bounded(step, deadline - time.monotonic()))

    def _failed(self, path: str, why: str) -> GuardError:
        return GuardError(
            "AG543",
            f"{self.name}/{path} was not given: {why}.",
            "Check the address, and that it is the log's prefix (it ends before /checkpoint); then try again.",
        )


async def _bounded(step: Awaitable[Found], seconds: float) -> Found:
    async with asyncio.timeout(seconds):
        return await step


def _unpacked(raw: Iterator[bytes]) -> Iterator[bytes]:
    """What gzip holds, at most `CHUNK` bytes at once. `ValueError` if it is cut off or goes on after its end."""
    unpack = zlib.decompressobj(_GZIP)
    for piece in raw:
        rest = piece
        while rest and not unpack.eof:
            if data := unpack.decompress(rest, CHUNK):
                yield data
            rest = unpack.unconsumed_tail
        if unpack.unused_data or rest:
            raise ValueError("bytes follow what was packed")
    if not unpack.eof:
        raise ValueError("it ends within what was packed")
