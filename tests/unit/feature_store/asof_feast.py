"""A Feast repository over hand-made Parquet files, on our offline store or on Feast's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64

US_UTC = pa.timestamp("us", "UTC")
T = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
DAY, HOUR, MICROSECOND = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
ASOF = {"type": "resources.feature_store.offline.store.AsofOfflineStore", "memory_limit_mb": 500}

#: Key, event, created, value.
Row = tuple[int | None, datetime | None, datetime | None, float | None]

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)


def feast(folder: Path, *definitions: Any, **offline_store: Any) -> FeatureStore:
    """A Feast repository in `folder` with these definitions; on our offline store unless its `type` is given."""
    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project="asof",
        provider="local",
        registry=str(folder / "registry.pb"),
        offline_store=offline_store if "type" in offline_store else {**ASOF, **offline_store},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        repo_path=folder,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([customer, *definitions])
    return store


def rows_file(path: Path, rows: Sequence[Row], name: str = "value", at: pa.DataType = US_UTC) -> Path:
    """A Parquet file of customer_id, event_timestamp, created, and one feature."""
    columns = {
        "customer_id": pa.array([row[0] for row in rows], pa.int64()),
        "event_timestamp": pa.array([row[1] for row in rows], US_UTC).cast(at),
        "created": pa.array([row[2] for row in rows], US_UTC).cast(at),
        name: pa.array([row[3] for row in rows], pa.float64()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def view_of(
    path: Path | str, *, ttl: timedelta = timedelta(0), name: str = "view", feature: str = "value", **source: Any
) -> FeatureView:
    """A view of `feature` per customer; `created` breaks ties unless `source` says otherwise."""
    options = {"created_timestamp_column": "created", "file_format": ParquetFormat(), **source}
    return FeatureView(
        name=name,
        entities=[customer],
        ttl=ttl,
        schema=[Field(name="customer_id", dtype=Int64), Field(name=feature, dtype=Float64)],
        source=FileSource(name=f"{name}_rows", path=str(path), timestamp_field="event_timestamp", **options),
    )


def asked(*rows: tuple[int | None, datetime | None]) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.int64()),
            "event_timestamp": pa.array([row[1] for row in rows], US_UTC),
        }
    )


def values(store: FeatureStore, entities: Any, *, known_only: bool = False, ref: str = "view:value") -> list[Any]:
    """The feature of each entity row, in their order."""
    job = store.get_historical_features(entities, [ref], filter_by_created_timestamp=known_only)
    return job.to_arrow()[ref.split(":")[1]].to_pylist()
