"""The Wilson score interval: what a count of events in few trials says of how often they happen.

Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
Statistical Association 22 (1927), 209-212. Unlike the usual one it is sound for 0 of n.
"""

from math import sqrt

Z95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""


def interval(events: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """The share's lower and upper bound, from 0 to 1; of no trials nothing is known. Raises ValueError for nonsense."""
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    share, z2 = events / trials, z * z
    middle = share + z2 / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
