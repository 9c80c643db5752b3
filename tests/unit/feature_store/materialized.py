"""A feature view over a Parquet file, and Feast stores that materialize it: ours, and Feast's own."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType, types
from feast.infra.common.materialization_job import MaterializationTask

from resources.feature_store.feast.compute_engine import BulkEngine

SQLITE = "resources.feature_store.online.sqlite.MonotonicSqliteOnlineStore"
ENGINE = "resources.feature_store.feast.compute_engine.BulkEngine"
ASOF = "resources.feature_store.offline.store.AsofOfflineStore"
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMER = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)
#: feature -> Feast type, Arrow type of the source
FEATURES: dict[str, tuple[types.FeastType, pa.DataType]] = {
    "amount": (types.Float64, pa.float64()),
    "share": (types.Float32, pa.float32()),
    "orders": (types.Int64, pa.int64()),
    "level": (types.Int32, pa.int32()),
    "active": (types.Bool, pa.bool_()),
    "city": (types.String, pa.string()),
    "token": (types.Bytes, pa.binary()),
    "last_order": (types.UnixTimestamp, pa.timestamp("us", "UTC")),
    "basket": (types.Array(types.Float64), pa.list_(pa.float64())),
}
STAMPS = {"at": pa.timestamp("us", "UTC"), "made": pa.timestamp("us", "UTC")}


def view(
    path: Path,
    features: Sequence[str] = tuple(FEATURES),
    *,
    name: str = "activity",
    entities: Sequence[Entity] = (CUSTOMER,),
    created: str = "made",
    **settings: Any,
) -> FeatureView:
    """A view over the Parquet file at `path`."""
    keys = [Field(name=each.join_key, dtype=types.from_value_type(each.value_type)) for each in entities]
    schema = keys + [Field(name=feature, dtype=FEATURES[feature][0]) for feature in features]
    source = FileSource(
        name=f"{name}_source", path=str(path), timestamp_field="at", created_timestamp_column=created, **settings
    )
    return FeatureView(name=name, entities=list(entities), schema=schema, source=source, ttl=timedelta(days=9999))


def write(path: Path, rows: Sequence[Mapping[str, Any]], **more: pa.DataType) -> Path:
    """The rows as a Parquet file; columns of other names have the type in `more`."""
    known = {"customer_id": pa.string(), **STAMPS, **{name: type for name, (_, type) in FEATURES.items()}, **more}
    names = list(rows[0])
    pq.write_table(pa.Table.from_pylist(list(rows), pa.schema([(name, known[name]) for name in names])), path)
    return path


def store(folder: Path, *, online: Mapping[str, Any] | None = None, feasts: bool = False, **more: Any) -> FeatureStore:
    """Feast with our offline store, engine and SQLite store in `folder`; `feasts`: with its own ones."""
    folder.mkdir(exist_ok=True)
    parts: dict[str, Any] = {
        "offline_store": {"type": "duckdb" if feasts else ASOF},
        "online_store": {"type": "sqlite" if feasts else SQLITE, "path": str(folder / "online.db"), **(online or {})},
        "batch_engine": {"type": "local"} if feasts else {"type": ENGINE},
        "materialization": {"pull_latest_features": True, "online_write_batch_size": 10_000},
        **more,
    }
    registry = {"registry_type": "file", "path": f"{folder}/registry.db"}  # applied in a tenth of the time
    config = RepoConfig(
        repo_path=folder,
        project="shop",
        provider="local",
        registry=registry,
        entity_key_serialization_version=3,
        **parts,
    )
    return FeatureStore(config=config)


def materialize(feast: FeatureStore, view: FeatureView, start: datetime = FIRST, end: datetime = LAST) -> None:
    """As `feast.materialize`, in silence."""
    task = MaterializationTask(feast.project, view, start, end)
    for job in feast.provider.batch_engine.materialize(feast.registry, task):
        if job.error() is not None:
            raise job.error()
    assert isinstance(feast.provider.batch_engine, BulkEngine) == (feast.config.batch_engine_config["type"] == ENGINE)


def served(feast: FeatureStore, view: FeatureView, keys: Sequence[str], *features: str) -> dict[str, list[Any]]:
    """What Feast's client reads."""
    names = features or [feature.name for feature in view.features]
    asked = [f"{view.name}:{name}" for name in names]
    found = feast.get_online_features(asked, [{"customer_id": key} for key in keys]).to_dict()
    return {name: found[name] for name in names}
