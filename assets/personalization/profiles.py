"""Profiles of customers: the lake table of them, its point-in-time join for training, its newest rows for serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.personalization.app import PERSONALIZATION, SERVICE
from assets.stages import feature_days
from assets.stages.feature_days import DAY, FeatureTable, WrittenFeatures, missing_days
from models.features.personalization_definitions import FEATURES, MAX_AGE_DAYS
from models.settings import PersonalizationSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# pyright: basic

TABLE = PERSONALIZATION.features


def write_profiles(
    lake: Lake, engine: Engine, settings: PersonalizationSettings, days: Sequence[date]
) -> WrittenFeatures:
    """Compute and store the profiles of customers with a list at the end of each of `days`."""
    from models.features.personalization import personalization_features

    table = FeatureTable(TABLE, personalization_features, {"population_days": settings.population_days})
    return feature_days.write_features(lake, engine, table, days, len(FEATURES))


@dataclass(frozen=True)
class NewestProfiles:
    """Profiles for serving: of each customer the newest row of the last `MAX_AGE_DAYS`, read from the lake."""

    lake: Lake

    def numbers(self, customers: Sequence[str], day: date) -> NDArray[np.float32]:
        """Return `FEATURES` of customers at the end of `day`, shape `(n_customers, n_features)`, NaN: not known."""
        import polars as pl

        if not self.lake.exists(TABLE):
            return _matrix(pa.table({name: pa.nulls(len(customers), pa.float64()) for name in FEATURES}))
        found = self.lake.scan(TABLE, first=day - timedelta(days=MAX_AGE_DAYS), last=day)
        rows = pl.DataFrame(found.to_table(columns=["customer_id", DAY, *FEATURES]))
        newest = rows.sort(DAY).unique("customer_id", keep="last")
        asked = pl.DataFrame({"customer_id": pl.Series(customers, dtype=pl.String)})
        return _matrix(asked.join(newest, on="customer_id", how="left", maintain_order="left").to_arrow())


@dataclass(frozen=True)
class JoinedProfiles:
    """Profiles for training: joined by the feature store as they were known at the end of a past day."""

    lake: Lake
    store: FeatureStore

    def numbers(self, customers: Sequence[str], day: date) -> NDArray[np.float32]:
        """Return what `NewestProfiles.numbers` gave at the end of `day`."""
        from models.features.cutoffs import cutoff_moment

        moment = pa.scalar(cutoff_moment(day), pa.timestamp("us", "UTC"))
        entities = pa.table(
            {"customer_id": pa.array(customers, pa.string()), "event_timestamp": pa.repeat(moment, len(customers))}
        )
        files = self.lake.files(TABLE, first=day - timedelta(days=MAX_AGE_DAYS), last=day)
        return _matrix(self.store.historical(SERVICE.name, entities, files={SERVICE.view: files}))


def profiles_for_training(
    lake: Lake, engine: Engine, store: FeatureStore, settings: PersonalizationSettings, cutoffs: Sequence[date]
) -> JoinedProfiles:
    """Return the profiles of past cut-offs; days without any are computed first."""
    if missing := missing_days(lake, TABLE, cutoffs):
        write_profiles(lake, engine, settings, missing)
    store.apply()
    return JoinedProfiles(lake, store)


def _matrix(rows: Any) -> NDArray[np.float32]:
    import numpy as np

    columns = [np.asarray(rows[name].to_numpy(), dtype=np.float32) for name in FEATURES]
    return np.stack(columns, axis=1)
