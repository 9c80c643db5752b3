"""Choosing among candidates, and the control that shows whether evaluation itself is honest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.metrics import auc
from models.tasks.binary import BINARY
from models.training.calibration import Platt
from models.training.candidates import (
    Candidate,
    Estimate,
    choose,
    exchanged_labels,
    fit_candidates,
    shuffled_control,
)
from models.training.cross_validation import grouped_folds
from models.training.dataset import Dataset
from models.training.model import Fit, Groups, Labels, Matrix
from models.training.xgboost_model import XGBoostModel
from resources.trainer.logistic_regression import LogisticRegressionTrainer, LogisticRegressionTrainerConfig
from resources.trainer.xgboost import XGBoostTrainerConfig


def candidate(name: str, aucs: Sequence[float]) -> Candidate:
    values = np.array(aucs)
    estimate = Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))
    nothing: Any = None
    return Candidate(name, nothing, {}, {"auc": values}, {"auc": estimate})


def test_the_simpler_one_is_chosen_when_the_better_one_may_be_luck() -> None:
    line = candidate("logistic_regression", [0.80, 0.78, 0.82, 0.79, 0.81])
    lucky = candidate("xgboost", [0.83, 0.77, 0.82, 0.78, 0.83])
    assert choose([line, lucky], "auc") is line


def test_a_small_lead_in_every_fold_is_no_luck() -> None:
    line = candidate("logistic_regression", [0.70, 0.80, 0.75, 0.85, 0.65])
    steady = candidate("xgboost", [0.71, 0.81, 0.76, 0.86, 0.66])
    assert choose([line, steady], "auc") is steady


def test_of_equal_candidates_the_first_is_chosen_whatever_its_kind() -> None:
    same = [0.8, 0.7, 0.9]
    chosen = choose(
        [candidate("mine", same), candidate("hist_gradient_boosting", same), candidate("xgboost", same)], "auc"
    )
    assert chosen.name == "mine"


def world(entities: int = 120, rows_each: int = 6, seed: int = 1) -> Dataset:
    """Rows of an entity are alike, so that an entity can be recognised; half of them are positive for good."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(entities), rows_each)
    rows = (rng.normal(size=(entities, 4))[groups] + 0.01 * rng.normal(size=(groups.size, 4))).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(np.int8)
    keys = np.array([f"c{g}" for g in groups], dtype=object)
    return Dataset(rows, labels, groups, keys, np.full(groups.size, np.datetime64("2025-01-01", "us")), {})


def test_candidates_come_in_the_order_of_their_trainers_with_numbers_of_every_fold() -> None:
    trainers = [LogisticRegressionTrainerConfig().open(), XGBoostTrainerConfig(max_rounds=20).open()]
    found = fit_candidates(trainers, world(), BINARY)
    assert [c.name for c in found] == ["logistic_regression", "xgboost"]
    for c in found:
        assert c.folds["auc"].shape == (5,)
        assert c.cross_validated["auc"].mean == pytest.approx(c.folds["auc"].mean())
        assert c.cross_validated.keys() == {"auc", "average_precision", "log_loss"}
    assert found[1].parameters["tree_method"] == "hist"
    assert int(found[1].parameters["rounds"]) <= 20


def test_trainers_with_other_folds_are_compared_on_the_same_rows() -> None:
    line = LogisticRegressionTrainerConfig(folds=3).open()
    alone = line.fit(world().rows, world().labels, world().groups)
    found = fit_candidates([line, XGBoostTrainerConfig(max_rounds=20, folds=2, seed=1).open()], world(), BINARY)
    assert [c.folds["auc"].shape for c in found] == [(3,), (3,)]
    for c in found:
        held = [auc(world().labels[alone.folds == k], c.fit.out_of_fold[alone.folds == k]) for k in range(3)]
        assert c.folds["auc"].tolist() == held
    assert choose(found, "auc") in found


def test_two_trainers_of_one_kind_are_two_candidates() -> None:
    trainers = [LogisticRegressionTrainerConfig(inverse_penalty=c).open() for c in (3.0, 0.1)]
    found = fit_candidates(trainers, world(), BINARY)
    assert [(one.name, one.parameters["C"]) for one in found] == [
        ("logistic_regression", "3.0"),
        ("logistic_regression-2", "0.1"),
    ]


class SplittingTrainer(LogisticRegressionTrainer):
    """A real XGBoost trainer whose folds pay no heed to entities: the mistake the control is for."""

    name = "splitting"

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        return XGBoostTrainerConfig(max_rounds=60).open().fit(rows, labels, np.arange(labels.size))


def test_the_control_is_near_one_half_for_honest_folds_and_far_for_folds_that_split_entities() -> None:
    honest = shuffled_control(XGBoostTrainerConfig(max_rounds=60).open(), world(), BINARY)
    assert honest.z < 4
    split = shuffled_control(SplittingTrainer(LogisticRegressionTrainerConfig()), world(), BINARY)
    assert split.value > 0.8
    assert split.z > 6


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_exchanged_labels_stay_together(sizes: list[int], seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    own = np.random.default_rng(seed + 1).integers(0, 2, len(sizes)).astype(np.int8)
    exchanged = exchanged_labels(own[groups], groups, seed=seed)
    per_group = [set(exchanged[groups == g]) for g in range(len(sizes))]
    assert all(len(values) == 1 for values in per_group)
    assert sorted(v for values in per_group for v in values) == sorted(own.tolist())


@given(st.integers(10, 60), st.integers(2, 5), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_folds_keep_entities_whole_and_classes_even(entities: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(entities), rng.integers(1, 4, entities)))
    labels = (groups % 2).astype(np.int8)
    folds = grouped_folds(labels, groups, k=k, seed=seed)
    assert set(folds.tolist()) == set(range(k))
    assert all(np.unique(folds[groups == g]).size == 1 for g in range(entities))
    sizes = [np.unique(groups[folds == fold]).size for fold in range(k)]
    assert max(sizes) - min(sizes) <= 1
    assert all(0 < labels[folds == fold].mean() < 1 for fold in range(k))


def test_the_sign_of_a_contribution_is_that_of_its_effect() -> None:
    data = world()
    fit = XGBoostTrainerConfig(max_rounds=30).open().fit(data.rows, data.labels, data.groups)
    assert isinstance(fit.model, XGBoostModel)
    assert auc(data.labels, fit.model.contributions(data.rows)[:, 0].astype(np.float64)) > 0.99
    assert Platt(1.0, 0.0)(0.0) == 0.5
