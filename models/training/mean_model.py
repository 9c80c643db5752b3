"""The mean of several classifiers: of their log-odds, so that what each feature contributes still adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import TesseraError
from models.training.calibration import Platt, fit_platt, log_odds
from models.training.model import Fit, FittedModel, Labels, Matrix, Vector

#: Log-odds beyond these are too close to 0 or 1 to tell a line by.
_TELLING = 12.0
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Scale:
    """A member's calibration: its calibrated log-odds are `slope * raw + intercept`."""

    slope: float
    intercept: float


class MeanModel:
    """A calibrated mean of the members' calibrated log-odds.

    Attributes:
        members: the models, whose files the package keeps in folders of their own.
    """

    kind = "mean"

    def __init__(self, members: Sequence[FittedModel], scales: Sequence[Scale], platt: Platt) -> None:
        self.members = tuple(members)
        self._scales = tuple(scales)
        self._platt = platt

    def raw(self, rows: Matrix) -> Vector:
        """Mean of the members' calibrated log-odds, shape `(n_rows,)`."""
        odds = [scale.slope * model.raw(rows) + scale.intercept for model, scale in self._scaled()]
        return np.sum(odds, axis=0) / len(odds)

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`."""
        return self._platt(self.raw(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        """Mean of the members' contributions, each on its calibrated scale, shape `(n_rows, n_features)`.

        Raises:
            TesseraError: a member has none.
        """
        parts = [scale.slope * model.contributions(rows).astype(np.float64) for model, scale in self._scaled()]
        return (np.sum(parts, axis=0) / len(parts)).astype(np.float32)

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - the interface has it
        """Return the scales and the calibration; the members are saved on their own."""
        scales = [list(astuple(scale)) for scale in self._scales]
        return {"slope": self._platt.slope, "intercept": self._platt.intercept, "scales": scales}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any], members: Sequence[FittedModel] = ()) -> MeanModel:
        """Return the model that `save` described, of members that were read back.

        Raises:
            TesseraError: there are not as many members as scales.
        """
        scales = [Scale(float(slope), float(intercept)) for slope, intercept in saved["scales"]]
        if not members or len(scales) != len(members):
            raise TesseraError(
                f"{folder} holds {len(members)} models of a mean of {len(scales)}.",
                expected="every model of the mean",
                todo="Train again.",
            )
        return cls(members, scales, Platt(float(saved["slope"]), float(saved["intercept"])))

    def _scaled(self) -> list[tuple[FittedModel, Scale]]:
        return list(zip(self.members, self._scales, strict=True))


def mean_of(fits: Sequence[Fit], rows: Matrix, labels: Labels, notes: Mapping[str, str]) -> Fit:
    """Return the mean of models that were fitted to these rows, calibrated on the mean of their out-of-fold log-odds.

    No member saw a row's entity when it made that row's out-of-fold prediction, so their mean is one, too.

    Raises:
        TesseraError: a member's probabilities are not its raw scores on a line of log-odds.
    """
    raw = np.mean([log_odds(fit.out_of_fold) for fit in fits], axis=0)
    platt = fit_platt(raw, labels)
    model = MeanModel([fit.model for fit in fits], [_scale(fit.model, rows) for fit in fits], platt)
    return Fit(model, platt(raw), fits[0].folds, notes)


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
