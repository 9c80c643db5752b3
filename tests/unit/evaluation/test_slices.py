"""A model on parts of the hold-out."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.binary_metrics import AUC
from models.evaluation.bootstrap import Resampling
from models.evaluation.metrics import auc
from models.evaluation.slices import compare_slices
from models.training.dataset import Dataset

RESAMPLING = Resampling(n=200, seed=1, confidence=0.9)


def held(labels: NDArray[np.int8], slices: Mapping[str, NDArray[np.object_]]) -> Dataset:
    n = labels.size
    moments = np.full(n, "2025-06-01", dtype="datetime64[us]")
    return Dataset(np.zeros((n, 1), np.float32), labels, np.arange(n), np.arange(n).astype(object), moments, slices)


def test_every_part_has_its_own_numbers_in_reading_order() -> None:
    rng = np.random.default_rng(1)
    n = 600
    labels = rng.integers(0, 2, n).astype(np.int8)
    good, poor = labels * 0.5 + rng.random(n) * 0.5, rng.random(n)
    parts = np.array(["> 9", "3 to 9", "<= 3", "(missing)"], dtype=object)[np.arange(n) % 4]
    parts[:5] = "(rare)"
    found = compare_slices(held(labels, {"orders": parts}), good, poor, AUC, RESAMPLING)
    assert [result.part for result in found] == ["<= 3", "3 to 9", "> 9", "(missing)", "(rare)"]
    assert sum(result.rows for result in found) == n
    top = found[2]
    mask = parts == "> 9"
    assert top.value == auc(labels[mask], good[mask])
    assert top.reference == auc(labels[mask], poor[mask])
    assert top.rate == pytest.approx(labels[mask].mean())
    assert top.predicted == pytest.approx(good[mask].mean())
    assert top.difference is not None
    assert top.difference.low < top.difference.value < top.difference.high
    assert found[4].value is None


def test_a_part_of_one_class_is_listed_without_an_auc() -> None:
    labels = np.repeat([0, 1], 50).astype(np.int8)
    parts = np.where(labels == 1, "a", "b").astype(object)
    found = compare_slices(held(labels, {"x": parts}), labels * 1.0, labels * 1.0, AUC, RESAMPLING)
    assert [(r.part, r.rows, r.value, r.difference) for r in found] == [("a", 50, None, None), ("b", 50, None, None)]
