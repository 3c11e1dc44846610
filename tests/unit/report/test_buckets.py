"""Counts per span of time: bounded, and none lost, whatever times come in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.report.buckets import MOST, Buckets

pytestmark = pytest.mark.unit


@given(st.lists(st.integers(0, 2**53 // 1000), min_size=1, max_size=300))
def test_any_times_in_any_order_are_all_counted_in_a_bounded_number_of_spans(seconds: list[int]) -> None:
    buckets = Buckets()
    for second in seconds:
        buckets.at(second).actions += 1
    assert sum(bucket.actions for _, bucket in buckets) == len(seconds)
    assert len(list(buckets)) <= MOST
    starts = [start for start, _ in buckets]
    assert starts == sorted(starts)
    assert all(start % buckets.width == 0 for start in starts)
    for second in seconds:
        assert second - second % buckets.width in starts


def test_what_fits_into_seconds_is_counted_by_seconds() -> None:
    buckets = Buckets()
    for second in range(1_000, 1_000 + MOST):
        buckets.at(second).actions += 1
    assert buckets.width == 1
    buckets.at(1_000 + MOST).refusals += 1
    assert buckets.width == 5
