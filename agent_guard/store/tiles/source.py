"""Where the files of a tiled log come from: a folder, or a site that serves them.

Guarantees: reads no more of a file than the caller allows, and waits for a site no longer than `TIMEOUT` between two
bytes and `DEADLINE` for a file. Trusts neither.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from agent_guard.errors import GuardError

CHUNK = 1 << 16
TIMEOUT = 10.0
DEADLINE = 60.0
"""Seconds."""


class Source(Protocol):
    """Files by their path below the log's prefix."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file's bytes, piece by piece. Raises `FileNotFoundError` if there is none, AG510 or AG543 if it fails."""


class Folder:
    """A folder of this host."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    def chunks(self, path: str) -> Iterator[bytes]:
        """See `Source`."""
        try:
            with (self._root / path).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error
        except OSError as error:
            raise GuardError(
                "AG510",
                f"{self._root / path} can't be read ({error.strerror}).",
                "Check that this user may read the folder.",
            ) from error


class Site:
    """A prefix of an HTTP server. Redirects are not followed."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.name = url.rstrip("/")
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False, transport=transport)

    def chunks(self, path: str) -> Iterator[bytes]:
        """See `Source`."""
        deadline = time.monotonic() + DEADLINE
        with self._answers(path) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise FileNotFoundError(path)
            if answer.status_code != httpx.codes.OK:
                raise self._failed(path, f"HTTP status {answer.status_code}")
            for chunk in answer.iter_bytes(CHUNK):
                if time.monotonic() > deadline:
                    raise self._failed(path, f"not done after {DEADLINE:g} s")
                yield chunk

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    @contextmanager
    def _answers(self, path: str) -> Iterator[httpx.Response]:
        try:
            with self._client.stream("GET", f"{self.name}/{path}") as answer:
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed(path, str(error) or type(error).__name__) from error

    def _failed(self, path: str, why: str) -> GuardError:
        return GuardError(
            "AG543",
            f"{self.name}/{path} was not given: {why}.",
            "Check the address, and that it is the log's prefix (it ends before /checkpoint); then try again.",
        )


def read(source: Source, path: str, most: int) -> bytes:
    """A whole file. Raises AG515 if it is longer than `most` bytes, and what `chunks` raises."""
    data = bytearray()
    for chunk in source.chunks(path):
        data += chunk
        if len(data) > most:
            raise damaged(source, path, f"it is longer than {most} bytes")
    return bytes(data)


def damaged(source: Source, path: str, why: str) -> GuardError:
    """A file that no log has."""
    return GuardError(
        "AG515",
        f"{source.name}/{path} is no file of a log: {why}.",
        "Keep it as evidence; get the log from its guard or from another mirror, and compare: agent-guard audit",
    )
