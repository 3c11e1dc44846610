"""A site that serves a tiled log over HTTP.

Guarantees: waits no longer than `TIMEOUT` between two bytes and `DEADLINE` for a file; follows no redirect and uses no
proxy of the environment. Trusts the site for nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from agent_guard.errors import GuardError
from agent_guard.store.tiles.source import CHUNK

TIMEOUT = 10.0
DEADLINE = 60.0
"""Seconds."""


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
