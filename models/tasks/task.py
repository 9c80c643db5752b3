"""The interface of a task: everything about training and evaluation that depends on the kind of prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from models.evaluation.metric import Metric
from models.training.model import Labels, Vector

if TYPE_CHECKING:
    from models.gates.check import GateCheck
    from models.gates.context import GateContext
    from models.training.dataset import Split

TaskName = Literal["binary", "regression", "multiclass", "ranking"]


class Task(ABC):
    """A kind of prediction.

    Attributes:
        name: as trainers and training tasks name it.
        label_type: type of the labels in a `Dataset`.
        metrics: metrics that the gate may compare models by, by name.
        reference: metric that slices and jumps are measured in.
        fold_losses: further numbers of each cross-validation fold, by name.
        columns: metrics of the gate report's table, in order.
    """

    name: ClassVar[TaskName]
    label_type: ClassVar[type[np.generic]]
    metrics: ClassVar[Mapping[str, Metric]]
    reference: ClassVar[Metric]
    fold_losses: ClassVar[Mapping[str, Callable[[Labels, Vector], float]]] = {}
    columns: ClassVar[Sequence[str]]

    @property
    @abstractmethod
    def sufficient(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Checks of the rows alone: asked before anything is trained, and again by the gate."""

    @property
    @abstractmethod
    def checks(self) -> tuple[Callable[[GateContext], GateCheck], ...]:
        """Every check of the gate, in the order in which a person would ask."""

    @abstractmethod
    def problem(self, predictions: Vector, rows: int) -> str:
        """Return what is wrong with predictions of `rows` rows, e.g. a probability above 1; "" if nothing is."""

    @abstractmethod
    def by_feature(self, split: Split, feature: str) -> Vector:
        """Return predictions of the hold-out rows by one column alone.

        Raises:
            TesseraError: there is no such column.
        """

    @abstractmethod
    def summary(self, labels: Labels) -> dict[str, float]:
        """Return the numbers of the labels that a model card keeps."""

    @abstractmethod
    def measure(self, context: GateContext, model: str) -> dict[str, float]:
        """Return the metrics of a model on the hold-out, for the gate report and the registry."""

    @abstractmethod
    def picture(self, labels: Labels, predictions: Mapping[str, Vector]) -> bytes:
        """Return a PNG of the predictions of several models, the candidate first."""

    def mean(self, predictions: Vector) -> float:
        """Return the mean prediction that slices show."""
        return float(predictions.mean())

    def shift(self, judged: Vector, refit: Vector) -> float:
        """Return how far the mean prediction of a refit is from that of the evaluated model, both of the same rows."""
        return float(refit.mean() - judged.mean())

    def metric(self, name: str) -> Metric:
        """Return the metric of that name."""
        return self.metrics[name]
