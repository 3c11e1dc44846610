"""The Wilson score interval against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.drill.wilson import interval

pytestmark = pytest.mark.unit

# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), 857-872,
# table I, method 3: the score method without continuity correction.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("events", "trials", "low", "high"), PUBLISHED)
def test_the_interval_is_the_published_one(events: int, trials: int, low: float, high: float) -> None:
    assert interval(events, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_share_and_stays_between_0_and_1(events: int, trials: int) -> None:
    events = min(events, trials)
    low, high = interval(events, trials)
    assert 0 <= low <= events / trials + 1e-12
    assert events / trials - 1e-12 <= high <= 1
    assert (1 - high, 1 - low) == pytest.approx(interval(trials - events, trials), abs=1e-12)


@given(st.integers(1, 200))
def test_no_event_in_more_trials_says_more(trials: int) -> None:
    assert interval(0, trials + 1)[1] < interval(0, trials)[1]


def test_no_trials_say_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("events", "trials"), [(2, 1), (-1, 1), (0, -1)])
def test_nonsense_is_refused(events: int, trials: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        interval(events, trials)
