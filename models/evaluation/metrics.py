"""Ranking and calibration metrics of probabilities; numpy only, so that no library is loaded to evaluate a model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.mid_ranks import mid_ranks
from models.training.calibration import log_odds, logistic_line
from models.training.model import Groups, Labels, Vector

_CLIP = 1e-15


def auc(labels: Labels, scores: Vector) -> float:
    """Probability that a random positive scores above a random negative, ties counted half (Mann-Whitney).

    Raises:
        TesseraError: only one class is present.
    """
    _check_two_classes(labels)
    ranks = mid_ranks(scores)
    positives = int(labels.sum())
    negatives = labels.size - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(labels: Labels, scores: Vector) -> float:
    """Mean precision over the recalled positives, equal scores taken together (as scikit-learn defines it).

    Raises:
        TesseraError: only one class is present.
    """
    _check_two_classes(labels)
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), labels.size - 1)
    found = np.cumsum(labels[order], dtype=np.float64)[last_of_tie]
    return float(np.sum(np.diff(found, prepend=0.0) * found / (last_of_tie + 1)) / found[-1])


def log_loss(labels: Labels, probabilities: Vector) -> float:
    """Mean negative log-likelihood in nats; probabilities are kept 1e-15 away from 0 and 1."""
    p = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


def brier(labels: Labels, probabilities: Vector) -> float:
    """Mean squared distance of probability and label."""
    return float(np.mean((probabilities - labels) ** 2))


def precision_at(labels: Labels, scores: Vector, k: int) -> float:
    """Share of positives among the `k` highest scores (all rows, if there are fewer); ties by row order."""
    top = np.argsort(-scores, kind="stable")[:k]
    return float(labels[top].mean())


def entity_precision_at(labels: Labels, scores: Vector, groups: Groups, days: NDArray[np.datetime64], k: int) -> float:
    """Mean over the days of the share of frauds among the `k` entities with the highest score of the day.

    An entity that was found on a day is left out of the days after it: a blocked card pays no more. This is card
    precision@k of Le Borgne et al. (2022), Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.

    Args:
        labels: shape `(n,)`.
        scores: shape `(n,)`.
        groups: number of each row's entity.
        days: day of each row.
        k: entities that can be looked at in a day.
    """
    found: set[int] = set()
    shares: list[float] = []
    for day in np.unique(days):
        rows = np.flatnonzero((days == day) & ~np.isin(groups, list(found)))
        entities, inverse = np.unique(groups[rows], return_inverse=True)
        highest, positive = np.full(entities.size, -np.inf), np.zeros(entities.size, dtype=np.int8)
        np.maximum.at(highest, inverse, scores[rows])
        np.maximum.at(positive, inverse, labels[rows])
        top = np.argsort(-highest, kind="stable")[:k]
        hits = entities[top][positive[top] == 1]
        shares.append(hits.size / k)
        found.update(hits.tolist())
    return float(np.mean(shares))


@dataclass(frozen=True)
class Reliability:
    """Mean probability against observed rate in bins of (nearly) equal numbers of rows, ascending.

    Attributes:
        predicted: mean probability of each bin.
        observed: share of positives of each bin.
        counts: rows of each bin.
        ece: expected calibration error, the mean of |predicted - observed| weighted by rows.
        chance: the `ece` that perfectly calibrated probabilities would show on as many rows.
    """

    predicted: Vector
    observed: Vector
    counts: NDArray[np.int64]
    ece: float
    chance: float


def reliability(labels: Labels, probabilities: Vector, *, bins: int = 10) -> Reliability:
    """Calibration in equal-mass bins. `chance` is exact for normal bin means: `sqrt(2/pi) * standard deviation`."""
    order = np.argsort(probabilities, kind="stable")
    pieces = [piece for piece in np.array_split(order, bins) if piece.size]
    predicted = np.array([probabilities[piece].mean() for piece in pieces])
    observed = np.array([labels[piece].mean() for piece in pieces])
    counts = np.array([piece.size for piece in pieces])
    variances = np.array([np.mean(probabilities[piece] * (1 - probabilities[piece])) for piece in pieces]) / counts
    weights = counts / counts.sum()
    return Reliability(
        predicted=predicted,
        observed=observed,
        counts=counts,
        ece=float(weights @ np.abs(predicted - observed)),
        chance=float(weights @ np.sqrt(2 / np.pi * variances)),
    )


def calibration_line(labels: Labels, probabilities: Vector) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the labels on the log-odds; (1, 0) is perfect."""
    return logistic_line(log_odds(probabilities), labels)


def measure(labels: Labels, probabilities: Vector, *, top: int = 100) -> dict[str, float]:
    """All of the above by name, for a table or a registry.

    Raises:
        TesseraError: only one class is present.
    """
    slope, intercept = calibration_line(labels, probabilities)
    return {
        "auc": auc(labels, probabilities),
        "average_precision": average_precision(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "brier": brier(labels, probabilities),
        "ece": reliability(labels, probabilities).ece,
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_gap": float(probabilities.mean() - labels.mean()),
        "precision_at_top": precision_at(labels, probabilities, top),
        "positive_share": float(labels.mean()),
    }


def _check_two_classes(labels: Labels) -> None:
    if not 0 < int(labels.sum()) < labels.size:
        raise TesseraError(
            f"{labels.size} rows hold {int(labels.sum())} positive labels.",
            expected="rows of both classes",
            todo="Evaluate the model on more rows, or on another cut-off.",
        )
