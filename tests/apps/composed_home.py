"""A home of an application composed of parts: its stores, a night, the published rows; no MLflow, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from models.settings import Settings
from resources.embedder.hashed import HashedEmbedderConfig
from resources.engine.local import LocalEngineConfig
from resources.feature_store.feast.store import FeastStoreConfig
from resources.lake.delta import DeltaLakeConfig
from resources.language_model.extractive import ExtractiveModelConfig
from resources.notifier.log import LogNotifierConfig
from resources.sink.delta import DeltaSinkConfig
from resources.stack.no_values import no_values
from resources.stack.ports import EmbedderResource, FeatureStoreResource, LanguageModelResource, VectorsResource
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.small_shop import ChosenSettings, EngineIn, FolderRegistryIn, LakeIn, NotifierIn, SinkIn
from tests.stores import FolderStores


class EmbedderIn(EmbedderResource):
    backend: HashedEmbedderConfig


class VectorsIn(VectorsResource):
    backend: QdrantEdgeConfig


class FeaturesIn(FeatureStoreResource):
    backend: FeastStoreConfig


class ModelIn(LanguageModelResource):
    backend: ExtractiveModelConfig


@dataclass(frozen=True)
class ComposedHome(FolderStores):
    """A home in a folder."""

    folder: Path

    def _night(
        self,
        assets: ModuleType,
        settings: Settings,
        day: date,
        run_config: Mapping[str, Any] | None,
        others: Mapping[str, Any],
    ) -> dg.ExecuteInProcessResult:
        """Run every asset of a module for a day; `others` take the place of resources."""
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
            "feature_store": FeaturesIn(
                backend=FeastStoreConfig(path=str(home / "feast"), tables=str(home / "lake"), threads=1)
            ),
            "language_model": ModelIn(backend=ExtractiveModelConfig()),
            "io_manager": no_values,
        }
        return dg.materialize(
            dg.load_assets_from_modules([assets]),
            partition_key=day.isoformat(),
            resources=resources | dict(others),
            run_config=run_config,
            raise_on_error=False,
        )

    def _published(self, app: str, key: str, day: date) -> dict[str, dict[str, Any]]:
        """The published rows of a day by a column of theirs."""
        publication = self.sink.published(app, day)
        assert publication is not None
        batches = self.sink.published_rows(publication)
        return {row[key]: row for batch in batches for row in batch.to_pylist()}
