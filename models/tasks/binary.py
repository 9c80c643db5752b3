"""Binary classification: the probability of one of two classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.evaluation.baselines import column_of, joint_sign
from models.evaluation.binary_metrics import AUC, AVERAGE_PRECISION
from models.evaluation.curves import curves_png
from models.evaluation.metric import Metric
from models.evaluation.metrics import log_loss, measure
from models.gates import binary_checks as binary
from models.gates import checks as shared
from models.gates import label_checks, leakage_checks, sufficiency
from models.tasks.task import Task
from models.training.calibration import fit_platt
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from models.gates.check import GateCheck
    from models.gates.context import GateContext
    from models.training.dataset import Split


class BinaryClassification(Task):
    """Calibrated probability of the positive class, shape `(n_rows,)`; labels are 0 or 1."""

    name = "binary"
    label_type = np.int8
    metrics: ClassVar[Mapping[str, Metric]] = {"auc": AUC, "average_precision": AVERAGE_PRECISION}
    reference = AUC
    fold_losses: ClassVar[Mapping[str, Callable[[Labels, Vector], float]]] = {"log_loss": log_loss}
    columns = ("auc", "average_precision", "log_loss", "brier", "ece", "calibration_slope")

    @property
    def sufficient(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Entities of both classes, and features that vary."""
        return (binary.classes, sufficiency.features_vary)

    @property
    def checks(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Every check of the gate of a binary classifier."""
        return (
            binary.rows,
            *self.sufficient,
            shared.holdout_unseen,
            leakage_checks.recomputed,
            binary.leakage,
            leakage_checks.identity,
            shared.absolute_floor,
            shared.baseline,
            shared.champion,
            leakage_checks.jump,
            label_checks.labels_as_before,
            binary.precision_at_k,
            shared.slices,
            binary.calibration,
            shared.latency,
            shared.size,
            shared.loads,
        )

    def problem(self, predictions: Vector, rows: int) -> str:
        """Return why these are not one probability per row; "" if they are."""
        if predictions.shape != (rows,):
            return f"scores of shape {predictions.shape} for {rows} rows"
        outside = int((~((predictions >= 0) & (predictions <= 1))).sum())
        return f"{outside} scores outside [0, 1]" if outside else ""

    def by_feature(self, split: Split, feature: str) -> Vector:
        """Return Platt-calibrated probabilities by one feature; direction and scale are fitted on the training rows.

        Raises:
            TesseraError: no such feature.
        """
        known, asked = column_of(split, feature)
        sign = joint_sign(known, split.train.labels)
        return fit_platt(sign * known, split.train.labels)(sign * asked)

    def summary(self, labels: Labels) -> dict[str, float]:
        """Return the number of rows of the positive class."""
        return {"positives": int(labels.sum())}

    def measure(self, context: GateContext, model: str) -> dict[str, float]:
        """Return ranking and calibration metrics, and the precision among the first of each day if that is asked."""
        labels, limits = context.holdout.labels, binary.limits_of(context)
        found = measure(labels, context.scores(model), top=max(1, labels.size // 10))
        if limits.top_per_day is not None:
            found["precision_at_top_per_day"] = binary.top_precision(context, model, limits.top_per_day)
        return found

    def picture(self, labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
        """Return ROC, precision-recall and calibration curves."""
        return curves_png(labels, predictions)


BINARY = BinaryClassification()
