"""The host's end of a connection from the machine.

Guarantees: one question at a time, answered in bounded time and size or not at all; an answer has one of the shapes
below. Trusts nothing that comes: a connection that answers late or out of shape is closed and never used again.
"""

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError

from agent_guard.resistance import inside
from agent_guard.sandbox.processes import Process, read_process

Shape = TypeVar("Shape", bound=BaseModel)


class GoneError(Exception):
    """Whoever was asked is not there any more, or does not answer as it should."""


class Answer(BaseModel):
    """What the session or the notifier says. `errno` and `text`: the operation failed so; `late`: it was cut off."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: int | None = None
    late: bool = False
    stdout: Base64Bytes = b""
    stderr: Base64Bytes = b""
    content: Base64Bytes = b""
    too_large: bool = False
    errno: int | None = None
    text: str = ""


class Greeting(BaseModel):
    """The first word on a connection."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: str


@dataclass(slots=True, eq=False)
class Channel:
    """A connection and the process that opened it, as the kernel named it at that moment (unix(7), SO_PEERCRED)."""

    connection: socket.socket
    peer: Process | None
    open: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, connection: socket.socket) -> "Channel":
        """The channel over a connection just accepted."""
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return cls(connection, read_process(struct.unpack("3i", credentials)[0]))

    def greet(self, timeout: float) -> str:
        """The role that the other end gives itself. Raises GoneError."""
        return self._receive(Greeting, 4096, timeout).role

    def ask(self, question: dict[str, Any], timeout: float) -> Answer:
        """The answer. Raises GoneError: none came within `timeout` seconds, or none that makes sense."""
        with self._lock:
            if not self.open:
                raise GoneError("it is gone")
            self.say(question, timeout)
            return self._receive(Answer, inside.FRAME_LIMIT, timeout)

    def say(self, message: dict[str, Any], timeout: float) -> None:
        """Send without waiting for an answer. Raises GoneError."""
        try:
            self.connection.settimeout(timeout)
            inside.send(self.connection, message)
        except OSError as error:
            self.close()
            raise GoneError(str(error)) from error

    def close(self) -> None:
        """End it, also under a thread that waits for an answer."""
        self.open = False
        with suppress(OSError):  # the other end was faster
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def _receive(self, shape: type[Shape], limit: int, timeout: float) -> Shape:
        try:
            data = inside.receive(self.connection, limit, time.monotonic() + timeout)
            if data is not None:
                return shape.model_validate_json(data)
            why = "it ended the connection"
        except (OSError, ValidationError) as error:
            why = type(error).__name__
        self.close()
        raise GoneError(why)
