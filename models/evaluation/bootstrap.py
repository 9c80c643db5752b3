"""Bootstrap intervals of metrics by resampling entities."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.metrics import Metric
from models.training.model import Groups, Labels, Vector

#: Weights of this many resamples times rows are held in memory at once (float64: 16 MB).
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A number and its two-sided percentile interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Resampling:
    """Settings of the bootstrap: `n` resamples with `seed`; intervals cover `confidence`."""

    n: int
    seed: int
    confidence: float


def resampled(
    metric: Metric, labels: Labels, groups: Groups, scores: Mapping[str, Vector], resampling: Resampling
) -> dict[str, Vector]:
    """Return metric of each score on each resample of entities, shape `(n,)`; resample i is the same for every score.

    Each score is sorted once: a resample only changes how often a row counts.

    Raises:
        TesseraError: some resample has one class only.
    """
    sorted_scores = {name: _Ranking(labels, values) for name, values in scores.items()}
    parts: dict[str, list[Vector]] = {name: [] for name in scores}
    for weights in _weights(groups, resampling):
        for name, ranking in sorted_scores.items():
            parts[name].append(ranking.aucs(weights) if metric == "auc" else ranking.average_precisions(weights))
    return {name: np.concatenate(values) for name, values in parts.items()}


def interval(value: float, resampled: Vector, confidence: float) -> Interval:
    """`value` with the percentile interval of its resampled values (Efron and Tibshirani 1993, ch. 13)."""
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


class _Ranking:
    """One score, sorted once; equal scores are one block."""

    def __init__(self, labels: Labels, scores: Vector) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._positive = labels[self._order] == 1
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))

    def aucs(self, weights: NDArray[np.float64]) -> Vector:
        """Weighted AUC under each row of `weights`, shape `(resamples,)`."""
        positive, negative = self._blocks(weights)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return np.einsum("ij,ij->i", positive, below) / pairs

    def average_precisions(self, weights: NDArray[np.float64]) -> Vector:
        """Weighted average precision under each row of `weights`, shape `(resamples,)`."""
        positive, negative = (block[:, ::-1] for block in self._blocks(weights))
        found = np.cumsum(positive, axis=1)
        # A block without weight adds nothing; before the first one with weight, nothing is divided by nothing.
        seen = np.maximum(found + np.cumsum(negative, axis=1), 1.0)
        return np.einsum("ij,ij->i", positive, found / seen) / found[:, -1]

    def _blocks(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of positives and of negatives of each block of equal scores, ascending."""
        ordered = weights[:, self._order]
        positive = np.where(self._positive, ordered, 0.0)
        negative = ordered - positive
        if self._starts.size < self._order.size:
            positive = np.add.reduceat(positive, self._starts, axis=1)
            negative = np.add.reduceat(negative, self._starts, axis=1)
        if not (positive.sum(axis=1) * negative.sum(axis=1)).all():
            raise TesseraError(
                f"A resample of {self._order.size} rows holds one class only.",
                expected="enough entities of both classes",
                todo="Judge the model on more rows, or raise `min_class_rows` in stack.yaml.",
            )
        return positive, negative


def _weights(groups: Groups, resampling: Resampling) -> Iterator[NDArray[np.float64]]:
    """Yield the count of each row in each resample, some resamples at a time, shape `(resamples, n_rows)`."""
    codes, inverse = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(resampling.seed)
    size = max(1, _CHUNK // max(1, inverse.size))
    for start in range(0, resampling.n, size):
        count = min(size, resampling.n - start)
        drawn = rng.integers(0, codes.size, (count, codes.size)) + codes.size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * codes.size).reshape(count, codes.size)
        yield times[:, inverse].astype(np.float64)
