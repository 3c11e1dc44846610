"""The size of a log when something else happened on the chain."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent_guard.chain.history import Event
from agent_guard.wiring.appointing import SizesAt

pytestmark = pytest.mark.unit


def extended(block: int, place: int, size: int) -> Event:
    made: Any = SimpleNamespace(block_number=block, log_index=place, arguments={"newSize": size})
    return cast(Event, made)


ANCHORS = [extended(5, 0, 3), extended(7, 2, 8), extended(7, 5, 9), extended(20, 0, 30)]


@pytest.mark.parametrize(
    ("places", "sizes"),
    [
        ([], []),
        ([(4, 9), (5, 1), (6, 0)], [0, 3, 3]),
        ([(7, 1), (7, 3), (7, 6)], [3, 8, 9]),  # in one block, by the order in it
        ([(1, 0), (1, 1), (30, 0), (30, 1)], [0, 0, 30, 30]),
    ],
)
def test_the_size_is_that_of_the_last_anchor_before(places: list[tuple[int, int]], sizes: list[int]) -> None:
    sized = SizesAt(places)
    assert list(sized.watch(ANCHORS)) == ANCHORS
    assert list(sized) == sizes


def test_a_log_that_was_never_anchored_had_no_entries() -> None:
    sized = SizesAt([(1, 0), (2, 0)])
    assert list(sized.watch([])) == []
    assert list(sized) == [0, 0]
