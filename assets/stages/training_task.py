"""The training task that an application defines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from models.errors import TesseraError
from models.gates.config import GateConfig
from models.scoring.config import DriftConfig
from models.settings import TrainerSettings
from models.training.agreement import RefitConfig

if TYPE_CHECKING:
    from models.features.leakage import Recomputed
    from models.scoring.growth import HomeHistory
    from models.tasks.task import Task, TaskName
    from models.training.candidates import Candidate
    from models.training.columns import Columns, Direction, PurchaseHistory
    from models.training.dataset import Split, Whole
    from models.training.encoding import Encoder
    from models.training.model import FittedModel

#: The trained baseline of each kind of prediction, where an application names no other.
BASELINES: dict[TaskName, TrainerSettings] = {
    "binary": TrainerSettings(kind="logistic_regression"),
    "regression": TrainerSettings(kind="ridge_regression"),
}

#: File of the model package that remembers how its features looked.
DRIFT = "drift.json"


@dataclass(frozen=True)
class TrainingTask:
    """An application's training rows, and the rows and limits that candidates are evaluated with.

    Attributes:
        app: its name, e.g. `churn`.
        service: the feature service that the model reads.
        holdout: the days of the hold-out, in words.
        split: rows to train on, rows to evaluate on.
        features: feature columns.
        newest: rows as the features looked last: what scores are held against for drift.
        kind: the kind of prediction.
        baseline: trainer of the baseline on all features; one of the candidates if they list its kind. None: that of
            the task (`BASELINES`).
        baselines: name -> the one feature that it goes by; the candidate must not be behind it.
        recomputed: features of some past cut-offs, computed again from nothing but what was known then.
        gate: limits.
        drift: limits of drift.
        extras: further files of the model package, from the model that was chosen.
        refit: whether the evaluated settings are refit, and how far the refit may be from the evaluated model.
        whole: makes the rows of the refit: all whose label is known. None: there is no refit.
        tonight: feature rows that neither the evaluated model nor its refit has seen.
        refit_extras: further files of the refit's package, from its model and encoder.
        history: history behind the rows `newest`, where features grow with it.
        directions: feature -> direction in which predictions may move as it grows; for candidates that ask for it.
        purchases: the features that describe a purchase history; for candidates that ask for it.
        waits_for_replacement: a version that passed does not replace a champion: a person rolls it out.
        picture: whether the gate's report shows curves (about half a CPU second).
    """

    app: str
    service: str
    holdout: str
    split: Split
    features: Sequence[str]
    newest: pa.Table
    baselines: Mapping[str, str]
    recomputed: Recomputed | None
    gate: GateConfig
    drift: DriftConfig
    kind: TaskName = "binary"
    baseline: TrainerSettings | None = None
    extras: Callable[[Candidate], Mapping[str, str]] = lambda _: {}
    refit: RefitConfig = field(default_factory=RefitConfig)
    whole: Callable[[], Whole] | None = None
    tonight: pa.Table | None = None
    refit_extras: Callable[[FittedModel, Encoder], Mapping[str, str]] = lambda *_: {}
    history: HomeHistory | None = None
    directions: Mapping[str, Direction] = field(default_factory=dict[str, "Direction"])
    purchases: PurchaseHistory | None = None
    waits_for_replacement: bool = False
    picture: bool = True

    def columns(self, encoder: Encoder) -> Columns:
        """Return the meaning of the columns of this encoder's matrices."""
        from models.training.columns import Columns

        return Columns(encoder.feature_names, self.directions, self.purchases)

    @property
    def task(self) -> Task:
        """Metrics, checks and pictures of this kind of prediction."""
        from models.tasks.named import task_of

        return task_of(self.kind)

    @property
    def baseline_trainer(self) -> TrainerSettings:
        """Settings of the trained baseline.

        Raises:
            TesseraError: neither the application nor its kind of prediction names one.
        """
        found = self.baseline or BASELINES.get(self.kind)
        if found is None:
            raise TesseraError(
                f"{self.app} names no trained baseline.",
                expected=f"`baseline` in its training task: a {self.kind} task has none of its own",
                todo="Name a simple trainer of the same kind of prediction.",
            )
        return found
