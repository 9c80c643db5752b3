"""A home of support in a folder whose champion has read and published the tickets of some nights: in process."""

# pyright: basic

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from assets.stages.attempt_info import AttemptInfo
from assets.stages.batch_scoring import Night, score
from assets.stages.composition_training import promote_or_keep, register_composition
from assets.stages.feature_days import DAY
from assets.stages.ingestion.run import ingest
from assets.stages.publication import publish
from assets.stages.scoring_task import ComposedRows, ScoringTask
from assets.support import learning
from assets.support.history import write_day
from assets.support.knowledge_base import index_articles
from assets.support.resources import triage_resources
from assets.support.triage import scoring_task
from models.compose.gate import CompositionGateConfig
from models.settings import Settings, SupportSettings
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.support.config import TriageConfig, TriageGateConfig
from models.support.hand_off import HandOffConfig
from resources.embedder.hashed import HashedEmbedderConfig
from resources.language_model.extractive import ExtractiveModelConfig
from resources.source.simulated import SimulatedSource
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.stores import FolderStores

APP, FEATURES = "support", "support_features"
_TABLES = ("customers", "tickets", "ticket_labels", "articles")
#: Days of tickets before the night; active customers of the shop.
HISTORY_DAYS, _CUSTOMERS = 90, 12_000
SETTINGS = Settings(
    support=SupportSettings(
        steps=TriageConfig(embedding_ms=1.0, hand_off=HandOffConfig(sends_drafts=True, min_cited_precision=0.01)),
        gate=TriageGateConfig(min_tickets=30, resamples=200, router=CompositionGateConfig(min_rows=30, resamples=200)),
    )
)
#: Changes the rows that a composition gave, e.g. to what a broken step would give.
Change = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class SupportHome(FolderStores):
    """A home of support; `change`: of the rows of a night, before they are written and audited."""

    folder: Path
    day: date
    change: Change = lambda rows: rows

    @property
    def live(self) -> dict[str, Any]:
        """Embedder without weights, extractive answers, the index of articles."""
        embedder = HashedEmbedderConfig(dimension=128).open()
        store = QdrantEdgeConfig(path=str(self.folder / "vectors")).open()
        return triage_resources(store, embedder, ExtractiveModelConfig().open())

    def scoring(self) -> ScoringTask:
        """Return the triage whose rows are changed."""
        task = scoring_task(SETTINGS.support, self.live)
        assert task.composed is not None
        made = task.composed.score

        def changed(loaded: Any, tickets: pa.Table) -> Iterator[ComposedRows]:
            for found in made(loaded, tickets):
                rows = self.change(pl.DataFrame(found.rows)).to_arrow().cast(found.rows.schema)
                yield replace(found, rows=rows)

        return replace(task, composed=replace(task.composed, score=changed))

    def index(self) -> None:
        """Index the articles."""
        store, embedder = QdrantEdgeConfig(path=str(self.folder / "vectors")), HashedEmbedderConfig(dimension=128)
        index_articles(store.open(), self.lake, embedder.open())

    def train(self, as_of: date) -> list[Any]:
        """Train and register a candidate; promote it if it passes; return the failed checks."""
        found = learning.labelled_rows(self.lake, SETTINGS.support, as_of)
        made = learning.candidate(found, self.registry, self.live, SETTINGS.support)
        failed = [check for check in made.report.checks if not check.passed]
        version = register_composition(APP, made, self.registry, as_of)
        promote_or_keep(APP, made, version, self.registry, as_of, run_id="r", who="benchmark")
        return failed

    def compute(self, day: date) -> None:
        """Write the tickets of a day with their history."""
        write_day(self.lake, self.sink, day, None)

    def scored(self, day: date) -> AttemptInfo:
        """Read the tickets of a day, and audit what was read; nothing is published."""
        return score(Night(self.scoring(), self.lake, self.registry, self.sink, self.notifier, day, f"run-{day}"))

    def features(self, day: date) -> pl.DataFrame:
        """Return the tickets of a day."""
        return pl.DataFrame(self.lake.scan(FEATURES, first=day, last=day).to_table())

    def replace_features(self, rows: pl.DataFrame, schema: pa.Schema) -> None:
        """Put other tickets in the place of those of the night."""
        table = rows.select(schema.names).to_arrow().cast(schema)
        self.lake.replace(FEATURES, table, by=DAY, first=self.day, last=self.day)

    def copied(self, folder: Path) -> SupportHome:
        """Return a copy, to be changed."""
        shutil.copytree(self.folder, folder)
        return SupportHome(folder, self.day)


def made(
    folder: Path,
    day: date,
    nights: int,
    *,
    seed: int = 7,
    customers: int = _CUSTOMERS,
    first_night: int = 1,
    tables: Sequence[str] = _TABLES,
    history_days: int = HISTORY_DAYS,
) -> SupportHome:
    """Make a home: ingested days, a champion, `nights` published nights before `day`, and the tickets of `day`."""
    home, first = SupportHome(folder, day), day - timedelta(days=history_days)
    source = SimulatedSource(Shop(customers, seed, first, DefectShares()), first)
    ingestion = SETTINGS.ingestion.model_copy(update={"history_days": history_days})
    for table in tables:
        ingest(table, source, home.lake, day, ingestion, "benchmark")
    home.index()
    days = [day - timedelta(days=back) for back in range(nights, first_night - 1, -1)]
    home.train(days[0] - timedelta(days=1))
    for one in (*days, day):
        home.compute(one)
    for one in days:
        home.scored(one)
        publish(home.sink, home.notifier, APP, one)
    return home
