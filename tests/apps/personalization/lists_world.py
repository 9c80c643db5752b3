"""A home of a small simulated storefront: orders, visits, stock, products; no MLflow, no weights."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from assets.personalization import assets as personalization
from assets.stages.ingestion.run import ingest
from models.ingestion import IngestionConfig
from models.personalization.config import RankingLimits, StepsConfig
from models.recommend.config import GeneratorsConfig, RankerConfig, RecommenderConfig
from models.settings import PersonalizationSettings, Settings
from resources.embedder.hashed import HashedEmbedderConfig
from resources.engine.local import LocalEngineConfig
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.language_model.extractive import ExtractiveModelConfig
from resources.notifier.log import LogNotifierConfig
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.sink.port import Sink
from resources.source.simulated import SimulatedSourceConfig
from resources.stack.no_values import no_values
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.apps.support.support_world import EmbedderIn, ModelIn, VectorsIn
from tests.small_shop import ChosenSettings, EngineIn, FolderRegistryIn, LakeIn, NotifierIn, SinkIn

FIRST, DAYS = date(2025, 1, 1), 120
#: The last day of which everything is known, and the night that is run.
DAY = FIRST + timedelta(days=DAYS - 1)
SHOP = SimulatedSourceConfig(customers=200, seed=7, first_day=FIRST.isoformat())
#: A small recommender: few trees, small factors, two rankers.
_RECOMMENDER = RecommenderConfig(
    generators=GeneratorsConfig(factor_size=8, factor_rounds=2),
    ranker=RankerConfig(kinds=("frequency", "xgboost_binary"), rounds=20, depth=3),
)
SETTINGS = Settings(
    personalization=PersonalizationSettings(
        gate=RankingLimits(min_customers=30, resamples=200),
        session_days=DAYS,
        steps=StepsConfig(recommender=_RECOMMENDER, cutoffs=2, deadline_ms=None),
    )
)
TABLES = ("products", "orders", "sessions", "stock")


@dataclass(frozen=True)
class ListsHome:
    """A home in a folder."""

    folder: Path

    @property
    def lake(self) -> DeltaLake:
        return DeltaLake(str(self.folder / "lake"))

    @property
    def sink(self) -> Sink:
        return DeltaSinkConfig(path=str(self.folder / "scores")).open()

    @property
    def registry(self) -> FolderRegistry:
        return FolderRegistry(self.folder / "models")

    def ports(self, **others: Any) -> Any:
        """The ports that a request opens."""
        found = {"lake": self.lake, "sink": self.sink, "registry": self.registry}
        found["vectors"] = QdrantEdgeConfig(path=str(self.folder / "vectors")).open()
        return SimpleNamespace(**{**found, **others})

    def night(
        self, settings: Settings = SETTINGS, day: date = DAY, run_config: Mapping[str, Any] | None = None, **others: Any
    ) -> dg.ExecuteInProcessResult:
        """Run every asset of the application for a day."""
        home = self.folder
        resources = {
            "engine": EngineIn(backend=LocalEngineConfig(temp_directory=str(home / "tmp"))),
            "lake": LakeIn(backend=DeltaLakeConfig(path=str(home / "lake"))),
            "registry": FolderRegistryIn(folder=str(home / "models")),
            "sink": SinkIn(backend=DeltaSinkConfig(path=str(home / "scores"))),
            "notifier": NotifierIn(backend=LogNotifierConfig(path=str(home / "notices.jsonl"))),
            "settings": ChosenSettings(chosen=settings.model_dump_json()),
            "vectors": VectorsIn(backend=QdrantEdgeConfig(path=str(home / "vectors"))),
            "embedder": EmbedderIn(backend=HashedEmbedderConfig(dimension=128)),
            "language_model": ModelIn(backend=ExtractiveModelConfig()),
            "io_manager": no_values,
        }
        return dg.materialize(
            dg.load_assets_from_modules([personalization]),
            partition_key=day.isoformat(),
            resources=resources | others,
            run_config=run_config,
            raise_on_error=False,
        )

    def published(self, day: date = DAY) -> dict[str, dict[str, Any]]:
        """The published lists of a day by customer."""
        publication = self.sink.published("personalization", day)
        assert publication is not None
        batches = self.sink.published_rows(publication)
        return {row["customer_id"]: row for batch in batches for row in batch.to_pylist()}


@cache
def _ingested() -> Path:
    """A home with every table, ingested as every night does: late and broken rows among them."""
    folder = Path(tempfile.mkdtemp(prefix="storefront-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source, config = SHOP.open(), IngestionConfig(history_days=DAYS)
    for table in TABLES:
        ingest(table, source, DeltaLake(str(folder / "lake")), DAY, config, "r")
    return folder


def home_before_a_night(folder: Path) -> ListsHome:
    """Put a copy of the tables into a folder."""
    shutil.copytree(_ingested() / "lake", folder / "lake")
    return ListsHome(folder)


@cache
def _after_a_night() -> Path:
    """A home after its first night; a process makes it once."""
    folder = Path(tempfile.mkdtemp(prefix="lists-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = home_before_a_night(folder).night()
    assert made.success, [event.step_failure_data for event in made.all_events if event.is_step_failure]
    return folder


def home_after_a_night(folder: Path) -> ListsHome:
    """Put a copy of a home into a folder: a champion, the lists of `DAY` published."""
    for part in ("lake", "models", "scores", "vectors"):
        if (_after_a_night() / part).exists():
            shutil.copytree(_after_a_night() / part, folder / part)
    return ListsHome(folder)
