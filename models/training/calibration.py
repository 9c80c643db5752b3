"""Turning a model's log-odds into probabilities that mean what they say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.training.model import Labels, Vector

#: A slope below this is taken for noise; it keeps the map strictly increasing.
_MIN_SLOPE = 1e-2
_MAX_STEPS = 100
_TOLERANCE = 1e-10


def sigmoid(log_odds: ArrayLike) -> Vector:
    """`1 / (1 + exp(-x))`, without overflow at either end."""
    x = np.asarray(log_odds, dtype=np.float64)
    if x.shape == (1,):
        return np.array([_sigmoid_of(x.item())])
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _sigmoid_of(one: float) -> float:
    """Take the same steps for one number, of which only `exp` is not that of Python to the bit."""
    tiny = float(np.exp(-abs(one)))
    return (1.0 if one >= 0 else tiny) / (1.0 + tiny)


def log_odds(probability: ArrayLike) -> Vector:
    """`log(p / (1 - p))`, the inverse of `sigmoid`; p is kept 1e-15 away from 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), 1e-15, 1 - 1e-15)
    return np.log(p) - np.log1p(-p)


@dataclass(frozen=True)
class Platt:
    """`probability = sigmoid(slope * raw + intercept)`, slope > 0."""

    slope: float
    intercept: float

    def __call__(self, raw: ArrayLike) -> Vector:
        """Calibrated probabilities of raw log-odds, same shape."""
        x = np.asarray(raw, dtype=np.float64)
        if x.shape == (1,):  # calls of numpy cost more than the steps
            return np.array([_sigmoid_of(self.slope * x.item() + self.intercept)])
        return sigmoid(self.slope * x + self.intercept)


def fit_platt(raw: Vector, labels: Labels) -> Platt:
    """Return the maximum-likelihood `Platt` map of out-of-fold log-odds.

    Targets are smoothed as in Platt (1999), *Probabilistic outputs for support vector machines*, eq. 2.2.6, so that
    perfectly separated scores still give finite probabilities. A score that ranks no better than chance gets the
    smallest slope, so all probabilities are close to the base rate.
    """
    slope, intercept = _newton(raw, _smoothed(labels))
    if slope < _MIN_SLOPE:
        slope = _MIN_SLOPE
        intercept = float(log_odds(labels.mean())) - slope * float(raw.mean())
    return Platt(slope, intercept)


def logistic_line(x: Vector, labels: Labels) -> tuple[float, float]:
    """Slope and intercept of the unsmoothed logistic regression of `labels` on one column."""
    return _newton(x, labels.astype(np.float64))


def _smoothed(labels: Labels) -> Vector:
    positives = int(labels.sum())
    negatives = labels.size - positives
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _newton(x: Vector, target: Vector) -> tuple[float, float]:
    """Damped Newton steps on the log loss of `sigmoid(a x + b)`; x is standardised first for a well-posed system."""
    center, scale = float(x.mean()), float(x.std()) or 1.0
    z = np.column_stack([(x - center) / scale, np.ones_like(x)])
    weights = np.array([0.0, float(log_odds(target.mean()))])
    loss = _log_loss(z @ weights, target)
    for _ in range(_MAX_STEPS):
        p = sigmoid(z @ weights)
        hessian = z.T @ (z * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, z.T @ (p - target))
        while (new := _log_loss(z @ (weights - step), target)) > loss and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        weights, improved, loss = weights - step, loss - new, new
        if improved < _TOLERANCE:
            break
    slope = float(weights[0]) / scale
    return slope, float(weights[1]) - slope * center


def _log_loss(log_odds_: Vector, target: Vector) -> float:
    return float(np.mean(np.logaddexp(0.0, log_odds_) - target * log_odds_))
