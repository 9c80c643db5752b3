"""A small task for tests of learning: customers at past cut-offs, trainers that take a moment, a folder registry."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.features.leakage import Recomputed
from models.gates.config import BinaryGateConfig
from models.scoring.config import DriftConfig
from models.settings import TrainerSettings
from models.training.calibration import sigmoid
from models.training.columns import Columns
from models.training.dataset import split, whole
from models.training.linear_model import LinearModel
from models.training.model import Fit, Groups, Labels, Matrix
from resources.health import Health
from resources.notifier.port import Level, Notifier
from resources.stack.recipes import trainers_of
from resources.trainer.logistic_regression import LogisticRegressionTrainer, LogisticRegressionTrainerConfig
from resources.trainer.port import Trainer

AS_OF = date(2025, 9, 1)
HORIZON = 30
CUSTOMERS = 500
FEATURES = ("recency_days", "orders_90", "taste")
GATE = BinaryGateConfig(
    min_rows=100,
    min_class_rows=20,
    n_bootstrap=100,
    max_ece=0.5,
    max_calibration_gap=0.5,
    max_latency_us_per_row=1e4,
    max_jump=0.5,
    max_champion_jump=0.5,
    max_feature_lead=0.5,
)


def rows_as_of(as_of: date, *, seed: int = 1) -> pa.Table:
    """Customers at weekly cut-offs, the newest one horizon before `as_of`. Churn follows the features in part."""
    newest = as_of - timedelta(days=HORIZON)
    days = [newest - timedelta(days=7 * back) for back in reversed(range(9))]
    parts = [_cut_off(day, seed) for day in days]
    return pa.concat_tables(parts)


def _cut_off(day: date, seed: int) -> pa.Table:
    """The same day gives the same rows, whatever is learned as of."""
    rng = np.random.default_rng([seed, day.toordinal()])
    recency, orders, taste = rng.exponential(30, CUSTOMERS), rng.poisson(3, CUSTOMERS), rng.normal(size=CUSTOMERS)
    chance = sigmoid(0.04 * (recency - 30) - 0.4 * (orders - 3) + 1.2 * taste)
    return pa.table(
        {
            "customer_id": [f"c{i:05d}" for i in range(CUSTOMERS)],
            "event_timestamp": pa.array([datetime.combine(day, clock.max, UTC)] * CUSTOMERS, pa.timestamp("us", "UTC")),
            "recency_days": recency,
            "orders_90": orders,
            "taste": taste,
            "churned": (rng.random(CUSTOMERS) < chance).astype(np.int8),
        }
    )


def task_as_of(as_of: date = AS_OF, *, gate: BinaryGateConfig = GATE, **changes: Any) -> TrainingTask:
    """What can be learned at the end of `as_of`."""
    table = rows_as_of(as_of)
    holdout = as_of - timedelta(days=HORIZON)
    tonight = _cut_off(as_of, 1).drop_columns(["churned"])
    values: dict[str, Any] = {
        "app": "churn",
        "service": "churn_v1",
        "holdout": holdout.isoformat(),
        "split": split(table, features=FEATURES, holdout=holdout, horizon_days=HORIZON),
        "features": FEATURES,
        "newest": table.slice(table.num_rows - CUSTOMERS),
        "baselines": {"recency only": "recency_days"},
        "recomputed": Recomputed(("now",), CUSTOMERS, FEATURES),
        "gate": gate,
        "drift": DriftConfig(),
        "whole": lambda: whole(table, features=FEATURES, horizon_days=HORIZON),
        "tonight": tonight,
        "picture": False,
    }
    return TrainingTask(**{**values, **changes})


class ForeignModel:
    """A model of a kind that Tessera does not know; it scores well."""

    kind = "acme"

    def __init__(self, model: LinearModel) -> None:
        self._model = model

    def predict(self, rows: Matrix) -> Any:
        return self._model.predict(rows)

    def raw(self, rows: Matrix) -> Any:
        return self._model.raw(rows)

    def contributions(self, rows: Matrix) -> Matrix:
        return self._model.contributions(rows)

    def save(self, folder: Path) -> Mapping[str, Any]:
        (folder / "model.json").write_text("{}")
        return {}


class PickledModel(ForeignModel):
    """Of a kind that is known, in a file of a format that is refused."""

    kind = "logistic_regression"

    def save(self, folder: Path) -> Mapping[str, Any]:
        (folder / "model.pkl").write_bytes(b"\x80\x04.")
        return {"slope": 1.0, "intercept": 0.0}


class UnsavedModel(ForeignModel):
    """Cannot be written down at all."""

    def save(self, folder: Path) -> Mapping[str, Any]:
        raise ZeroDivisionError("no file for you")


class ChangedModel(ForeignModel):
    """Read back it is another model: its calibration is not what it was."""

    kind = "logistic_regression"

    def save(self, folder: Path) -> Mapping[str, Any]:
        saved = self._model.save(folder)
        return {**saved, "intercept": saved["intercept"] + 0.5}


class ForeignTrainer(Trainer):
    """A third party's trainer: ranks as logistic regression does, and makes one of the models above."""

    name = "acme"

    def __init__(self, model: type[ForeignModel]) -> None:
        self._model = model

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        fit = LogisticRegressionTrainerConfig(folds=2, inverse_penalty=1.0).open().fit(rows, labels, groups)
        assert isinstance(fit.model, LinearModel)
        return Fit(self._model(fit.model), fit.out_of_fold, fit.folds, {})

    def parameters(self) -> dict[str, str]:
        return {"acme": "1"}

    def check(self) -> Health:
        return Health(ok=True, says="here")


