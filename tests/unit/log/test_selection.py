"""Which entries a list shows: one agent's, between two places, of some kinds, the newest of them."""

from typing import Any

import pytest

from agent_guard.entry import Kind
from agent_guard.log.recorder import Recorder
from agent_guard.log.selection import select
from agent_guard.store import Store
from agent_guard.typed_data import agent_id

pytestmark = pytest.mark.unit
A = agent_id("a")


@pytest.mark.parametrize(
    ("count", "bounds", "shown", "more"),
    [
        (3, {}, [14, 16, 18], True),
        (10, {}, list(range(0, 20, 2)), False),
        (9, {}, list(range(2, 20, 2)), True),
        (10, {"first": 5, "last": 12}, [6, 8, 10, 12], False),
        (2, {"first": 5, "last": 12}, [10, 12], True),
        (10, {"last": 0}, [0], False),
        (10, {"first": 19}, [], False),
        (10, {"first": 12, "last": 5}, [], False),
        (10, {"kinds": [Kind.FREEZE]}, [0, 6, 12, 18], False),
        (2, {"kinds": [Kind.FREEZE]}, [12, 18], True),
        (10, {"kinds": [Kind.FREEZE, Kind.INTENT], "first": 7, "last": 12}, [8, 10, 12], False),
        (10, {"kinds": [Kind.DEATH]}, [], False),
    ],
)
def test_selection_is_the_newest_that_fit(
    store: Store, recorder: Recorder, count: int, bounds: dict[str, Any], shown: list[int], more: bool
) -> None:
    for number in range(20):
        recorder.append("ab"[number % 2], "freeze" if number % 3 == 0 else "intent", {"n": number}).result()
    with store.reader() as reader:
        found, truncated = select(reader, count, A, **bounds)
    assert [item.entry.index for item in found] == shown
    assert truncated is more
