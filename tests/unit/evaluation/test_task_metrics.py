"""Metrics of numbers, classes and rankings against scikit-learn's, on the rows and on resamples of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, d2_absolute_error_score, f1_score, log_loss, ndcg_score

from models.errors import TesseraError
from models.evaluation.bootstrap import Resampling, resampled
from models.evaluation.metric import Metric
from models.evaluation.multiclass_metrics import ACCURACY, MACRO_F1, measure_classes
from models.evaluation.ranking_metrics import NDCG_AT_10
from models.evaluation.regression_metrics import D2_ABSOLUTE_ERROR, measure_interval, measure_numbers

RNG = np.random.default_rng(3)
ROWS = 240
ENTITIES = np.repeat(np.arange(ROWS // 6), 6)
CLASSES = RNG.integers(0, 4, ROWS)
PROBABILITIES = RNG.dirichlet(np.ones(4), ROWS) + 0.6 * np.eye(4)[CLASSES]
PROBABILITIES /= PROBABILITIES.sum(axis=1, keepdims=True)
NUMBERS = RNG.poisson(5, ROWS).astype(np.float64)
PREDICTED = NUMBERS + RNG.normal(size=ROWS) * 2
RELEVANCE = RNG.integers(0, 3, ROWS).astype(np.int8)
RELEVANCE[:6] = 0


def _ndcg(labels: Any, scores: Any, groups: Any) -> float:
    found = [
        ndcg_score([labels[groups == g]], [scores[groups == g]], k=10)
        for g in np.unique(groups)
        if labels[groups == g].any()
    ]
    return float(np.mean(found))


METRICS: dict[str, tuple[Metric, Any, Any, Callable[[Any, Any, Any], float]]] = {
    "accuracy": (ACCURACY, CLASSES, PROBABILITIES, lambda y, p, _: accuracy_score(y, p.argmax(axis=1))),
    "macro-F1": (MACRO_F1, CLASSES, PROBABILITIES, lambda y, p, _: f1_score(y, p.argmax(axis=1), average="macro")),
    "D2": (D2_ABSOLUTE_ERROR, NUMBERS, PREDICTED, lambda y, p, _: d2_absolute_error_score(y, p)),
    "NDCG": (NDCG_AT_10, RELEVANCE, RNG.normal(size=ROWS) + RELEVANCE, _ndcg),
}


@pytest.mark.parametrize("name", METRICS)
def test_the_value_is_scikit_learns(name: str) -> None:
    metric, labels, predictions, reference = METRICS[name]
    assert metric.value(labels, predictions, ENTITIES) == pytest.approx(reference(labels, predictions, ENTITIES))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", "macro-F1", "NDCG"])
def test_a_resample_is_the_metric_of_repeated_entities(name: str) -> None:
    metric, labels, predictions, reference = METRICS[name]
    few = Resampling(n=20, seed=5, confidence=0.9)
    drawn = resampled(metric, labels, ENTITIES, {"m": predictions}, few)["m"]
    rng, codes = np.random.default_rng(5), np.unique(ENTITIES)
    chosen = rng.integers(0, codes.size, (20, codes.size)) + codes.size * np.arange(20)[:, None]
    for value, entities in zip(drawn, chosen % codes.size, strict=True):
        rows = np.concatenate([np.flatnonzero(entity == ENTITIES) for entity in entities])
        again = np.repeat(np.arange(entities.size), 6)
        assert value == pytest.approx(reference(labels[rows], predictions[rows], again))


def test_numbers_and_intervals_are_measured_in_the_unit_of_the_labels() -> None:
    labels, predictions = np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0])
    found = measure_numbers(labels, predictions)
    assert (found["mae"], found["bias"], found["mean_label"]) == (1.0, pytest.approx(-1 / 3), 2.0)
    assert found["d2_absolute_error"] == pytest.approx(0.25)
    assert measure_interval(labels, predictions - 1, predictions + 1) == {
        "coverage": pytest.approx(2 / 3),
        "interval_width": 2.0,
    }


def test_the_log_loss_of_classes_is_scikit_learns() -> None:
    assert measure_classes(CLASSES, PROBABILITIES)["log_loss"] == pytest.approx(log_loss(CLASSES, PROBABILITIES))


def test_labels_that_are_all_equal_have_no_explained_error() -> None:
    with pytest.raises(TesseraError, match="one label only"):
        D2_ABSOLUTE_ERROR.value(np.ones(30), np.ones(30), np.arange(30))
