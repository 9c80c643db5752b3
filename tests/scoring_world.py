"""A home in which churn is scored: features of some days, models that stand in for trained ones, no MLflow."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import ConfigDict

from assets.churn import assets as churn
from assets.churn.scoring import scoring_task
from assets.stages.batch_scoring import Night
from models.features.cutoffs import cutoff_moment
from models.scoring.config import DriftConfig, ScoringConfig
from models.scoring.drift import drift_reference
from models.settings import ChurnSettings, Settings
from models.training.encoding import Encoder
from models.training.model_package import ModelCard, save
from resources.lake.delta import DeltaLakeConfig
from resources.notifier.log import LogNotifier, LogNotifierConfig
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.stack.no_values import no_values
from resources.stack.ports import LakeResource, NotifierResource, RegistryResource, SettingsResource, SinkResource
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.stores import FolderStores

DAY = date(2026, 3, 1)
FEATURES = ["recency_days", "orders_total"]
CUSTOMERS = 300
SETTINGS = ChurnSettings(scoring=ScoringConfig(contact_budget=10, min_contact_score=0.0, max_reasons_rows=5))


def feature_rows(day: date, *, shift: float = 0.0, customers: int = CUSTOMERS) -> pa.Table:
    """Features of a day; `shift` moves the distribution of `recency_days`."""
    draws = np.random.default_rng(11)
    return pa.table(
        {
            "customer_id": [f"c{number:05d}" for number in range(customers)],
            "feature_date": pa.array([day] * customers, pa.date32()),
            "event_timestamp": pa.array([cutoff_moment(day)] * customers, pa.timestamp("us", "UTC")),
            "recency_days": draws.normal(size=customers) + shift,
            "orders_total": draws.normal(size=customers),
        }
    )


def package(folder: Path, weight: float = 1.0, version: str = "churn_v1") -> Path:
    """A model of `FEATURES` of a version; another weight is another model."""
    draws = np.random.default_rng(3)
    rows = draws.normal(size=(400, 2)).astype(np.float32)
    labels = (weight * rows[:, 0] + rows[:, 1] + draws.normal(size=400) > 0).astype(np.int8)
    model = LogisticRegressionTrainerConfig().open().fit(rows, labels, np.arange(400)).model
    golden = {"rows": rows[:20].astype(float).tolist(), "scores": model.predict(rows[:20]).tolist()}
    table = feature_rows(DAY)
    card = ModelCard(
        app="churn",
        as_of=DAY,
        label_end=DAY,
        train_cutoffs=(DAY,),
        feature_service="churn_v1",
        feature_version=version,
        rows=400,
        labels={"positives": int(labels.sum())},
        parameters={"weight": str(weight)},
        metrics={},
    )
    drift = drift_reference(table, FEATURES, DriftConfig()).model_dump_json()
    extras = {"golden.json": json.dumps(golden), "drift.json": drift}
    save(folder, model, Encoder.fit(table, FEATURES), card, extras)
    return folder


class FakeRegistryResource(RegistryResource):
    """Folders instead of MLflow."""

    folder: str

    def open(self) -> FolderRegistry:
        return FolderRegistry(Path(self.folder))


class LakeIn(LakeResource):
    backend: DeltaLakeConfig


class SinkIn(SinkResource):
    backend: DeltaSinkConfig


class NotifierIn(NotifierResource):
    backend: LogNotifierConfig


class ChurnOnly(SettingsResource):
    model_config = ConfigDict(frozen=True)

    def open(self) -> Settings:
        return Settings(churn=SETTINGS)


@dataclass(frozen=True)
class World(FolderStores):
    """A home in a folder."""

    folder: Path

    def night(self, day: date = DAY, run_id: str = "run") -> Night:
        notifier = LogNotifier(self.folder / "notices.jsonl")
        return Night(scoring_task(SETTINGS), self.lake, self.registry, self.sink, notifier, day, run_id)

    def features(self, day: date, **change: Any) -> None:
        """The day has features."""
        self.lake.replace("churn_features", feature_rows(day, **change), by="feature_date", first=day, last=day)

    def promote(self, weight: float, version: str = "churn_v1") -> str:
        """A version with this weight, trained on features of a version, is champion."""
        made = package(self.folder / f"package-{weight}", weight, version)
        version = self.registry.register("churn", made, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
        about = {"action": "promote", "why": "better", "who": "test", "run_id": "", "metrics": {}}
        self.registry.set_champion("churn", version, **about)
        return version

    def break_version(self, version: str) -> None:
        """The version's model can no longer be fetched, and no copy of it is left."""
        shutil.rmtree(self.folder / "models" / "cache", ignore_errors=True)
        for file in (self.folder / "models" / "churn" / version / "package").iterdir():
            if file.name != "manifest.json":
                file.write_bytes(b"broken")

    def notices(self) -> list[Mapping[str, Any]]:
        """Everything that was told to people."""
        file = self.folder / "notices.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def resources(self) -> dict[str, Any]:
        """For a run of Dagster."""
        return {
            "lake": LakeIn(backend=DeltaLakeConfig(path=str(self.folder / "lake"))),
            "registry": FakeRegistryResource(folder=str(self.folder / "models")),
            "sink": SinkIn(backend=DeltaSinkConfig(path=str(self.folder / "scores"))),
            "notifier": NotifierIn(backend=LogNotifierConfig(path=str(self.folder / "notices.jsonl"))),
            "settings": ChurnOnly(),
            "io_manager": no_values,
        }

    def run(
        self, *assets: dg.AssetsDefinition, day: date = DAY, worst: str | None = None, instance: Any = None
    ) -> dg.ExecuteInProcessResult:
        """A run of these assets (scores and publication) in this process."""
        chosen = assets or (churn.scores, churn.publication)
        config = {"ops": {"churn__scores": {"config": {"worst": worst}}}} if worst else {}
        return dg.materialize(
            chosen,
            partition_key=day.isoformat(),
            resources=self.resources(),
            raise_on_error=False,
            run_config=config,
            instance=instance,
        )

    def fallback(self, day: date = DAY) -> dg.ExecuteInProcessResult:
        """What the job `churn_fallback` runs."""
        return self.run(day=day, worst="last_good_scores")


def made(folder: Path) -> World:
    """A home with one champion, whose orders were delivered and whose features of DAY exist."""
    world = World(folder)
    folder.mkdir(parents=True, exist_ok=True)
    orders = pa.table({"customer_id": ["c00000"], "delivered_on": pa.array([DAY], pa.date32())})
    world.lake.replace("orders", orders, by="delivered_on", first=DAY, last=DAY)
    world.promote(1.0)
    world.features(DAY)
    return world
