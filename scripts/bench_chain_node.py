"""A node that is far away: a real one behind a loopback port that takes its time and counts what it was asked.

Guarantees: adds the same time to every request, answers each over its own connection at once with the others, and
passes on what the real node says byte for byte (but for the times in logs, if told to).
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit


class FarNode(http.server.ThreadingHTTPServer):
    """Stands before the node at `upstream`. `calls` counts requests by method.

    `tells_times`: whether logs bear the times of their blocks, as the real node's do.
    """

    daemon_threads = True

    def __init__(self, upstream: str, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.seconds = urlsplit(upstream), seconds
        self.calls: Counter[str] = Counter()
        self.tells_times = True
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FarNode

    def setup(self) -> None:
        super().setup()
        self._behind = HTTPConnection(self.server.upstream.hostname or "", self.server.upstream.port)

    def finish(self) -> None:
        self._behind.close()
        super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        method = json.loads(body)["method"]
        with self.server.counting:
            self.server.calls[method] += 1
        time.sleep(self.server.seconds)
        self._behind.request("POST", "/", body, {"content-type": "application/json"})
        answer = self._behind.getresponse().read()
        if method == "eth_getLogs" and not self.server.tells_times:
            answer = answer.replace(b'"blockTimestamp"', b'"unknown"')
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def far_node(upstream: str, seconds: float) -> Iterator[FarNode]:
    """A node in service for as long as the block lasts."""
    node = FarNode(upstream, seconds)
    threading.Thread(target=node.serve_forever, daemon=True).start()
    try:
        yield node
    finally:
        node.shutdown()
        node.server_close()
