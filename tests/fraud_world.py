"""Some real payments of the fraud handbook as a lake, as events, and a model that learned from them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import xgboost as xgb

from assets.fraud import features as fraud_features
from assets.fraud.model import FraudModel
from assets.fraud.scoring import scoring_task
from assets.fraud.stream.processor import FraudProcessor
from assets.stages.batch_scoring import Night, score
from assets.stages.publication import Published, publish
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.fraud.event_parsing import PaymentLimits
from models.fraud.replay import events_of, payment_history
from models.fraud.threshold import ALERTING, threshold_text
from models.settings import FraudSettings
from models.training.calibration import Platt
from models.training.encoding import Encoder
from models.training.model_package import ModelCard, load, save
from models.training.xgboost_model import XGBoostModel
from resources.engine.local import LocalEngine, LocalEngineConfig
from resources.events.sqlite_events import SqliteEvents, SqliteEventsConfig
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.notifier.log import LogNotifier
from resources.registry.fake import FolderRegistry
from resources.trainer.xgboost import XGBoostTrainerConfig
from tests.fraud_store import FraudStore
from tests.stores import FolderStores

FIRST, DAY = date(2018, 6, 25), date(2018, 8, 10)
#: The last days, whose scores are looked at.
DAYS = [DAY - timedelta(days=n) for n in range(7)]
NOW = datetime(2018, 8, 21, 12, tzinfo=UTC)
#: Terminals and cards with most frauds in that time: windows are worth something, and there are alerts.
_SOME = (
    "TERMINAL_ID IN (4019, 4865, 796, 3433, 8143, 3637, 1368, 7865, 8018, 2889) "
    "OR CUSTOMER_ID IN (3227, 3224, 27, 2321)"
)

_ZEROS = np.zeros((1, len(FEATURES)), np.float32)

#: So low that there are more alerts than frauds.
_THRESHOLD = 0.15


@dataclass(frozen=True)
class World(FolderStores):
    """A home in a folder."""

    folder: Path

    @property
    def lake(self) -> DeltaLake:
        return DeltaLakeConfig(path=str(self.folder / "lake")).open()

    @property
    def engine(self) -> LocalEngine:
        return LocalEngineConfig(threads=1, memory_limit_mb=500, temp_directory=str(self.folder / "tmp")).open()

    @property
    def registry(self) -> FolderRegistry:
        return FolderRegistry(self.folder / "registry")

    @property
    def events(self) -> SqliteEvents:
        return SqliteEventsConfig(path=str(self.folder / "events.db")).open()

    @property
    def store(self) -> FraudStore:
        return FraudStore(self.folder / "streams.db")

    @property
    def model(self) -> FraudModel:
        return FraudModel(self.registry, "1")

    def night(self, day: date, run_id: str = "run") -> Night:
        """The scoring of a day by the champion."""
        task, notifier = scoring_task(FraudSettings()), LogNotifier(self.folder / "notices.jsonl")
        return Night(task, self.lake, self.registry, self.sink, notifier, day, run_id)

    def score(self, day: date, run_id: str = "run") -> Published:
        """A night's scoring and publishing of a day."""
        night = self.night(day, run_id)
        score(night)
        return publish(night.sink, night.notifier, "fraud", day)

    def promote_another(self) -> None:
        """A champion like the first that gives other probabilities."""
        first = self.registry.fetch("fraud", "1")
        made = load(first)
        booster = xgb.Booster(model_file=next(first.glob("*.ubj")))
        steeper = XGBoostModel(booster, Platt(slope=1.2, intercept=-0.1))
        golden = json.dumps({"rows": [[0.0] * len(FEATURES)], "scores": steeper.predict(_ZEROS).tolist()})
        package = self.folder / "another"
        save(package, steeper, made.encoder, made.card, {**made.extras, "golden.json": golden})
        self.registry.register("fraud", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
        self.registry.set_champion("fraud", "2", action="promote", why="", who="", run_id="", metrics={})

    def worker(self) -> FraudProcessor:
        return FraudProcessor(self.events, self.store, PaymentLimits(), clock=lambda: NOW)

    def streamed(self, events: Iterable[Event]) -> None:
        """The stream took in these events, some at a time."""
        self.events.publish(list(events))
        worker, model = self.worker(), self.model
        while worker.process(model, limit=97).events:
            pass

    def copied(self, folder: Path) -> World:
        """The same once more, to be changed."""
        shutil.copytree(self.folder, folder)
        return World(folder)


def made(shared_data: Path, folder: Path) -> World:
    """A lake with payments, labels and features, and a champion; nothing was streamed yet."""
    world = World(folder)
    for table, rows in _tables(shared_data).items():
        world.lake.replace(table, rows, by="delivered_on", first=FIRST, last=NOW.date())
    learnt = fraud_features.computed(world.lake, world.engine, FIRST + timedelta(days=30), DAYS[-1]).read_all()
    _train(world, learnt)
    for day in DAYS:
        fraud_features.write(world.lake, world.engine, day)
    return world


def happened(world: World) -> list[Event]:
    """Every payment up to `DAY` and what was known of them at its end, as events in order."""
    tables = {"payments": world.lake.scan("payments"), "labels": world.lake.scan("payment_labels", last=DAY)}
    batches = world.engine.query(payment_history, tables, first=FIRST, last=DAY)
    return [event for batch in batches for event in events_of(batch)]


def shuffled_and_doubled(events: Sequence[Event]) -> list[Event]:
    """The same, up to three days late, a third of them twice: the second time under another name."""
    draw = random.Random(20)  # noqa: S311 - no secret
    twice = [one.model_copy(update={"source": f"{one.source}/again"}) for one in events if draw.random() < 1 / 3]
    return sorted([*events, *twice], key=lambda one: one.time + timedelta(days=draw.random() * 3))


def _tables(shared_data: Path) -> dict[str, pa.Table]:
    payments = "TRANSACTION_ID, CUSTOMER_ID, TERMINAL_ID, TX_DATETIME, TX_AMOUNT, TX_FRAUD"
    files = f"'{shared_data}/fraud_handbook/transactions_*.parquet'"
    days = f"TX_DATETIME BETWEEN '{FIRST}' AND '{DAY + timedelta(days=1)}'"
    query = f"SELECT {payments} FROM {files} WHERE ({_SOME}) AND {days} ORDER BY 4, 1"  # noqa: S608
    with duckdb.connect() as connection:
        rows = connection.execute(query).fetchall()
    moments = [row[3].replace(tzinfo=UTC) for row in rows]
    known = [moment + timedelta(days=7) for moment in moments]
    time, ids = pa.timestamp("us", "UTC"), pa.array([row[0] for row in rows], pa.int64())
    paid = {
        "transaction_id": ids,
        "customer_id": [str(row[1]) for row in rows],
        "terminal_id": [str(row[2]) for row in rows],
        "paid_at": pa.array(moments, time),
        "amount": [row[4] for row in rows],
        "delivered_on": pa.array([moment.date() for moment in moments], pa.date32()),
    }
    told = {
        "transaction_id": ids,
        "is_fraud": [bool(row[5]) for row in rows],
        "labelled_at": pa.array(known, time),
        "delivered_on": pa.array([moment.date() for moment in known], pa.date32()),
    }
    return {"payments": pa.table(paid), "payment_labels": pa.table(told)}


def _train(world: World, learnt: pa.Table) -> None:
    labels = world.lake.scan("payment_labels").to_table(columns=["transaction_id", "is_fraud"])
    rows = learnt.join(labels, "transaction_id").sort_by("transaction_id")
    matrix = np.column_stack([rows[name].to_numpy() for name in FEATURES]).astype(np.float32)
    frauds = rows["is_fraud"].to_numpy().astype(np.int8)
    cards = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)[1]
    fit = XGBoostTrainerConfig(max_rounds=120, learning_rate=0.2, folds=2).open().fit(matrix, frauds, cards)
    card = ModelCard(
        app="fraud",
        as_of=DAYS[-1],
        label_end=DAYS[-1],
        train_cutoffs=(),
        feature_service="fraud_v1",
        feature_version="fraud_v1",
        rows=rows.num_rows,
        labels={"positives": int(frauds.sum())},
        parameters={},
        metrics={},
    )
    encoder = Encoder.fit(rows.select(list(FEATURES)), FEATURES)
    package = world.folder / "package"
    golden = json.dumps({"rows": _ZEROS.astype(float).tolist(), "scores": fit.model.predict(_ZEROS).tolist()})
    save(package, fit.model, encoder, card, {ALERTING: threshold_text(_THRESHOLD, 5), "golden.json": golden})
    version = world.registry.register("fraud", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    world.registry.set_champion("fraud", version, action="promote", why="test", who="test", run_id="", metrics={})
