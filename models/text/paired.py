"""Paired comparison of two classifiers on the same texts."""

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval

Flags = NDArray[np.bool_]


def share_interval(right: Flags, *, n: int = 10_000, seed: int = 0) -> Interval:
    """Return the share of true flags with its 95 % bootstrap interval over rows."""
    drawn = np.random.default_rng(seed).binomial(right.size, right.mean(), n) / right.size
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(right.mean()), float(low), float(high))


def paired_difference(first: Flags, second: Flags, *, n: int = 10_000, seed: int = 0) -> Interval:
    """Return the accuracy of the first minus that of the second, with its paired 95 % bootstrap interval.

    Drawing rows is drawing counts: a row says that only the first is right, only the second, or that both are alike.
    """
    only_first, only_second = (first & ~second).mean(), (second & ~first).mean()
    alike = max(0.0, 1 - only_first - only_second)
    counts = np.random.default_rng(seed).multinomial(first.size, [only_first, only_second, alike], n)
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / first.size, [0.025, 0.975])
    return Interval(float(only_first - only_second), float(low), float(high))
