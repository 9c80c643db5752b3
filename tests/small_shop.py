"""Orders of a small simulated shop, and a night of an application over them: in process, without MLflow."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict

from assets.stages.app import App
from assets.stages.ingestion.run import ingest
from models.ingestion import IngestionConfig
from models.settings import Settings
from resources.engine.local import LocalEngine, LocalEngineConfig
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.notifier.log import LogNotifierConfig
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.source.simulated import SimulatedSourceConfig
from resources.stack.no_values import no_values
from resources.stack.ports import (
    EngineResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
)
from tests.stores import FolderStores

FIRST, DAYS = date(2025, 1, 1), 150
#: The last day of which everything is known, and the night that is run.
DAY = FIRST + timedelta(days=DAYS - 1)
_SHOP = SimulatedSourceConfig(customers=200, seed=7, first_day=FIRST.isoformat())


class Purchase(NamedTuple):
    """An order line that was not returned: days before (features) or after (labels) the cut-off's day, its value."""

    days: int
    units: int
    cents: int


class EngineIn(EngineResource):
    backend: LocalEngineConfig


class LakeIn(LakeResource):
    backend: DeltaLakeConfig


class SinkIn(SinkResource):
    backend: DeltaSinkConfig


class NotifierIn(NotifierResource):
    backend: LogNotifierConfig


class FolderRegistryIn(RegistryResource):
    folder: str

    def open(self) -> FolderRegistry:
        return FolderRegistry(Path(self.folder))


class ChosenSettings(SettingsResource):
    model_config = ConfigDict(frozen=True)
    chosen: str

    def open(self) -> Settings:
        return Settings.model_validate_json(self.chosen)


@cache
def _ingested() -> Path:
    """A home with the orders, ingested as every night does: late and broken ones among them."""
    folder = Path(tempfile.mkdtemp(prefix="small-shop-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ingest("orders", _SHOP.open(), DeltaLake(str(folder / "lake")), DAY, IngestionConfig(history_days=DAYS), "r")
    return folder


@dataclass(frozen=True)
class SmallShop(FolderStores):
    """A home in a folder, whose lake holds the orders of half a year."""

    folder: Path

    @classmethod
    def in_folder(cls, folder: Path) -> SmallShop:
        """Put a copy of the orders into the folder; a process makes them once."""
        shutil.copytree(_ingested() / "lake", folder / "lake")
        return cls(folder)

    def asked(self, expression: Callable[..., Any], tables: dict[str, Any], **arguments: Any) -> list[dict[str, Any]]:
        """The rows of an expression over `orders` and these tables."""
        engine = LocalEngine(1, 500, self.folder)
        return (
            engine.query(expression, {"orders": self.lake.scan("orders"), **tables}, **arguments).read_all().to_pylist()
        )

    def features(self, expression: Callable[..., Any], day: date, **arguments: Any) -> list[dict[str, Any]]:
        """The features as of `day`."""
        cutoffs = pa.table({"feature_date": pa.array([day], pa.date32())})
        return self.asked(expression, {"cutoffs": cutoffs}, **arguments)

    def labels(
        self, expression: Callable[..., Any], key: str, ids: Iterable[str], day: date, **arguments: Any
    ) -> list[dict[str, Any]]:
        """The labels of these entities at the end of `day`."""
        listed = list(ids)
        moments = pa.array([datetime.combine(day, time.max, UTC)] * len(listed), pa.timestamp("us", "UTC"))
        return self.asked(expression, {"entities": pa.table({key: listed, "event_timestamp": moments})}, **arguments)

    def purchases_by(self, key: str, day: date) -> dict[str, list[Purchase]]:
        """The purchases of each entity that were placed and delivered by the end of `day`, with their age in days."""
        return self._purchases(key, lambda placed, delivered: placed <= day and delivered <= day, day, -1)

    def purchases_after(self, key: str, day: date, *, horizon_days: int, as_of: date) -> dict[str, list[Purchase]]:
        """The purchases of the days after `day` that were delivered by `as_of`."""
        last = day + timedelta(days=horizon_days)
        return self._purchases(key, lambda placed, delivered: day < placed <= last and delivered <= as_of, day, 1)

    def _purchases(
        self, key: str, counts: Callable[[date, date], bool], day: date, sign: int
    ) -> dict[str, list[Purchase]]:
        found = defaultdict[str, list[Purchase]](list)
        for row in self.lake.scan("orders").to_table().to_pylist():
            placed, units = row["ordered_at"].date(), abs(row["quantity"])
            if not row["is_return"] and counts(placed, row["delivered_on"]):
                days = sign * (placed - day).days
                found[row[key]].append(Purchase(days, units, round(units * row["unit_price"] * 100)))
        return dict(found)

    def night(self, module: ModuleType, settings: Settings, day: date = DAY) -> dg.ExecuteInProcessResult:
        """Run the assets of an application for `day`: features, champion, scores, publication."""
        home = self.folder
        return dg.materialize(
            dg.load_assets_from_modules([module]),
            partition_key=day.isoformat(),
            resources={
                "engine": EngineIn(backend=LocalEngineConfig(temp_directory=str(home / "tmp"))),
                "lake": LakeIn(backend=DeltaLakeConfig(path=str(home / "lake"))),
                "registry": FolderRegistryIn(folder=str(home / "models")),
                "sink": SinkIn(backend=DeltaSinkConfig(path=str(home / "scores"))),
                "notifier": NotifierIn(backend=LogNotifierConfig(path=str(home / "notices.jsonl"))),
                "settings": ChosenSettings(chosen=settings.model_dump_json()),
                "io_manager": no_values,
            },
            raise_on_error=False,
        )

    def published(self, app: App, day: date = DAY) -> pa.Table:
        """The published rows of `day`."""
        publication = self.sink.published(app.name, day)
        assert publication is not None
        return pa.Table.from_batches(self.sink.published_rows(publication))
