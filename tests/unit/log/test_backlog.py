"""What waits for an anchor: due by count, by age, at once for the critical; and in which steps it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.log.backlog import AnchorPolicy, Backlog, Step

pytestmark = pytest.mark.unit
POLICY = AnchorPolicy(entries=100, seconds=10.0, leaves=4)
AT_ONCE = float("-inf")


def empty() -> Backlog:
    return Backlog(POLICY, size=0, anchored=0, oldest=0.0)


def test_nothing_waits_in_an_anchored_log() -> None:
    assert (empty().due_at(), empty().lag(5.0), empty().steps()) == (None, (0, 0.0), [])


@pytest.mark.parametrize(("size", "due"), [(99, 17.0), (100, AT_ONCE), (101, AT_ONCE)])
def test_count_makes_it_due_exactly_at_the_limit(size: int, due: float) -> None:
    backlog = empty()
    backlog.grew(size, None, 7.0)
    assert backlog.due_at() == due


def test_age_counts_from_the_oldest_that_waits() -> None:
    backlog = empty()
    backlog.grew(1, None, 7.0)
    backlog.grew(2, None, 9.0)
    assert (backlog.due_at(), backlog.lag(12.5)) == (17.0, (2, 5.5))
    backlog.stands_at(1, 13.0)
    assert (backlog.due_at(), backlog.lag(12.5)) == (19.0, (1, 3.5))


def test_burst_of_entries_counts_as_one_time_and_never_as_younger() -> None:
    backlog = empty()
    for number in range(1, 50):
        backlog.grew(number, None, 7.0 + number / 1000)
    assert len(backlog._waiting) == 1
    assert backlog.due_at() == 7.001 + 10


def test_critical_entry_is_due_at_once_until_it_is_anchored() -> None:
    backlog = empty()
    backlog.grew(3, 2, 7.0)
    backlog.grew(4, None, 7.5)
    assert backlog.due_at() == AT_ONCE
    backlog.stands_at(2, 8.0)
    assert backlog.due_at() == AT_ONCE
    backlog.stands_at(3, 8.0)
    assert backlog.due_at() == 17.5


def test_undone_anchor_makes_its_entries_due_again_at_once() -> None:
    backlog = Backlog(POLICY, size=50, anchored=50, oldest=0.0)
    backlog.stands_at(20, 100.0)
    due = backlog.due_at()
    assert due is not None
    assert due <= 100.0
    assert backlog.lag(100.0)[0] == 30
    assert backlog.steps() == [Step(50, by_leaves=False)]


@pytest.mark.parametrize(
    ("start", "size", "critical", "steps"),
    [
        (0, 50, None, [Step(50, False)]),
        (0, 4, 3, [Step(4, True)]),
        (0, 5, 4, [Step(4, False), Step(5, True)]),
        (0, 50, 10, [Step(10, False), Step(14, True), Step(50, False)]),
        (10, 50, 10, [Step(14, True), Step(50, False)]),
        (0, 50, 0, [Step(4, True), Step(50, False)]),
    ],
)
def test_critical_leaf_stands_in_calldata_and_a_larger_backlog_goes_by_range(
    start: int, size: int, critical: int | None, steps: list[Step]
) -> None:
    backlog = Backlog(POLICY, size=start, anchored=start, oldest=0.0)
    backlog.grew(size, critical, 0.0)
    assert backlog.steps() == steps


@given(
    start=st.integers(0, 300),
    more=st.integers(1, 300),
    critical=st.none() | st.integers(0, 299),
    leaves=st.integers(1, 9),
)
def test_steps_rise_to_the_end_and_carry_the_critical_leaf(
    start: int, more: int, critical: int | None, leaves: int
) -> None:
    backlog = Backlog(AnchorPolicy(leaves=leaves), size=start, anchored=start, oldest=0.0)
    critical = None if critical is None else start + critical % more
    backlog.grew(start + more, critical, 0.0)
    before, carried = start, False
    for step in backlog.steps():
        assert step.size > before
        assert not step.by_leaves or step.size - before <= leaves
        carried |= step.by_leaves and critical is not None and before <= critical < step.size
        before = step.size
    assert before == start + more
    assert carried == (critical is not None)
