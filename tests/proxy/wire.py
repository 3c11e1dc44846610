"""Bytes on a connection: HTTP by hand, as much as JSON-RPC clients need, and the ways to be slow or rude with it."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.proxy import garbage
from tests.proxy.behaviour import Behaviour

LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of a request: `raw` as they came, `headers` with names in lower case."""

    raw: bytes
    headers: Mapping[str, str]

    @property
    def upgrade(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. One without a `length` ends with its connection."""

    parts: Iterable[bytes]
    length: int | None = None
    status: int = 200
    headers: Mapping[str, str] | None = None

    def head(self) -> bytes:
        lines = {"content-type": "application/json", **(self.headers or {})}
        lines |= {"connection": "close"} if self.length is None else {"content-length": str(self.length)}
        phrase = HTTPStatus(self.status).phrase
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"HTTP/1.1 {self.status} {phrase}\r\n{text}\r\n".encode()


def response_to(answers: Any, behaviour: Behaviour) -> Response:
    """What is sent of these answers."""
    if (refusal := behaviour.refusal) is not None:
        return Response([refusal.body], len(refusal.body), refusal.status, refusal.headers)
    if behaviour.garbage is not None:
        parts = garbage.KINDS[behaviour.garbage](answers)
        return Response(parts, headers=garbage.headers(behaviour.garbage))
    body = json.dumps(answers).encode()
    return Response([body], len(body))


async def read_head(reader: asyncio.StreamReader) -> Head:
    raw = await reader.readuntil(b"\r\n\r\n")
    lines = (line.partition(":") for line in raw.decode("latin-1").split("\r\n")[1:] if line)
    return Head(raw, {name.strip().lower(): value.strip() for name, _, value in lines})


async def send(writer: asyncio.StreamWriter, response: Response, behaviour: Behaviour) -> None:
    parts = iter(response.parts)
    head, first = response.head(), next(parts, b"")
    if behaviour.drip:
        await trickle(writer, head, behaviour.drip if behaviour.drip_headers else 0.0)
        await trickle(writer, first, behaviour.drip)
    else:
        await trickle(writer, head + first, 0.0)  # in one packet
    for part in parts:
        await trickle(writer, part, behaviour.drip)


async def trickle(writer: asyncio.StreamWriter, data: bytes, pause: float) -> None:
    """Writes at once, or a byte at a time with a pause of so many seconds after each."""
    if not pause:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)  # drain alone lets nobody else run while the other side reads fast enough
        return
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(pause)


def cut(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset, as a machine does that knows nothing of it."""
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()
