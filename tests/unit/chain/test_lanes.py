"""Reads side by side: in order, never more than were asked for, and an error in its own place."""

import threading
from collections.abc import Iterator

import pytest

from agent_guard.chain.lanes import Lanes

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("count", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    with Lanes(count) as lanes:
        assert list(lanes.map(lambda number: number * 2, range(100))) == [number * 2 for number in range(100)]


def test_never_more_reads_than_lanes_are_under_way_and_all_lanes_are_used() -> None:
    together, under_way, most, lock = threading.Barrier(3, timeout=10), 0, 0, threading.Lock()

    def read(number: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait()  # goes on only when three are there
        with lock:
            under_way -= 1

    with Lanes(3) as lanes:
        list(lanes.map(read, range(12)))
    assert most == 3


def test_items_are_taken_no_further_ahead_than_twice_the_lanes() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield taken

    with Lanes(3) as lanes:
        results = lanes.map(lambda number: number, items())
        for wanted in range(1, 6):
            assert next(results) == wanted
            assert taken <= wanted + 6
        results.close()  # type: ignore[attr-defined]
    assert taken < 20


@pytest.mark.parametrize("count", [1, 4])
def test_what_a_read_raises_is_raised_in_its_place(count: int) -> None:
    def read(number: int) -> int:
        if number >= 5:
            raise ValueError(f"number {number}")
        return number

    with Lanes(count) as lanes:
        results = lanes.map(read, range(100))
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ValueError, match="number 5"):
            next(results)


def test_single_lane_reads_in_the_callers_own_thread() -> None:
    with Lanes(1) as lanes:
        (thread,) = lanes.map(lambda _: threading.get_ident(), [0])
    assert thread == threading.get_ident()


def test_lanes_end_with_their_block() -> None:
    with Lanes(4) as lanes:
        threads = set(lanes.map(lambda _: threading.current_thread(), range(50)))
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
