"""Ranks with ties, by which AUC and Spearman's correlation are computed."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def mid_ranks(values: Vector) -> Vector:
    """Return ranks from 1, shape `(n,)`; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
