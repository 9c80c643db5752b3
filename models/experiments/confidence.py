"""Confidence sequences: intervals that hold at all times together, so that they may be looked at every day.

Asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit
theory and asymptotic confidence sequences", Annals of Statistics 52(6), arXiv 2103.06476, theorem 2.2: with t
observations of standard deviation s, the mean lies at all t within

    s * sqrt(2 (t r^2 + 1) / (t^2 r^2) * log(sqrt(t r^2 + 1) / alpha))

of the sample mean with probability 1 - alpha. `r` chooses the t at which this is narrowest (their equation 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval
from models.training.model import Vector


@dataclass(frozen=True)
class Sample:
    """A sample by its first two moments.

    Attributes:
        n: number of units.
        mean: over the units.
        variance: of a unit, divided by n - 1.
    """

    n: int
    mean: float
    variance: float

    def scaled(self, by: float) -> Sample:
        """Return the sample with each value multiplied."""
        return Sample(self.n, self.mean * by, self.variance * by * by)


def sample_of(values: Vector) -> Sample:
    """Return the moments of values, shape `(n,)`; of fewer than two the variance is infinite."""
    if values.size < 2:
        return Sample(values.size, float(values.mean()) if values.size else 0.0, inf)
    return Sample(values.size, float(values.mean()), float(values.var(ddof=1)))


@dataclass(frozen=True)
class Sequence:
    """Boundary of a confidence sequence.

    Attributes:
        alpha: chance that an interval ever misses, over all looks.
        narrowest_at: number of observations at which the intervals are narrowest.
    """

    alpha: float
    narrowest_at: int

    @property
    def _rho_squared(self) -> float:
        from scipy.special import lambertw

        return float(-lambertw(-(self.alpha**2) * exp(-1), -1).real - 1) / self.narrowest_at

    def factor(self, n: int) -> float:
        """Return the half width of the interval after n observations, in standard errors of the estimate."""
        spread = n * self._rho_squared
        return sqrt(2 * (spread + 1) / spread * log(sqrt(spread + 1) / self.alpha))

    def interval(self, value: float, error: float, n: int) -> Interval:
        """Return the interval of an estimate.

        Args:
            value: the estimate after `n` observations.
            error: its standard error.
            n: number of observations, at least 1.
        """
        half = self.factor(n) * error
        return Interval(value, value - half, value + half)

    def p_value(self, value: float, error: float, n: int) -> float:
        """Return the always-valid p-value of the mean 0: smallest `alpha` whose interval at n does not hold 0."""
        if error == 0:
            return 1.0 if value == 0 else 0.0
        spread = n * self._rho_squared
        return min(1.0, sqrt(spread + 1) * exp(-((value / error) ** 2) * spread / (2 * (spread + 1))))


def difference(treated: Sample, control: Sample) -> tuple[float, float]:
    """Return the difference of two means and its standard error (Welch)."""
    error = sqrt(treated.variance / treated.n + control.variance / control.n) if treated.n and control.n else inf
    return treated.mean - control.mean, error


def adjusted(values: Vector, covariates: NDArray[np.float64]) -> Vector:
    """Return values less what covariates from before the experiment explain of them, shape `(n,)`.

    CUPED of Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data", WSDM: y - theta (x - mean of x), theta by least squares over all variants together
    (of one covariate cov(x, y) / var(x)). The mean over all units stays. Covariates that do not vary change nothing.

    Args:
        values: of the units, shape `(n,)`.
        covariates: of the same units, shape `(n,)` or `(n, number of covariates)`.
    """
    if not values.size:
        return values
    columns = covariates.reshape(values.size, -1)
    centred = columns - columns.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    usable = centred[:, scale > 0] / scale[scale > 0]
    if not usable.size:
        return values
    theta = np.linalg.lstsq(usable, values - values.mean(), rcond=None)[0]
    return values - usable @ theta


def variance_left(values: Vector, after: Vector) -> float:
    """Return the share of the variance that an adjustment leaves, 0 to 1; 1 where there was none."""
    before = float(np.var(values)) if values.size else 0.0
    return float(np.var(after)) / before if before > 0 else 1.0
