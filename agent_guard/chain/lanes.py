"""Several reads of a node at once, each over a connection of its own, their results in the order asked for.

Guarantees: never more than `count` reads are under way, and never more than twice as many are ahead of whoever takes
the results, so that memory does not grow with what is read. A node that never ends its answer holds up nobody but who
waits for that answer, and not the process's end: the threads are daemons, as an executor's are not.

web3 keeps a session, and with it an open connection, for each thread and URL, so no two reads ever share one.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

LANES = 8
"""Half of what one endpoint of a quorum may owe (`quorum.OWED`): the slower of them is not taken for silent."""


class Lanes:
    """`count` threads that read; with one, there are none, and whoever takes the results reads. A context manager."""

    def __init__(self, count: int = LANES) -> None:
        self.count = count
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()

    def __enter__(self) -> "Lanes":
        if self.count > 1:
            for number in range(self.count):
                threading.Thread(target=self._work, name=f"lane {number}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(self.count):
            self._asked.put(None)

    def map(self, read: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
        """What `read` gives for each item, in order. Raises what it raised for one, in that one's place."""
        if self.count == 1:
            yield from map(read, items)
            return
        ahead: deque[Future[Found]] = deque()
        try:
            for item in items:
                if len(ahead) == 2 * self.count:
                    yield ahead.popleft().result()
                ahead.append(self._ask(read, item))
            while ahead:
                yield ahead.popleft().result()
        finally:
            for unwanted in ahead:
                unwanted.cancel()

    def _ask(self, read: Callable[[Item], Found], item: Item) -> "Future[Found]":
        found: Future[Found] = Future()
        self._asked.put((found, lambda: read(item)))
        return found

    def _work(self) -> None:
        while asked := self._asked.get():
            found, read = asked
            if not found.set_running_or_notify_cancel():
                continue
            try:
                found.set_result(read())
            except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
                found.set_exception(error)
