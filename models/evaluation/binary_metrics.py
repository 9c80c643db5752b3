"""Metrics of probabilities of two classes that only look at their order: AUC and average precision."""

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.metric import Metric, Resample, Weights
from models.evaluation.metrics import auc, average_precision
from models.training.model import Groups, Labels, Vector

#: Rows that each class must have before an AUC of them means anything.
MIN_CLASS_ROWS = 20


class _TwoClasses(Metric):
    def is_measurable(self, labels: Labels) -> bool:
        positives = int(labels.sum())
        return min(positives, labels.size - positives) >= MIN_CLASS_ROWS


class Auc(_TwoClasses):
    """Area under the ROC curve: probability that a random positive scores above a random negative."""

    name, words = "auc", "AUC"

    def chance(self, labels: Labels, groups: Groups) -> float:
        """Return 0.5."""
        del labels, groups
        return 0.5

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the AUC.

        Raises:
            TesseraError: only one class is present.
        """
        del groups
        return auc(labels, predictions)

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the weighted AUC; scores are sorted once."""
        del groups
        return _Sorted(labels, predictions).aucs


class AveragePrecision(_TwoClasses):
    """Mean precision over the recalled positives."""

    name, words = "average_precision", "average precision"

    def chance(self, labels: Labels, groups: Groups) -> float:
        """Return the share of positives."""
        del groups
        return float(labels.mean())

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the average precision.

        Raises:
            TesseraError: only one class is present.
        """
        del groups
        return average_precision(labels, predictions)

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the weighted average precision; scores are sorted once."""
        del groups
        return _Sorted(labels, predictions).average_precisions


AUC = Auc()
AVERAGE_PRECISION = AveragePrecision()


class _Sorted:
    """One score, sorted once; equal scores are one block."""

    def __init__(self, labels: Labels, scores: Vector) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._positive = labels[self._order] == 1
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))

    def aucs(self, weights: Weights) -> Vector:
        """Weighted AUC under each row of `weights`, shape `(resamples,)`."""
        positive, negative = self._blocks(weights)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return np.einsum("ij,ij->i", positive, below) / pairs

    def average_precisions(self, weights: Weights) -> Vector:
        """Weighted average precision under each row of `weights`, shape `(resamples,)`."""
        positive, negative = (block[:, ::-1] for block in self._blocks(weights))
        found = np.cumsum(positive, axis=1)
        # A block without weight adds nothing; before the first one with weight, nothing is divided by nothing.
        seen = np.maximum(found + np.cumsum(negative, axis=1), 1.0)
        return np.einsum("ij,ij->i", positive, found / seen) / found[:, -1]

    def _blocks(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
                todo="Evaluate the model on more rows, or raise `min_class_rows` in stack.yaml.",
            )
        return positive, negative
