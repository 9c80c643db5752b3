"""Distance of one distribution from another (population stability index), and rank correlation of two scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Rows added to each bin (Jeffreys): an empty bin has no logarithm, and in a small set it says little.
_ADDED_ROWS = 0.5
_BINS = 10


@dataclass(frozen=True)
class Shift:
    """Distance of one distribution from another.

    Attributes:
        psi: the index, 0 for equal distributions.
        by_chance: what 999 of 1000 equal populations stay below.
        p_value: share of equal populations of this size that move as far.
    """

    psi: float
    by_chance: float
    p_value: float = 1.0

    def above(self, limit: float) -> bool:
        """Return True if the index exceeds `limit` by more than chance, which is large in small sets."""
        return self.psi > limit + self.by_chance


def shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> Shift:
    """Return population stability index of `after` against `before`.

    Sum of (a - b) ln(a / b), a and b the shares of a bin.

    Chance: with equal populations of n and m rows in B bins, PSI / (1/n + 1/m) is chi-square distributed with B - 1
    degrees of freedom (Yurdakul and Naranjo, "Statistical properties of the population stability index", 2020).

    Args:
        before: rows in each bin, shape `(bins,)`.
        after: the same of the other set.
    """
    n, m = float(before.sum()), float(after.sum())
    if not n or not m:
        return Shift(0.0, 0.0)
    a, b = _shares(after), _shares(before)
    psi, scale, degrees = float(np.sum((a - b) * np.log(a / b))), 1 / n + 1 / m, len(before) - 1
    return Shift(psi, scale * _chi_square_999(degrees), _chi_square_tail(degrees, psi / scale))


def shift_of_scores(before: NDArray[np.float64], after: NDArray[np.float64]) -> Shift:
    """Return the shift of scores over the deciles of those before, e.g. of two models on the same rows."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1])) if before.size else np.empty(0)
    counts = [np.bincount(np.searchsorted(edges, one, "right"), minlength=edges.size + 1) for one in (before, after)]
    return shift(counts[0].astype(np.float64), counts[1].astype(np.float64))


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation, -1 to 1; NaN where either ranks nothing."""
    if np.unique(one).size < 2 or np.unique(other).size < 2:
        return float("nan")
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    filled = counts + _ADDED_ROWS
    return filled / filled.sum()


def _chi_square_999(degrees: int) -> float:
    """Return the 99.9 % quantile of the chi-square distribution; 0 without a degree of freedom."""
    from scipy.special import chdtri

    return float(chdtri(degrees, 0.001)) if degrees > 0 else 0.0


def _chi_square_tail(degrees: int, value: float) -> float:
    """Return the share of the chi-square distribution above `value`; 1 without a degree of freedom."""
    from scipy.special import chdtrc

    return float(chdtrc(degrees, value)) if degrees > 0 else 1.0
