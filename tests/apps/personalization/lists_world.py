"""A home of a small simulated storefront: orders, visits, stock, products; no MLflow, no weights."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
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
from resources.lake.delta import DeltaLake
from resources.source.simulated import SimulatedSourceConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.apps.composed_home import ComposedHome

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


class ListsHome(ComposedHome):
    """A home in a folder."""

    def ports(self, **others: Any) -> Any:
        """The ports that a request opens."""
        found = {"lake": self.lake, "sink": self.sink, "registry": self.registry}
        found["vectors"] = QdrantEdgeConfig(path=str(self.folder / "vectors")).open()
        return SimpleNamespace(**{**found, **others})

    def night(
        self, settings: Settings = SETTINGS, day: date = DAY, run_config: Mapping[str, Any] | None = None, **others: Any
    ) -> dg.ExecuteInProcessResult:
        """Run every asset of the application for a day."""
        return self._night(personalization, settings, day, run_config, others)

    def published(self, day: date = DAY) -> dict[str, dict[str, Any]]:
        """The published lists of a day by customer."""
        return self._published("personalization", "customer_id", day)


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