class WeakTrainer(LogisticRegressionTrainer):
    """Named as the baseline, and so weak that any other candidate is chosen: it is shrunk to almost nothing."""

    def __init__(self) -> None:
        super().__init__(LogisticRegressionTrainerConfig(folds=2, inverse_penalty=1e-9))


class OneFeatureTrainerConfig(dg.Config):
    """A third party's trainer by its dotted path."""

    column: int = 0

    def open(self) -> OneFeatureTrainer:
        return OneFeatureTrainer(self.column)


class OneFeatureTrainer(Trainer):
    """Takes the baseline's place, and looks at one column alone."""

    name = "logistic_regression"

    def __init__(self, column: int) -> None:
        self._column = column

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        seen = np.zeros_like(rows)
        seen[:, self._column] = rows[:, self._column]
        return LogisticRegressionTrainerConfig(folds=2).open().fit(seen, labels, groups)

    def parameters(self) -> dict[str, str]:
        return {"column": str(self._column)}

    def check(self) -> Health:
        return Health(ok=True, says="here")


class BlinkeredTrainerConfig(dg.Config):
    """Another trainer that sees only some of the columns: the merge of two of them knows more than each."""

    sees: list[int]
    of: dict[str, Any]

    def open(self) -> BlinkeredTrainer:
        return BlinkeredTrainer(self.sees, trainers_of([TrainerSettings.model_validate(self.of)])[0])


class BlinkeredTrainer(Trainer):
    """Shows the columns that it sees to the other trainer, and zeros in place of the rest."""

    def __init__(self, sees: list[int], inner: Trainer) -> None:
        self.name, self._sees, self._inner = inner.name, sees, inner

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        seen = np.zeros_like(rows)
        seen[:, self._sees] = rows[:, self._sees]
        return self._inner.fit(seen, labels, groups)

    def knowing(self, columns: Columns) -> BlinkeredTrainer:
        found = copy(self)
        found._inner = self._inner.knowing(columns)
        return found

    def keeping(self, chosen: Mapping[str, str]) -> BlinkeredTrainer:
        found = copy(self)
        found._inner = self._inner.keeping(chosen)
        return found

    def parameters(self) -> dict[str, str]:
        return self._inner.parameters()

    def check(self) -> Health:
        return self._inner.check()


class Notices(Notifier):
    """Keeps what was told; `deaf` delivers nothing."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.said: list[tuple[str, str, str]] = []
        self._deaf = deaf

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        if self._deaf:
            raise TesseraError("nobody listens.", expected="somebody", todo="Call.")
        self.said.append((level, subject, body))

    def check(self) -> Health:
        return Health(ok=True, says="listens")
