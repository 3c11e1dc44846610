"""What the test has said that the node shall do, and what the node was asked: all that both threads touch."""

import asyncio
import threading
from collections import Counter, deque
from typing import Any

from tests.proxy.behaviour import Behaviour, Hook

REMEMBERED = 10_000


class Script:
    """Written by the test's thread and read by the proxy's, except for the counts, where it is the other way round."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.hooks: dict[str, Hook] = {}
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._requests = 0
        self._calls: Counter[str] = Counter()
        self._asked: deque[tuple[str, Any]] = deque(maxlen=REMEMBERED)

    def record(self, calls: list[tuple[str, Any]]) -> None:
        """One HTTP request or WebSocket message, and the calls in it."""
        with self._lock:
            self._requests += 1
            self._calls.update(method for method, _ in calls)
            self._asked.extend(calls)

    def forget(self) -> None:
        with self._lock:
            self._requests = 0
            self._calls.clear()
            self._asked.clear()

    def counts(self) -> tuple[int, Counter[str], list[tuple[str, Any]]]:
        with self._lock:
            return self._requests, self._calls.copy(), list(self._asked)

    async def passage(self) -> None:
        """Returns when the node does not hang."""
        while self.behaviour.hung:  # noqa: ASYNC110 - set by another thread, which an asyncio.Event does not bear
            await asyncio.sleep(0.01)
