"""Gradient-boosted trees by scikit-learn's histogram booster: a second opinion on XGBoost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from models.errors import TesseraError
from models.training.calibration import Platt, fit_platt
from models.training.cross_validation import grouped_folds
from models.training.model import Fit, Groups, Labels, Matrix, Vector
from models.training.skops_files import read_skops, write_skops

# scikit-learn has no static types.
# pyright: basic

_FILE = "model.skops"


class HistogramModel:
    """A calibrated histogram booster; it learns for each split which way missing values go."""

    kind = "hist_gradient_boosting"
    explains = False

    def __init__(self, booster: HistGradientBoostingClassifier, platt: Platt) -> None:
        self._booster = booster
        self._platt = platt

    def raw(self, rows: Matrix) -> Vector:
        """Log-odds before calibration, shape `(n_rows,)`."""
        return self._booster.decision_function(rows)

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`."""
        return self._platt(self.raw(rows))

    def contributions(self, rows: Matrix) -> Matrix:  # noqa: ARG002 - the interface has it
        """Never anything.

        Raises:
            TesseraError: always; scikit-learn offers no exact contributions for this model.
        """
        raise TesseraError(
            f"A model of kind {self.kind!r} cannot say what each feature contributes.",
            expected="'xgboost' or 'logistic_regression'",
            todo="Name one of them as `trainer` in stack.yaml, or switch reasons off.",
        )

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Return the calibration (JSON), after the booster is saved in `folder` as skops."""
        write_skops(self._booster, folder / _FILE)
        return {"slope": self._platt.slope, "intercept": self._platt.intercept}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> "HistogramModel":
        """Return the model that `save` described.

        Raises:
            TesseraError: the file holds anything but such a booster, or trees that point outside themselves.
        """
        booster = read_skops(folder / _FILE)
        if not isinstance(booster, HistGradientBoostingClassifier):
            raise TesseraError(
                f"{folder / _FILE} holds a {type(booster).__name__}.",
                expected="a HistGradientBoostingClassifier",
                todo="Train again.",
            )
        _check_trees(booster, folder / _FILE)
        return cls(booster, Platt(float(saved["slope"]), float(saved["intercept"])))


def fit_histogram(
    rows: Matrix, labels: Labels, groups: Groups, *, parameters: Mapping[str, Any], folds: int, seed: int
) -> Fit:
    """Return a histogram booster on all rows, calibrated on out-of-fold scores.

    Args:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: 0 or 1, shape `(n,)`.
        groups: entity of each row.
        parameters: of `HistGradientBoostingClassifier`, as it spells them.
        folds: number of cross-validation folds.
        seed: of the folds and of the booster.
    """
    held_out = grouped_folds(labels, groups, k=folds, seed=seed)
    raw = np.empty(labels.size, dtype=np.float64)
    for k in range(folds):
        test = held_out == k
        raw[test] = _booster(rows[~test], labels[~test], parameters, seed).decision_function(rows[test])
    platt = fit_platt(raw, labels)
    booster = _booster(rows, labels, parameters, seed)
    return Fit(HistogramModel(booster, platt), platt(raw), held_out, {"rounds": str(booster.n_iter_)})


def _booster(rows: Matrix, labels: Labels, parameters: Mapping[str, Any], seed: int) -> HistGradientBoostingClassifier:
    never_known = np.isnan(rows).all(axis=0)
    if never_known.any():  # scikit-learn 1.9 finds no bin for a column without any value
        rows = np.where(never_known, np.float32(0), rows)
    fixed: dict[str, Any] = {**parameters, "early_stopping": False, "random_state": seed}
    return HistGradientBoostingClassifier(**fixed).fit(rows, labels)


def _check_trees(booster: HistGradientBoostingClassifier, file: Path) -> None:
    """scikit-learn follows the indices in a tree unchecked: a crafted file could read outside its memory."""
    features = booster.n_features_in_
    for predictor in (tree for trees in cast(Any, booster)._predictors for tree in trees):
        nodes = predictor.nodes
        inner = nodes[nodes["is_leaf"] == 0]
        own = np.flatnonzero(nodes["is_leaf"] == 0)
        children = np.stack([inner["left"], inner["right"]])
        sound = (children > own).all() and (children < len(nodes)).all() and (inner["feature_idx"] < features).all()
        if not sound or inner["is_categorical"].any():
            raise TesseraError(
                f"{file} holds a tree that points outside itself.",
                expected="a whole file",
                todo="Do not load it. Make an earlier version champion with `tessera rollback`.",
            )
