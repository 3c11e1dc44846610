"""The Wilson score interval: what a count of successes says about the rate behind it.

Guarantees: bounds in [0, 1] that hold the observed rate, also for no success, only successes, and no trial at all.
Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
Statistical Association 22 (1927), 209-212. Pure.
"""

from math import sqrt

Z95 = 1.959963984540054
"""The standard normal's 97.5 % quantile: two-sided 95 %."""


def interval(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Lower and upper bound of the success rate; without trials nothing is known: (0, 1).

    Raises ValueError if the counts are impossible.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    rate, spread = successes / trials, z * z / trials
    centre = (rate + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == trials else centre + reach
    return low, high
