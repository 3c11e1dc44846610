"""How many entries an operator's log had on chain when something else happened there: by the places of events."""

from collections.abc import Iterable, Iterator, Sequence

from agent_guard.chain.history import Event


def place(event: Event) -> tuple[int, int]:
    """Where an event stands on the chain: its block, and its place in that."""
    return event.block_number, event.log_index


class SizesAt:
    """The size of a log at each of some `places`, once its anchors (`Extended`) have passed by; all are in order."""

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        self._places = places
        self._sizes: list[int] = []
        self._size = 0

    def watch(self, extensions: Iterable[Event]) -> Iterator[Event]:
        """The same events, seen in passing."""
        for event in extensions:
            while len(self._sizes) < len(self._places) and self._places[len(self._sizes)] < place(event):
                self._sizes.append(self._size)
            self._size = event.arguments["newSize"]
            yield event

    def __iter__(self) -> Iterator[int]:
        yield from self._sizes
        for _ in self._places[len(self._sizes) :]:
            yield self._size
