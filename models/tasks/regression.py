"""Regression: a number and its prediction interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.evaluation.baselines import holdout_column
from models.evaluation.metric import Metric
from models.evaluation.regression_curves import numbers_png
from models.evaluation.regression_metrics import (
    D2_ABSOLUTE_ERROR,
    mean_absolute_error,
    measure_interval,
    measure_numbers,
)
from models.gates import checks as shared
from models.gates import label_checks, leakage_checks, sufficiency
from models.gates import regression_checks as regression
from models.gates.context import CANDIDATE
from models.tasks.task import Task
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from models.gates.check import GateCheck
    from models.gates.context import GateContext
    from models.training.dataset import Split


class Regression(Task):
    """Predicted number, shape `(n_rows,)`, in the unit of the labels; models give intervals, too."""

    name = "regression"
    label_type = np.float64
    metrics: ClassVar[Mapping[str, Metric]] = {"d2_absolute_error": D2_ABSOLUTE_ERROR}
    reference = D2_ABSOLUTE_ERROR
    fold_losses: ClassVar[Mapping[str, Callable[[Labels, Vector], float]]] = {"mae": mean_absolute_error}
    columns = ("mae", "d2_absolute_error", "coverage", "rmse", "bias", "interval_width")

    @property
    def sufficient(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Entities with different labels, and features that vary."""
        return (regression.entities, sufficiency.features_vary)

    @property
    def checks(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Every check of the gate of a regression model."""
        return (
            regression.rows,
            *self.sufficient,
            shared.holdout_unseen,
            leakage_checks.recomputed,
            regression.leakage,
            leakage_checks.identity,
            shared.absolute_floor,
            shared.baseline,
            shared.champion,
            leakage_checks.jump,
            label_checks.labels_as_before,
            shared.slices,
            regression.coverage,
            shared.latency,
            shared.size,
            shared.loads,
        )

    def problem(self, predictions: Vector, rows: int) -> str:
        """Return why these are not one finite number per row; "" if they are."""
        if predictions.shape != (rows,):
            return f"predictions of shape {predictions.shape} for {rows} rows"
        wrong = int((~np.isfinite(predictions)).sum())
        return f"{wrong} predictions that are no finite numbers" if wrong else ""

    def by_feature(self, split: Split, feature: str) -> Vector:
        """Return the column itself: a baseline of a number is a number in the same unit, e.g. last week's.

        Raises:
            TesseraError: no such column, or a value is missing.
        """
        return holdout_column(split, feature)

    def summary(self, labels: Labels) -> dict[str, float]:
        """Return mean, median and largest label."""
        return {"mean": float(labels.mean()), "median": float(np.median(labels)), "max": float(labels.max())}

    def measure(self, context: GateContext, model: str) -> dict[str, float]:
        """Return errors in the unit of the labels; of the candidate also the coverage of its intervals."""
        found = measure_numbers(context.holdout.labels, context.scores(model))
        if model == CANDIDATE:
            found |= measure_interval(context.holdout.labels, *regression.interval_of(context))
        return found

    def picture(self, labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
        """Return labels against predictions, and errors by size of the prediction."""
        return numbers_png(labels, predictions)

    def shift(self, judged: Vector, refit: Vector) -> float:
        """Return the difference of the two means as a share of the evaluated model's mean absolute prediction."""
        scale = float(np.abs(judged).mean())
        return float(refit.mean() - judged.mean()) / scale if scale else float(refit.mean())


REGRESSION = Regression()
