"""Metrics of predicted numbers and of their prediction intervals."""

import numpy as np

from models.errors import TesseraError
from models.evaluation.metric import Metric, Resample, Weights
from models.training.model import Groups, Labels, Vector


class ExplainedAbsoluteError(Metric):
    """D² absolute error: the share of the best constant's absolute error that the predictions avoid.

    1 is perfect, 0 no better than the median of the labels, negative worse: `sklearn.metrics.d2_absolute_error_score`.
    On resamples the constant stays the median of all labels.
    """

    name, words = "d2_absolute_error", "D² (absolute error)"

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return D².

        Raises:
            TesseraError: all labels are equal.
        """
        del groups
        ours, constant = _errors(labels, predictions)
        return float(1 - ours.sum() / constant.sum())

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives D² of resamples."""
        del groups
        ours, constant = _errors(labels, predictions)

        def measure(weights: Weights) -> Vector:
            return 1 - (weights @ ours) / (weights @ constant)

        return measure

    def is_measurable(self, labels: Labels) -> bool:
        """At least 20 rows, and more than one value."""
        return labels.size >= 20 and bool((labels != labels[0]).any())


D2_ABSOLUTE_ERROR = ExplainedAbsoluteError()


def mean_absolute_error(labels: Labels, predictions: Vector) -> float:
    """Mean |prediction - label|, in the unit of the labels."""
    return float(np.abs(predictions - labels).mean())


def measure_numbers(labels: Labels, predictions: Vector) -> dict[str, float]:
    """D², mean absolute error, root mean squared error, mean error and means, in the unit of the labels.

    Raises:
        TesseraError: all labels are equal.
    """
    errors = predictions - labels
    return {
        D2_ABSOLUTE_ERROR.name: D2_ABSOLUTE_ERROR.value(labels, predictions, np.zeros(labels.size, dtype=np.int64)),
        "mae": mean_absolute_error(labels, predictions),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "bias": float(errors.mean()),
        "mean_label": float(labels.mean()),
        "mean_prediction": float(predictions.mean()),
    }


def measure_interval(labels: Labels, lower: Vector, upper: Vector) -> dict[str, float]:
    """Share of the labels that lie within the interval, ends included, and the interval's mean width."""
    within = (labels >= lower) & (labels <= upper)
    return {"coverage": float(within.mean()), "interval_width": float((upper - lower).mean())}


def _errors(labels: Labels, predictions: Vector) -> tuple[Vector, Vector]:
    constant = np.abs(labels - np.median(labels))
    if not constant.any():
        raise TesseraError(
            f"{labels.size} rows hold one label only.",
            expected="labels that differ",
            todo="Evaluate the model on more rows, or on another cut-off.",
        )
    return np.abs(labels - predictions).astype(np.float64), constant.astype(np.float64)
