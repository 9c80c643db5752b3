"""Metrics of probabilities of several classes; labels are the numbers of the classes, `0..n_classes-1`."""

import numpy as np

from models.evaluation.metric import Metric, Resample, Weights
from models.training.model import Groups, Labels, Vector


class Accuracy(Metric):
    """Share of rows whose most probable class is the right one."""

    name, words = "accuracy", "accuracy"

    def chance(self, labels: Labels, groups: Groups) -> float:
        """Return the share of the most frequent class."""
        del groups
        return float(np.bincount(labels).max() / labels.size)

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the accuracy."""
        del groups
        return float((predictions.argmax(axis=1) == labels).mean())

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the accuracy of resamples."""
        del groups
        right = (predictions.argmax(axis=1) == labels).astype(np.float64)

        def measure(weights: Weights) -> Vector:
            return weights @ right / weights.sum(axis=1)

        return measure

    def is_measurable(self, labels: Labels) -> bool:
        """At least 20 rows."""
        return labels.size >= 20


class MacroF1(Accuracy):
    """Mean over the classes of F1, the harmonic mean of precision and recall; classes without any row are left out."""

    name, words = "macro_f1", "macro-F1"

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the macro-F1."""
        return float(self.resample(labels, predictions, groups)(np.ones((1, labels.size)))[0])

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the macro-F1 of resamples."""
        del groups
        chosen, classes = predictions.argmax(axis=1), np.arange(predictions.shape[1])
        actual, guessed = (np.equal.outer(of, classes).astype(np.float64) for of in (labels, chosen))

        def measure(weights: Weights) -> Vector:
            hits, support, guesses = weights @ (actual * guessed), weights @ actual, weights @ guessed
            counted = support + guesses
            f1 = np.divide(2 * hits, counted, out=np.zeros_like(hits), where=counted > 0)
            return f1.sum(axis=1) / np.maximum((counted > 0).sum(axis=1), 1)

        return measure


ACCURACY = Accuracy()
MACRO_F1 = MacroF1()


def measure_classes(labels: Labels, probabilities: Vector) -> dict[str, float]:
    """Macro-F1, accuracy, log loss (nats) and the calibration error of the most probable class."""
    everybody = np.zeros(labels.size, dtype=np.int64)
    chosen = np.clip(probabilities[np.arange(labels.size), labels.astype(np.int64)], 1e-15, 1.0)
    return {
        MACRO_F1.name: MACRO_F1.value(labels, probabilities, everybody),
        ACCURACY.name: ACCURACY.value(labels, probabilities, everybody),
        "log_loss": float(-np.log(chosen).mean()),
        "confidence_gap": float(probabilities.max(axis=1).mean() - ACCURACY.value(labels, probabilities, everybody)),
    }
