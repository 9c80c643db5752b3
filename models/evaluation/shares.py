"""Intervals of shares."""

from math import sqrt
from statistics import NormalDist


def share_error(share: float, n: float) -> float:
    """Return the standard error of a share; of none or all cases that of one case more on the other side."""
    likely = (share * n + 1) / (n + 2)
    return sqrt(likely * (1 - likely) / max(n, 1))


def wilson_interval(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's two-sided interval of a share of `count` in `n`; 0 to 1 where `n` is 0 (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, damping = count / n, z * z / n
    centre = (share + damping / 2) / (1 + damping)
    half = z * sqrt(share * (1 - share) / n + damping / (4 * n)) / (1 + damping)
    return (centre - half if count else 0.0), (centre + half if count < n else 1.0)
