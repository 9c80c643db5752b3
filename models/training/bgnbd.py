"""The BG/NBD model of repeat purchases (Fader, Hardie and Lee 2005, Marketing Science 24(2), 275-284).

While a customer is active, purchases follow a Poisson process whose rate is drawn from a gamma distribution
`(r, alpha)`; after each purchase the customer drops out with a probability drawn from a beta distribution `(a, b)`.
Inputs per customer: `frequency` (repeat purchase days x), `recency` (days between first and last purchase, t_x) and
`age` (days since the first purchase, T).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import TesseraError
from models.training.calibration import sigmoid
from models.training.model import Vector

# scipy's functions are only partly typed.
# pyright: basic

#: Weight of the squared logarithms of the parameters: keeps them finite where the data do not determine one.
_PENALTY = 1e-3
_START = (0.6, 30.0, 0.5, 2.0)
#: Bounds of the logarithms of r, alpha, a and b. No shop comes near them; beyond, the series of eq. 10 overflows.
_BOUNDS = ((-7.0, 5.0), (-5.0, 10.0), (-7.0, 3.0), (-7.0, 3.0))
#: `a` is kept this far from 1, where the expectation is a limit.
_FROM_ONE = 1e-6


@dataclass(frozen=True)
class BgNbd:
    """Parameters of the two distributions, all above 0."""

    r: float
    alpha: float
    a: float
    b: float

    def probability_active(self, frequency: Vector, recency: Vector, age: Vector) -> Vector:
        """Probability that a customer has not dropped out yet; 1 without a repeat purchase (eq. 11 rearranged)."""
        return np.where(frequency > 0, sigmoid(-self._log_dropout_odds(frequency, recency, age)), 1.0)

    def probability_of_none(self, frequency: Vector, recency: Vector, age: Vector, days: float) -> Vector:
        """Probability of no purchase in the next `days`."""
        active = self.probability_active(frequency, recency, age)
        silent = ((self.alpha + age) / (self.alpha + age + days)) ** (self.r + frequency)
        return 1.0 - active * (1.0 - silent)

    def expected_purchases(self, frequency: Vector, recency: Vector, age: Vector, days: float) -> Vector:
        """Expected purchases in the next `days`, shape `(n,)`: eq. 10, its series after Euler's transformation.

        As it is printed the series overflows for customers with thousands of purchases; transformed it is of order 1.
        """
        from scipy.special import hyp2f1

        r, alpha, a, b, x = self.r, self.alpha, self.a, self.b, frequency
        a = a if abs(a - 1) > _FROM_ONE else 1 + _FROM_ONE
        z = days / (alpha + age + days)
        shrunk = (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, z)
        return (a + b + x - 1) / (a - 1) * (1 - shrunk) * self.probability_active(frequency, recency, age)

    def _log_dropout_odds(self, frequency: Vector, recency: Vector, age: Vector) -> Vector:
        grown = np.log(self.alpha + age) - np.log(self.alpha + recency)
        return np.log(self.a) - np.log(self.b + np.maximum(frequency, 1) - 1) + (self.r + frequency) * grown


def fit_bgnbd(frequency: Vector, recency: Vector, age: Vector) -> BgNbd:
    """Fit by penalised maximum likelihood (eq. 6); the same data give the same parameters.

    Raises:
        TesseraError: the likelihood has no finite maximum on these customers.
    """
    from scipy.optimize import minimize

    counts, inverse = np.unique(frequency, return_inverse=True)

    def loss(logs: Vector) -> tuple[float, Vector]:
        value, slope = _mean_log_likelihood(np.exp(logs), counts, inverse, recency, age)
        return -value + _PENALTY * float(logs @ logs), -slope * np.exp(logs) + 2 * _PENALTY * logs

    found = minimize(loss, np.log(_START), jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    if not np.isfinite(found.fun):
        raise TesseraError(
            f"BG/NBD cannot be fitted to {frequency.size} customers.",
            expected="customers with finite recency and age, some with repeat purchases",
            todo="Leave `bgnbd` out of the candidates, or give the model more history.",
        )
    return BgNbd(*(float(value) for value in np.exp(found.x)))


def _mean_log_likelihood(
    parameters: Vector, counts: Vector, inverse: np.ndarray, recency: Vector, age: Vector
) -> tuple[float, Vector]:
    """Mean log-likelihood of customers with `counts[inverse]` repeat purchases, and its slope by each parameter."""
    from scipy.special import digamma, gammaln

    r, alpha, a, b = parameters
    x = counts[inverse]
    rates = gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
    drops = gammaln(a + b) + gammaln(b + counts) - gammaln(b) - gammaln(a + b + counts)
    log_age, log_recency = np.log(alpha + age), np.log(alpha + recency)
    still = -(r + x) * log_age
    gone = (np.log(a) - np.log(b + np.maximum(counts, 1) - 1))[inverse] - (r + x) * log_recency
    either = np.where(x > 0, np.logaddexp(still, gone), still)
    left = np.exp(np.where(x > 0, gone - either, -np.inf))
    value = np.mean((rates + drops)[inverse] + either)
    both = digamma(a + b) - digamma(a + b + counts)
    slope = (
        (digamma(r + counts) - digamma(r) + np.log(alpha))[inverse] - (1 - left) * log_age - left * log_recency,
        r / alpha - (r + x) * ((1 - left) / (alpha + age) + left / (alpha + recency)),
        both[inverse] + left / a,
        (both + digamma(b + counts) - digamma(b))[inverse] - left / (b + np.maximum(x, 1) - 1),
    )
    return float(value), np.array([part.mean() for part in slope])
