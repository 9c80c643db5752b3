"""Steps behind `churn/features`: compute the features of some days and write each day as one partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from models.settings import ChurnSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake

if TYPE_CHECKING:
    import pyarrow.dataset as ds

TABLE, DAY = "churn_features", "feature_date"
VIEW = "churn_customer"

#: Days computed by one statement: bounds memory at days x customers x features, and keeps the plan shared.
_DAYS_AT_ONCE = 8


@dataclass(frozen=True)
class WrittenFeatures:
    """What a write left in the lake: rows by day, and the table's version."""

    rows: dict[date, int]
    version: int

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it."""
        from models.features.churn import FEATURES

        return {"dagster/row_count": sum(self.rows.values()), "features": len(FEATURES), "lake_version": self.version}


def write_features(lake: Lake, engine: Engine, settings: ChurnSettings, days: Sequence[date]) -> WrittenFeatures:
    """Each of `days` afterwards holds the features of its customers, as they were known at its end.

    So does each day whose features the lake lost.
    """
    from models.features.churn import churn_features

    rows: dict[date, int] = {}
    every = {*days, *lake.repair(TABLE)}
    version = lake.version(TABLE)
    for group in _groups(sorted(every), _DAYS_AT_ONCE):
        tables = {"orders": known_by(lake, group[-1]), "cutoffs": pa.table({DAY: pa.array(group, pa.date32())})}
        computed = engine.query(churn_features, tables, population_days=settings.population_days).read_all()
        for day in group:
            of_day = computed.filter(pc.field(DAY) == day)  # in ascending order of customers, as computed
            version = lake.replace(TABLE, of_day, by=DAY, first=day, last=day)
            rows[day] = of_day.num_rows
    return WrittenFeatures(rows, version)


def materialize(lake: Lake, store: FeatureStore, day: date) -> int:
    """Number of customers whose features of `day` the online store now holds, or newer ones."""
    store.apply()
    files = lake.files(TABLE, first=day, last=day)
    start = datetime.combine(day, time.min, tzinfo=UTC)
    store.materialize(VIEW, start, start + timedelta(days=1), files=files)
    return lake.scan(TABLE, first=day, last=day).count_rows()


def missing_days(lake: Lake, days: Iterable[date]) -> list[date]:
    """Those of `days` that have no features yet, ascending."""
    return sorted(set(days) - set(lake.days(TABLE)))


def known_by(lake: Lake, day: date) -> ds.Dataset:
    """The orders that had been delivered by the end of `day`."""
    return lake.scan("orders", last=day)


def _groups(days: Sequence[date], size: int) -> Iterable[Sequence[date]]:
    return [days[start : start + size] for start in range(0, len(days), size)]
