"""Wilson's interval: known values, the edges, and what any interval has to be."""

from math import isclose, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.wilson import Z95, interval

pytestmark = pytest.mark.unit

KNOWN = {
    (0, 10): (0.0, 0.27753),
    (10, 10): (0.72247, 1.0),
    (5, 10): (0.23659, 0.76341),
    (1, 10): (0.01787, 0.40415),
    (7, 100): (0.03432, 0.13749),
    (79, 100): (0.70020, 0.85834),
}


@pytest.mark.parametrize(("counts", "bounds"), KNOWN.items())
def test_the_interval_of_known_counts_is_the_known_one(
    counts: tuple[int, int], bounds: tuple[float, float]
) -> None:
    low, high = interval(*counts)
    assert isclose(low, bounds[0], abs_tol=5e-5)
    assert isclose(high, bounds[1], abs_tol=5e-5)


def test_without_trials_nothing_is_known() -> None:
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("counts", [(-1, 10), (11, 10), (0, -1), (1, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="trials"):
        interval(*counts)


counts = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_the_interval_lies_in_0_to_1_and_holds_the_observed_rate(pair: tuple[int, int]) -> None:
    low, high = interval(*pair)
    assert 0 <= low <= pair[0] / pair[1] <= high <= 1
    assert low < high


@given(counts)
def test_failures_mirror_successes(pair: tuple[int, int]) -> None:
    (low, high), (other_low, other_high) = interval(*pair), interval(pair[1] - pair[0], pair[1])
    assert isclose(low, 1 - other_high, abs_tol=1e-12)
    assert isclose(high, 1 - other_low, abs_tol=1e-12)


@given(counts, st.integers(2, 50))
def test_more_trials_at_the_same_rate_narrow_it(pair: tuple[int, int], times: int) -> None:
    (low, high), (closer_low, closer_high) = interval(*pair), interval(pair[0] * times, pair[1] * times)
    assert closer_high - closer_low < high - low


@given(counts)
def test_the_observed_rate_lies_z_standard_errors_from_either_bound(pair: tuple[int, int]) -> None:
    """Wilson's definition: the bounds are the true rates that make the observed one just so unlikely."""
    successes, trials = pair
    for bound in interval(*pair):
        assert isclose(
            abs(successes / trials - bound),
            Z95 * sqrt(bound * (1 - bound) / trials),
            abs_tol=1e-9,
            rel_tol=1e-6,
        )
