"""Several classifiers merged into one: a weighted mean of their log-odds, so that contributions still add up.

The same as a `FanOut` of these models with the merge `mean` or `stacking` (`models.compose.merged`), as one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.training.calibration import Platt, fit_platt, log_odds, sigmoid
from models.training.model import Fit, FittedModel, Labels, Matrix, Vector, explains

#: Log-odds beyond these are too close to 0 or 1 to tell a line by.
_TELLING = 12.0
_TOLERANCE = 1e-4
#: A sum of weights below this ranks nothing.
_NO_WEIGHT = 1e-6
#: How the predictions of several models become one.
Merge = Literal["mean", "stacking"]


@dataclass(frozen=True)
class Scale:
    """A member's calibration: its calibrated log-odds are `slope * raw + intercept`."""

    slope: float
    intercept: float

    def __call__(self, raw: Vector) -> Vector:
        """Return calibrated log-odds, same shape."""
        return self.slope * raw + self.intercept


class MergedModel:
    """A calibrated mean of the members' calibrated log-odds.

    Attributes:
        members: the models, whose files the package keeps in folders of their own.
        scales: calibration of each member.
        platt: calibration of their mean.
        weights: of the members, none below 0, with the sum 1; None: all are equal.
        explains: it gives contributions, as all of its members do.
    """

    kind = "fan_out"

    def __init__(
        self,
        members: Sequence[FittedModel],
        scales: Sequence[Scale],
        platt: Platt,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.members = tuple(members)
        self.scales = tuple(scales)
        self.platt = platt
        self.weights = None if weights is None else tuple(weights)
        self.explains = all(map(explains, self.members))

    def raw(self, rows: Matrix) -> Vector:
        """Mean of the members' calibrated log-odds, shape `(n_rows,)`."""
        return _mean([scale(model.raw(rows)) for model, scale in self._scaled()], self.weights)

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`."""
        return self.platt(self.raw(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        """Mean of the members' contributions, each on its calibrated scale, shape `(n_rows, n_features)`.

        Raises:
            TesseraError: a member has none.
        """
        parts = [scale.slope * model.contributions(rows).astype(np.float64) for model, scale in self._scaled()]
        return _mean(parts, self.weights).astype(np.float32)

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - the interface has it
        """Return scales, calibration and weights; the members are saved on their own."""
        scales = [list(astuple(scale)) for scale in self.scales]
        weights = {} if self.weights is None else {"weights": list(self.weights)}
        return {"slope": self.platt.slope, "intercept": self.platt.intercept, "scales": scales, **weights}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any], members: Sequence[FittedModel] = ()) -> MergedModel:
        """Return the model that `save` described, of members that were read back.

        Raises:
            TesseraError: there are not as many members as scales.
        """
        scales = [Scale(float(slope), float(intercept)) for slope, intercept in saved["scales"]]
        weights = saved.get("weights")
        if not members or len(scales) != len(members) or len(weights or scales) != len(scales):
            raise TesseraError(
                f"{folder} holds {len(members)} models of a mean of {len(scales)}.",
                expected="every model of the mean, and a weight of each or of none",
                todo="Train again.",
            )
        return cls(members, scales, Platt(float(saved["slope"]), float(saved["intercept"])), weights)

    def _scaled(self) -> list[tuple[FittedModel, Scale]]:
        return list(zip(self.members, self.scales, strict=True))


def merged(fits: Sequence[Fit], rows: Matrix, labels: Labels, notes: Mapping[str, str], merge: Merge = "mean") -> Fit:
    """Return the merge of models that were fitted to these rows, calibrated on their out-of-fold log-odds.

    No member saw a row's entity when it made that row's out-of-fold prediction, so their mean is one, too. Weights of
    `stacking` are chosen on these predictions alone.

    Raises:
        TesseraError: a member's probabilities are not its raw scores on a line of log-odds.
    """
    odds = [log_odds(fit.out_of_fold) for fit in fits]
    weights = stacking_weights(odds, labels) if merge == "stacking" else None
    raw = np.mean(odds, axis=0) if weights is None else _mean(odds, weights)
    platt = fit_platt(raw, labels)
    model = MergedModel([fit.model for fit in fits], [_scale(fit.model, rows) for fit in fits], platt, weights)
    chosen = {} if weights is None else {"weights": ", ".join(f"{weight:.4f}" for weight in weights)}
    return Fit(model, platt(raw), fits[0].folds, {**notes, **chosen}, tuple(fits))


def stacking_weights(odds: Sequence[Vector], labels: Labels) -> tuple[float, ...]:
    """Return the weights of a logistic regression of the labels on log-odds, none below 0, scaled to the sum 1.

    A weight below 0 would turn a member's reasons round, and its monotone directions with them. If no member helps,
    all weights are equal.
    """
    from scipy.optimize import minimize

    columns = np.column_stack([np.asarray(one, dtype=np.float64) for one in odds])

    def loss(values: Vector) -> tuple[float, Vector]:
        line = columns @ values[:-1] + values[-1]
        error = sigmoid(line) - labels
        slope = np.append(columns.T @ error, error.sum()) / len(labels)
        return float(np.mean(np.logaddexp(0.0, line) - labels * line)), slope

    count = columns.shape[1]
    start = np.append(np.full(count, 1 / count), 0.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * count + [(None, None)])
    weights = np.asarray(found.x[:-1], dtype=np.float64)
    total = float(weights.sum())
    return tuple((weights / total if total > _NO_WEIGHT else np.full(count, 1 / count)).tolist())


def _mean(parts: Sequence[NDArray[Any]], weights: Sequence[float] | None) -> NDArray[Any]:
    if weights is None:
        return np.sum(parts, axis=0) / len(parts)
    return np.sum([weight * part for weight, part in zip(weights, parts, strict=True)], axis=0)


def _scale(model: FittedModel, rows: Matrix) -> Scale:
    """Return a member's calibration, found from its predictions alone: any library's model may be one."""
    raw, odds = model.raw(rows), log_odds(model.predict(rows))
    telling = np.abs(odds) < _TELLING
    if not telling.any():
        raise _no_line(model)
    raw, odds = raw[telling], odds[telling]
    low, high = int(raw.argmin()), int(raw.argmax())
    spread = float(raw[high] - raw[low])
    slope = float(odds[high] - odds[low]) / spread if spread > 0 else 1.0
    intercept = float(odds[low]) - slope * float(raw[low])
    if slope <= 0 or np.abs(slope * raw + intercept - odds).max() > _TOLERANCE:
        raise _no_line(model)
    return Scale(slope, intercept)


def _no_line(model: FittedModel) -> TesseraError:
    return TesseraError(
        f"A model of kind {model.kind!r} cannot be part of a mean: its log-odds are no line of its raw scores.",
        expected="probabilities that are `sigmoid(slope * raw + intercept)`, as Platt's calibration gives them",
        todo="Take it out of `of` in settings.<app>.candidates.",
    )
