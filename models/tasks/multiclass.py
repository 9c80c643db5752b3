"""Classification into several classes: a probability of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.evaluation.baselines import column_of
from models.evaluation.confusion import confusion_png
from models.evaluation.metric import Metric
from models.evaluation.multiclass_metrics import ACCURACY, MACRO_F1, measure_classes
from models.gates import checks as shared
from models.gates import leakage_checks, sufficiency
from models.gates import multiclass_checks as multiclass
from models.tasks.task import Task
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from models.gates.check import GateCheck
    from models.gates.context import GateContext
    from models.training.dataset import Split

#: Parts of a feature's range whose class shares are the prediction of a single-feature baseline.
_PARTS = 10


class MulticlassClassification(Task):
    """Probabilities of the classes, shape `(n_rows, n_classes)`; labels are class numbers from 0."""

    name = "multiclass"
    label_type = np.int64
    metrics: ClassVar[Mapping[str, Metric]] = {"macro_f1": MACRO_F1, "accuracy": ACCURACY}
    reference = ACCURACY
    columns = ("macro_f1", "accuracy", "log_loss", "confidence_gap")

    @property
    def sufficient(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Entities of every class, and features that vary."""
        return (multiclass.classes, sufficiency.features_vary)

    @property
    def checks(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Every check of the gate of several classes."""
        return (
            multiclass.rows,
            *self.sufficient,
            shared.holdout_unseen,
            leakage_checks.recomputed,
            multiclass.leakage,
            leakage_checks.identity,
            shared.absolute_floor,
            shared.baseline,
            shared.champion,
            leakage_checks.jump,
            shared.slices,
            multiclass.calibration,
            shared.latency,
            shared.size,
            shared.loads,
        )

    def problem(self, predictions: Vector, rows: int) -> str:
        """Return why these are not a distribution over the classes for each row; "" if they are."""
        if predictions.ndim != 2 or len(predictions) != rows or predictions.shape[1] < 2:
            return f"probabilities of shape {predictions.shape} for {rows} rows of at least two classes"
        sound = (predictions >= 0).all(axis=1) & (np.abs(predictions.sum(axis=1) - 1) < 1e-6)
        return "" if sound.all() else f"{int((~sound).sum())} rows whose probabilities are negative or do not add to 1"

    def by_feature(self, split: Split, feature: str) -> Vector:
        """Return class shares of the training rows in the same tenth of one feature's range.

        Raises:
            TesseraError: no such feature.
        """
        known, asked = column_of(split, feature)
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _PARTS + 1)[1:-1]))
        part, wanted = np.searchsorted(edges, known), np.searchsorted(edges, asked)
        classes = int(split.train.labels.max()) + 1
        counts = np.ones((edges.size + 1, classes)) / classes  # one row's worth of doubt
        np.add.at(counts, (part, split.train.labels), 1.0)
        return (counts / counts.sum(axis=1, keepdims=True))[wanted]

    def summary(self, labels: Labels) -> dict[str, float]:
        """Return the number of classes and the rows of the rarest."""
        counts = np.bincount(labels)
        return {"classes": counts.size, "fewest": int(counts.min())}

    def measure(self, context: GateContext, model: str) -> dict[str, float]:
        """Return macro-F1, accuracy, log loss and calibration."""
        return measure_classes(context.holdout.labels, context.scores(model))

    def picture(self, labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
        """Return the confusion matrix of the candidate."""
        return confusion_png(labels, next(iter(predictions.values())))

    def shift(self, judged: Vector, refit: Vector) -> float:
        """Return the largest difference of a class' mean probability."""
        return float(np.abs(refit.mean(axis=0) - judged.mean(axis=0)).max())


MULTICLASS = MulticlassClassification()
