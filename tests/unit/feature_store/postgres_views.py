"""A view, rows of it, and the stores that the tests of Postgres write them with."""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import FeastType, Float64, Int64, String

from resources.feature_store.online.bulk_store import EncodedRows
from tests.servers.postgres_server import PostgresDatabase

OURS = "resources.feature_store.online.postgres.MonotonicPostgresOnlineStore"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def view(name: str, **features: FeastType) -> FeatureView:
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    return FeatureView(
        name=name,
        entities=[customer],
        schema=[Field(name=feature, dtype=dtype) for feature, dtype in {"customer_id": String, **features}.items()],
        source=FileSource(name=f"{name}_source", path="none.parquet", timestamp_field="at"),
        ttl=timedelta(days=31),
    )


ACTIVITY = view("activity", amount=Float64, orders=Int64, city=String)
LOYALTY = view("loyalty", points=Int64)


def config(place: PostgresDatabase, type: str = OURS, *, project: str = "shop", **settings: Any) -> RepoConfig:
    versions = settings.pop("versions", False)
    return RepoConfig(
        project=project,
        provider="local",
        registry={"registry_type": "file", "path": "none.db", "enable_online_feature_view_versioning": versions},
        offline_store={"type": "duckdb"},
        online_store={"type": type, **place.online_store, **settings},
        entity_key_serialization_version=3,
    )


def apply(store: OnlineStore, config: RepoConfig, *views: FeatureView, dropped: Sequence[FeatureView] = ()) -> None:
    store.update(config, dropped, views, [], [], partial=False)


def customer(name: str) -> EntityKey:
    return EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=name)])


def key(name: str) -> bytes:
    return serialize_entity_key(customer(name), 3)


def activity(amount: float | None, orders: int | None, city: str | None) -> dict[str, Value]:
    """A row of ACTIVITY; None is NULL."""
    return {
        "amount": Value() if amount is None else Value(double_val=amount),
        "orders": Value() if orders is None else Value(int64_val=orders),
        "city": Value() if city is None else Value(string_val=city),
    }


def encoded(rows: Mapping[str, Mapping[str, Value]], event: int, created: int | None = None) -> EncodedRows:
    """Rows by customer; times in µs."""
    names = next(iter(rows.values())) if rows else ()
    return EncodedRows(
        [key(name) for name in rows],
        [event] * len(rows),
        [created] * len(rows),
        {name: [row[name].SerializeToString() for row in rows.values()] for name in names},
    )


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def table(database: PostgresDatabase, name: str) -> list[tuple[Any, ...]]:
    """All that stands in a table, by key and feature."""
    with psycopg.connect(database.url) as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(f'TABLE "{name}" ORDER BY 1, 2'.encode()).fetchall()


def execute(database: PostgresDatabase, statement: str) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(statement.encode())
