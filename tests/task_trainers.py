"""Small trainers of several classes and of rankings, as a third party would write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from sklearn.linear_model import LogisticRegression

from models.tasks.task import TaskName
from models.training.cross_validation import dealt_groups
from models.training.model import Fit, Groups, Labels, Matrix, Vector
from resources.health import Health
from resources.trainer.port import Trainer


class LinearScores:
    """Weights in a JSON file; classes by softmax, a ranking by the one score."""

    kind = "linear_scores"
    loader = "tests.task_trainers:LinearScores.load"
    explains = False

    def __init__(self, weights: Vector, intercept: Vector) -> None:
        self._weights, self._intercept = weights, intercept

    def raw(self, rows: Matrix) -> Vector:
        return np.array([self._weights @ row for row in rows.astype(np.float64)]) + self._intercept

    def predict(self, rows: Matrix) -> Vector:
        raw = self.raw(rows)
        if raw.shape[1] == 1:
            return raw[:, 0]
        found = np.exp(raw - raw.max(axis=1, keepdims=True))
        return found / found.sum(axis=1, keepdims=True)

    def save(self, folder: Path) -> Mapping[str, Any]:
        text = json.dumps({"weights": self._weights.tolist(), "intercept": self._intercept.tolist()})
        (folder / "weights.json").write_text(text)
        return {}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> LinearScores:
        found = json.loads((folder / "weights.json").read_text())
        return cls(np.array(found["weights"]), np.array(found["intercept"]))


class LinearTrainerConfig(dg.Config):
    """Logistic regression over the first `columns` of the features; 0: all."""

    task: str
    columns: int = 0
    penalty: float = 0.02

    def open(self) -> LinearTrainer:
        return LinearTrainer(self)


class LinearTrainer(Trainer):
    """Fits `LinearScores`."""

    def __init__(self, config: LinearTrainerConfig) -> None:
        self._config = config
        self.name = f"linear_{config.columns or 'all'}"
        self.task: TaskName = "ranking" if config.task == "ranking" else "multiclass"

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        folds = dealt_groups(groups, k=3, seed=1)
        parts = [(folds == k, self._model(rows[folds != k], labels[folds != k])) for k in range(3)]
        shape = parts[0][1].predict(rows[:1]).shape[1:]
        predicted = np.empty((len(rows), *shape))
        for held_out, model in parts:
            predicted[held_out] = model.predict(rows[held_out])
        return Fit(self._model(rows, labels), predicted, folds, {})

    def parameters(self) -> dict[str, str]:
        return {"columns": str(self._config.columns)}

    def check(self) -> Health:
        return Health(ok=True, says="here")

    def _model(self, rows: Matrix, labels: Labels) -> LinearScores:
        used = rows.copy()
        if self._config.columns:
            used[:, self._config.columns :] = 0
        fitted = LogisticRegression(C=1 / self._config.penalty, max_iter=1000).fit(used, labels)
        return LinearScores(fitted.coef_, fitted.intercept_)
