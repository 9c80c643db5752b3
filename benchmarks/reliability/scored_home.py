"""A home in a folder whose champion has scored and published some nights: in process, without MLflow and Dagster."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from assets.churn import features as churn_features
from assets.churn import training as churn_training
from assets.churn.scoring import scoring_task as churn_scoring
from assets.demand import assets as demand
from assets.fraud import features as fraud_features
from assets.fraud import training as fraud_training
from assets.fraud.scoring import scoring_task as fraud_scoring
from assets.stages.attempt_info import AttemptInfo
from assets.stages.batch_scoring import Night, score
from assets.stages.cutoff_training import cutoff_rows, cutoff_task
from assets.stages.feature_days import write_features
from assets.stages.ingestion.run import ingest
from assets.stages.publication import publish
from assets.stages.scoring_task import ScoringTask
from assets.stages.training import evaluate_candidates, promote_or_keep
from assets.stages.training_task import TrainingTask
from models.settings import Settings
from models.simulation.defects import DefectShares
from models.simulation.scenario import NO_CHANGE, Scenario
from models.simulation.shop import Shop
from resources.engine.local import LocalEngine
from resources.source.simulated import SimulatedSource
from resources.trainer.port import Trainer
from resources.trainer.xgboost import XGBoostTrainerConfig
from resources.trainer.xgboost_regression import XGBoostRegressionTrainerConfig
from tests.stores import FolderStores

ScoredApp = Literal["churn", "fraud", "demand"]
SCORED: tuple[ScoredApp, ...] = ("churn", "fraud", "demand")
#: Days of orders or payments before the night.
HISTORY_DAYS: Mapping[ScoredApp, int] = {"churn": 330, "fraud": 150, "demand": 200}
#: Tables that each application's features need.
TABLES: Mapping[ScoredApp, tuple[str, ...]] = {
    "churn": ("products", "orders"),
    "fraud": ("payments", "payment_labels"),
    "demand": ("products", "orders"),
}
SETTINGS = Settings.model_validate(
    {
        "churn": {"cutoff_step_days": 14, "max_training_cutoffs": 4, "refit": {"enabled": False}},
        "fraud": {
            "train_days": 28,
            "holdout_days": 28,
            "alerts_per_day": 20,
            "gate": {"top_per_day": 20},
            "refit": {"enabled": False},
        },
        "demand": {"refit": {"enabled": False}},
    }
)


@dataclass(frozen=True)
class ScoredHome(FolderStores):
    """A home of one application.

    Attributes:
        app: the application.
        folder: where its stores are.
        day: the night that is changed; earlier ones are published.
        settings: of the application.
    """

    app: ScoredApp
    folder: Path
    day: date
    settings: Settings = SETTINGS

    @property
    def engine(self) -> LocalEngine:
        """Computes features, in one thread."""
        return LocalEngine(1, 1000, self.folder / "tmp")

    def trainer(self) -> Trainer:
        """Return a trainer that takes seconds."""
        if self.app == "demand":
            return XGBoostRegressionTrainerConfig().open()
        return XGBoostTrainerConfig(folds=2, max_rounds=150, learning_rate=0.1, max_depth=2).open()

    def scoring(self) -> ScoringTask:
        """Return the application's scoring."""
        if self.app == "churn":
            return churn_scoring(self.settings.churn)
        return demand.scoring_task(self.settings) if self.app == "demand" else fraud_scoring(self.settings.fraud)

    def compute(self, *days: date) -> None:
        """Compute the features of these days."""
        if self.app == "churn":
            churn_features.write_features(self.lake, self.engine, self.settings.churn, days)
        elif self.app == "demand":
            plan = demand.cutoff_plan(self.settings)
            write_features(self.lake, self.engine, plan.table, days, len(plan.features))
        else:
            for day in days:
                fraud_features.write(self.lake, self.engine, day)

    def task(self, as_of: date, change: Callable[[pa.Table], pa.Table] = lambda rows: rows) -> TrainingTask:
        """Return the training task as of a day, its rows changed before anything is learnt."""
        if self.app == "fraud":
            found = fraud_training.training_set(self.lake, self.engine, self.settings.fraud, as_of)
            return fraud_training.training_task(_changed(found, change), self.settings.fraud)
        settings: Any = self.settings.churn if self.app == "churn" else self.settings.demand
        plan = churn_training.cutoff_plan(settings) if self.app == "churn" else demand.cutoff_plan(self.settings)
        rows = cutoff_rows(self.lake, self.engine, plan, settings, as_of)
        return cutoff_task(plan, _changed(rows, change), settings, settings.gate)

    def train(self, as_of: date) -> None:
        """Train a champion through its gate."""
        task = self.task(as_of)
        best = evaluate_candidates(task, [self.trainer()], self.registry, as_of)
        promote_or_keep(task, best, self.registry, self.notifier, run_id="r", who="benchmark")

    def scored(self, day: date) -> AttemptInfo:
        """Score a day, and audit the scores; nothing is published."""
        night = Night(self.scoring(), self.lake, self.registry, self.sink, self.notifier, day, f"run-{day}")
        return score(night)

    def publish(self, day: date) -> None:
        """Publish the scores of a day that passed their audit."""
        publish(self.sink, self.notifier, self.app, day)

    @property
    def features_table(self) -> str:
        """Lake table of its features."""
        return self.scoring().app.features

    def features(self, day: date) -> pl.DataFrame:
        """Return the features of a day."""
        return pl.DataFrame(self.lake.scan(self.features_table, first=day, last=day).to_table())

    def replace_features(self, rows: pl.DataFrame, schema: pa.Schema) -> None:
        """Put other features in the place of those of the night."""
        table = rows.select(schema.names).to_arrow().cast(schema)
        self.lake.replace(self.features_table, table, by="feature_date", first=self.day, last=self.day)

    def copied(self, folder: Path) -> ScoredHome:
        """Return a copy, to be changed."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("tmp"))
        return ScoredHome(self.app, folder, self.day, self.settings)


def made(
    app: ScoredApp,
    folder: Path,
    day: date,
    nights: int,
    *,
    seed: int = 7,
    customers: int = 3000,
    scenario: Scenario = NO_CHANGE,
    first_night: int = 1,
    tables: Sequence[str] = (),
    history_days: int | None = None,
) -> ScoredHome:
    """Make a home: ingested days, a champion, `nights` published nights before `day`, and the features of `day`.

    `tables`: that are ingested; empty: those that the application's features need. `history_days`: days of them before
    `day`; None: `HISTORY_DAYS`.
    """
    home, history = ScoredHome(app, folder, day), history_days or HISTORY_DAYS[app]
    first = day - timedelta(days=history)
    source = SimulatedSource(Shop(customers, seed, first, DefectShares(), scenario), first)
    ingestion = home.settings.ingestion.model_copy(update={"history_days": history})
    for table in tables or TABLES[app]:
        ingest(table, source, home.lake, day, ingestion, "benchmark")
    days = [day - timedelta(days=back) for back in range(nights, first_night - 1, -1)]
    home.train(days[0] - timedelta(days=1))
    home.compute(*days, day)
    for one in days:
        home.scored(one)
        home.publish(one)
    return home


def _changed(found: Any, change: Callable[[pa.Table], pa.Table]) -> Any:
    from dataclasses import replace

    return replace(found, rows=change(found.rows))
