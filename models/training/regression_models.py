"""Models of numbers with prediction intervals: boosted trees by XGBoost, and ridge regression as their baseline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import TesseraError
from models.training.cross_validation import dealt_groups
from models.training.imputation import fit_imputed
from models.training.intervals import Intervals, Target, fit_intervals, on_scale
from models.training.model import Fit, Groups, Labels, Matrix, Vector
from models.training.skops_files import read_skops, write_skops
from models.training.xgboost_model import BOOSTER_FILE, Boosting, cross_validate, read_booster

# xgboost and scikit-learn have hardly any static types.
# pyright: basic

_FILE = "model.skops"
#: Parts of the predictions' range that have intervals of their own.
_PARTS = 10


class NumberModel:
    """Base of models of numbers: predictions and intervals follow from the value on the model's own scale."""

    kind: str
    _intervals: Intervals

    def raw(self, rows: Matrix) -> Vector:
        """Return the prediction on the model's own scale, shape `(n_rows,)`."""
        raise NotImplementedError

    def predict(self, rows: Matrix) -> Vector:
        """Return the predicted number, shape `(n_rows,)`."""
        return self._intervals.value(self.raw(rows))

    def interval(self, rows: Matrix) -> tuple[Vector, Vector]:
        """Return lower and upper end of the prediction interval, each of shape `(n_rows,)`."""
        return self._intervals.around(self.raw(rows))


class XGBoostRegressionModel(NumberModel):
    """A booster of numbers. Prediction reads the float32 rows in place, without a DMatrix."""

    kind = "xgboost_regression"

    def __init__(self, booster: xgb.Booster, intervals: Intervals) -> None:
        self._booster, self._intervals = booster, intervals

    def raw(self, rows: Matrix) -> Vector:
        """Return the prediction on the model's own scale, shape `(n_rows,)`."""
        return self._booster.inplace_predict(rows).astype(np.float64)

    def contributions(self, rows: Matrix) -> Matrix:
        """Exact TreeSHAP values of `raw`, shape `(n_rows, n_features)`."""
        return self._booster.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)[:, :-1]

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the booster as UBJ to `folder`; return the intervals (JSON)."""
        self._booster.save_model(folder / BOOSTER_FILE)
        return self._intervals.to_json()

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> "XGBoostRegressionModel":
        """Return the model that `save` described.

        Raises:
            TesseraError: the file is no XGBoost model.
        """
        return cls(read_booster(folder), Intervals.from_json(saved))


class RidgeModel(NumberModel):
    """Ridge regression on standardised signed logarithms of the features; a missing value is the training median."""

    kind = "ridge_regression"

    def __init__(self, pipeline: Pipeline, intervals: Intervals) -> None:
        self._pipeline, self._intervals = pipeline, intervals

    def raw(self, rows: Matrix) -> Vector:
        """Return the prediction on the model's own scale, shape `(n_rows,)`."""
        # summed row by row, not by BLAS, whose last bits depend on how many rows come together
        return self._terms(rows).sum(axis=1) + float(self._ridge.intercept_)

    def contributions(self, rows: Matrix) -> Matrix:
        """Coefficient times distance from the training mean, shape `(n_rows, n_features)`."""
        return self._terms(rows).astype(np.float32)

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the pipeline as skops to `folder`; return the intervals (JSON)."""
        write_skops(self._pipeline, folder / _FILE)
        return self._intervals.to_json()

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> "RidgeModel":
        """Return the model that `save` described.

        Raises:
            TesseraError: the file holds anything but such a pipeline.
        """
        pipeline = read_skops(folder / _FILE)
        if not isinstance(pipeline, Pipeline):
            raise TesseraError(
                f"{folder / _FILE} holds a {type(pipeline).__name__}.",
                expected="a scikit-learn Pipeline",
                todo="Train again.",
            )
        return cls(pipeline, Intervals.from_json(saved))

    @property
    def _ridge(self) -> Any:
        return self._pipeline[-1]

    def _terms(self, rows: Matrix) -> Vector:
        return self._pipeline[:-1].transform(_signed_log(rows)) * self._ridge.coef_


def fit_xgboost_regression(
    rows: Matrix,
    labels: Labels,
    groups: Groups,
    *,
    target: Target,
    share: float,
    parameters: Mapping[str, Any],
    boosting: Boosting,
) -> Fit:
    """Return a booster on all rows, with as many rounds as the folds agree on, and intervals of their errors.

    Args:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: numbers, shape `(n,)`.
        groups: entity of each row.
        target: scale of the training target; squared errors on it are minimised.
        share: of the labels that an interval holds.
        parameters: XGBoost's own, as it spells them.
        boosting: rounds, patience, folds and seed.
    """
    folds = dealt_groups(groups, k=boosting.folds, seed=boosting.seed)
    native, scaled = {**parameters, "seed": boosting.seed}, on_scale(target, labels)
    rounds, raw = cross_validate(rows, scaled, folds, native, boosting)
    train = xgb.QuantileDMatrix(rows, scaled, max_bin=parameters["max_bin"], nthread=parameters["nthread"])
    booster = xgb.train(native, train, num_boost_round=rounds)
    intervals = fit_intervals(target, raw, labels, share=share, parts=_PARTS)
    return Fit(XGBoostRegressionModel(booster, intervals), intervals.value(raw), folds, {"rounds": str(rounds)})


def fit_ridge(
    rows: Matrix, labels: Labels, groups: Groups, *, target: Target, share: float, penalty: float, folds: int, seed: int
) -> Fit:
    """Return a ridge regression on all rows, and intervals of out-of-fold errors.

    Args:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: numbers, shape `(n,)`.
        groups: entity of each row.
        target: scale of the training target.
        share: of the labels that an interval holds.
        penalty: scikit-learn's `alpha`; larger means stronger L2 shrinkage.
        folds: number of cross-validation folds.
        seed: of the folds.
    """
    held_out = dealt_groups(groups, k=folds, seed=seed)
    features, scaled = _signed_log(rows), on_scale(target, labels)
    raw = np.empty(len(labels), dtype=np.float64)
    for k in range(folds):
        test = held_out == k
        raw[test] = fit_imputed(features[~test], scaled[~test], _steps(penalty)).predict(features[test])
    pipeline = fit_imputed(features, scaled, _steps(penalty))
    intervals = fit_intervals(target, raw, labels, share=share, parts=_PARTS)
    return Fit(RidgeModel(pipeline, intervals), intervals.value(raw), held_out, {})


def _signed_log(rows: Matrix) -> Matrix:
    """Counts and amounts on a scale on which a line may fit: sign(x) log(1 + |x|)."""
    return np.sign(rows) * np.log1p(np.abs(rows))


def _steps(penalty: float) -> list[tuple[str, Any]]:
    return [("scale", StandardScaler()), ("regress", Ridge(alpha=penalty, solver="cholesky"))]
