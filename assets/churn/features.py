"""Daily features of customers: the lake table `churn_features`, and their copy in the online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from assets.churn.app import CHURN, SERVICE
from assets.stages import feature_days
from assets.stages.feature_days import DAY, FeatureTable, WrittenFeatures
from models.settings import ChurnSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore, OnlineFeatureStore
from resources.lake.port import Lake

__all__ = ["DAY", "TABLE", "VIEW", "materialize", "write_features"]

TABLE = CHURN.features
VIEW = SERVICE.view


def feature_table(settings: ChurnSettings) -> FeatureTable:
    """Return churn's daily features under these settings."""
    from models.features.churn import churn_features

    return FeatureTable(TABLE, churn_features, {"population_days": settings.population_days})


def write_features(lake: Lake, engine: Engine, settings: ChurnSettings, days: Sequence[date]) -> WrittenFeatures:
    """Compute and store the features of active customers at the end of each of `days`."""
    from models.features.churn_definitions import FEATURES

    return feature_days.write_features(lake, engine, feature_table(settings), days, len(FEATURES))


def materialize(lake: Lake, store: FeatureStore, day: date) -> int | None:
    """Copy the features of `day` into the online store; newer ones stay.

    Returns the number of customers; None: the store serves no features online.
    """
    if not isinstance(store, OnlineFeatureStore):
        return None
    store.apply()
    files = lake.files(TABLE, first=day, last=day)
    start = datetime.combine(day, time.min, tzinfo=UTC)
    store.materialize(VIEW, start, start + timedelta(days=1), files=files)
    return lake.scan(TABLE, first=day, last=day).count_rows()
