"""The trainer port: fit a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from models.tasks.task import TaskName
from models.training.columns import Columns
from models.training.model import Fit, Groups, Labels, Matrix
from models.training.recipe import Recipe
from resources.health import Health


class Trainer(ABC):
    """Fits one kind of model; the same data and seed give the same model."""

    #: Short name of the candidate, e.g. `xgboost`.
    name: str
    #: The kind of prediction that it makes models for.
    task: TaskName = "binary"
    #: Its config, from which it can be made again; set when the stack opens it.
    recipe: Recipe | None = None
    #: Trainers whose models it merges, in their order; none of most trainers.
    parts: tuple[Trainer, ...] = ()

    @abstractmethod
    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a model (of a binary task a calibrated one), and its out-of-fold predictions.

        `groups` names the entity of each row: no entity is on both sides of any internal split (early stopping,
        calibration, out-of-fold scores).

        Raises:
            TesseraError: one class has fewer entities than there are folds.
        """

    def knowing(self, columns: Columns) -> Trainer:  # noqa: ARG002 - the interface has it
        """Return same trainer, which knows what the columns of the rows mean that it will be given.

        A trainer that uses nothing but numbers gives itself.
        """
        return self

    def keeping(self, chosen: Mapping[str, str]) -> Trainer:  # noqa: ARG002 - the interface has it
        """Return same trainer, which does not choose anew what an earlier `fit` chose (its `notes`), e.g. the rounds.

        A trainer that chooses nothing gives itself.
        """
        return self

    @abstractmethod
    def parameters(self) -> dict[str, str]:
        """Every parameter that shapes the model, defaults that may drift between releases included."""

    @abstractmethod
    def check(self) -> Health:
        """Report if the trainer's library can be imported and used."""
