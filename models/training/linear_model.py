"""The linear baseline: logistic regression on standardised features, by scikit-learn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import TesseraError
from models.training.calibration import Platt, fit_platt
from models.training.cross_validation import grouped_folds
from models.training.imputation import fit_imputed
from models.training.linear_inputs import InputSettings, LinearInputs
from models.training.model import Fit, Groups, Labels, Matrix, Vector
from models.training.skops_files import read_skops, write_skops

# scikit-learn has no static types.
# pyright: basic

_FILE = "model.skops"


class LinearModel:
    """A calibrated logistic regression; a missing value is the training median, and said to be missing."""

    kind = "logistic_regression"

    def __init__(self, pipeline: Pipeline, platt: Platt, inputs: LinearInputs | None = None) -> None:
        self._pipeline = pipeline
        self._platt = platt
        self._inputs = inputs or LinearInputs()

    def raw(self, rows: Matrix) -> Vector:
        """Log-odds before calibration, shape `(n_rows,)`."""
        # summed row by row, not by BLAS, whose last bits depend on how many rows come together
        return self._terms(rows).sum(axis=1) + float(self._classifier.intercept_[0])

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`."""
        return self._platt(self.raw(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        """Coefficient times distance from the training mean, shape `(n_rows, n_features)`; exact for a linear model.

        What the indicator of a missing value contributes is added to the feature that is missing. The terms of BG/NBD
        are a curve over three features, which share what they contribute by their Shapley values against the median
        customer; the sum of a row is then its `raw` minus another number than the mean, the same for all rows.
        """
        terms = self._terms(rows)
        features = rows.shape[1]
        total = terms[:, :features].copy()
        total[:, self._indicated] += terms[:, features + self._inputs.added :]
        if purchases := self._inputs.purchases:
            parts = purchases.shapley(self._value_of_added, purchases.history(rows))
            for place, part in zip(purchases.places, parts.T, strict=True):
                total[:, place] += part
        return total.astype(np.float32)

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Return the calibration (JSON), after the pipeline is saved in `folder` as skops."""
        write_skops(self._pipeline, folder / _FILE)
        return {"slope": self._platt.slope, "intercept": self._platt.intercept, **self._inputs.to_json()}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> "LinearModel":
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
        platt = Platt(float(saved["slope"]), float(saved["intercept"]))
        return cls(pipeline, platt, LinearInputs.from_json(saved))

    @property
    def _classifier(self) -> Any:
        return self._pipeline[-1]

    @property
    def _indicated(self) -> NDArray[np.int64]:
        """Features that were missing in some training row, in the order of their indicator columns."""
        return cast(Any, self._pipeline[0]).indicator_.features_

    def _terms(self, rows: Matrix) -> Vector:
        """Coefficient times standardised value; the scaler makes every column's training mean zero."""
        return self._pipeline[:-1].transform(self._inputs(rows)) * self._classifier.coef_[0]

    def _value_of_added(self, terms: Vector) -> Vector:
        """Contribution to `raw` of the terms that stand behind the features."""
        scaler, features = cast(Any, self._pipeline[1]), self._pipeline[0].n_features_in_ - self._inputs.added
        at = slice(features, features + self._inputs.added)
        return ((terms - scaler.mean_[at]) / scaler.scale_[at] * self._classifier.coef_[0][at]).sum(axis=1)


def fit_linear(
    rows: Matrix,
    labels: Labels,
    groups: Groups,
    *,
    inverse_penalty: float,
    max_steps: int,
    folds: int,
    seed: int,
    inputs: InputSettings | None = None,
) -> Fit:
    """Return a logistic regression on all rows, calibrated on out-of-fold scores.

    Args:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: 0 or 1, shape `(n,)`.
        groups: entity of each row.
        inverse_penalty: scikit-learn's `C`; smaller means stronger L2 shrinkage.
        max_steps: Newton steps at most.
        folds: number of cross-validation folds.
        seed: of the folds.
        inputs: what is made of the features; None: nothing. Each fold fits it to its own training rows.
    """
    chosen = inputs or InputSettings()
    held_out = grouped_folds(labels, groups, k=folds, seed=seed)
    raw = np.empty(labels.size, dtype=np.float64)
    for k in range(folds):
        test = held_out == k
        seen = chosen.fit(rows[~test])
        pipeline = fit_imputed(seen(rows[~test]), labels[~test], _steps(inverse_penalty, max_steps), add_indicator=True)
        raw[test] = pipeline.decision_function(seen(rows[test]))
    platt = fit_platt(raw, labels)
    seen = chosen.fit(rows)
    pipeline = fit_imputed(seen(rows), labels, _steps(inverse_penalty, max_steps), add_indicator=True)
    model = LinearModel(pipeline, platt, seen)
    return Fit(model, platt(raw), held_out, {"steps": str(int(cast(Any, pipeline[-1]).n_iter_[0]))})


def _steps(inverse_penalty: float, max_steps: int) -> list[tuple[str, Any]]:
    regression = LogisticRegression(C=inverse_penalty, solver="newton-cholesky", max_iter=max_steps, tol=1e-6)
    return [("scale", StandardScaler()), ("classify", regression)]
