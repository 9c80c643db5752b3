"""Intervals: equal to the slow way, as wide as they should be, the same every time."""

from collections.abc import Callable

import numpy as np
import pytest

from models.errors import TesseraError
from models.evaluation.binary_metrics import AUC, AVERAGE_PRECISION
from models.evaluation.bootstrap import Resampling, interval, resampled
from models.evaluation.metric import Metric
from models.evaluation.metrics import auc, average_precision
from models.training.calibration import sigmoid
from models.training.model import Groups, Labels, Vector

MANY = Resampling(n=400, seed=1, confidence=0.9)


def world(n: int, seed: int, rows_each: int = 1) -> tuple[Labels, Groups, Vector]:
    rng = np.random.default_rng(seed)
    strength = np.repeat(rng.normal(size=n), rows_each)
    labels = np.repeat(rng.random(n), rows_each) < sigmoid(strength)
    return labels.astype(np.int8), np.repeat(np.arange(n), rows_each), strength


@pytest.mark.parametrize(("metric", "plain"), [(AUC, auc), (AVERAGE_PRECISION, average_precision)])
def test_each_resample_is_the_metric_of_repeated_rows(metric: Metric, plain: Callable[[Labels, Vector], float]) -> None:
    labels, groups, scores = world(60, 2, rows_each=3)
    scores = np.round(scores, 1)
    few = Resampling(n=25, seed=9, confidence=0.9)
    rng = np.random.default_rng(9)
    drawn = rng.integers(0, 60, (25, 60))
    slow = []
    for entities in drawn:
        rows = np.concatenate([np.flatnonzero(groups == e) for e in entities])
        slow.append(plain(labels[rows], scores[rows]))
    assert resampled(metric, labels, groups, {"m": scores}, few)["m"] == pytest.approx(slow, abs=1e-12)


def test_deviation_agrees_with_hanley_and_mcneil() -> None:
    """Hanley and McNeil (1982), Radiology 143: the standard error of an AUC from its size and the class counts."""
    labels, groups, scores = world(800, 3)
    area = auc(labels, scores)
    p, n = int(labels.sum()), int((1 - labels).sum())
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    expected = np.sqrt((area * (1 - area) + (p - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (p * n))
    assert resampled(AUC, labels, groups, {"m": scores}, MANY)["m"].std() == pytest.approx(expected, rel=0.12)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    labels, _, scores = world(200_000, 4)
    truth = auc(labels, scores)
    hits = 0
    for seed in range(200):
        labels, groups, scores = world(250, 1000 + seed)
        drawn = resampled(AUC, labels, groups, {"m": scores}, Resampling(n=200, seed=seed, confidence=0.9))["m"]
        found = interval(auc(labels, scores), drawn, 0.9)
        hits += found.low <= truth <= found.high
    assert 0.83 <= hits / 200 <= 0.96


def test_paired_differences_are_sharper_than_their_parts() -> None:
    labels, groups, scores = world(500, 5)
    nearly = scores + 0.1 * np.random.default_rng(6).normal(size=500)
    drawn = resampled(AUC, labels, groups, {"a": scores, "b": nearly}, MANY)
    assert (drawn["a"] - drawn["b"]).std() < drawn["a"].std() / 3


def test_rows_of_one_entity_are_not_taken_for_independent() -> None:
    labels, groups, scores = world(200, 7, rows_each=8)
    alone = resampled(AUC, labels, np.arange(labels.size), {"m": scores}, MANY)["m"].std()
    together = resampled(AUC, labels, groups, {"m": scores}, MANY)["m"].std()
    assert together == pytest.approx(alone * np.sqrt(8), rel=0.25)


def test_the_same_seed_gives_the_same_numbers_alone_or_with_others() -> None:
    labels, groups, scores = world(100, 8)
    alone = resampled(AUC, labels, groups, {"a": scores}, MANY)["a"]
    both = resampled(AUC, labels, groups, {"b": -scores, "a": scores}, MANY)
    assert np.array_equal(alone, both["a"])
    assert both["b"] == pytest.approx(1 - alone)


def test_a_resample_of_one_class_is_an_error_not_a_number() -> None:
    labels = np.array([1, 0, 0, 0, 0], np.int8)
    with pytest.raises(TesseraError, match="one class only"):
        resampled(AUC, labels, np.arange(5), {"m": np.arange(5.0)}, MANY)
