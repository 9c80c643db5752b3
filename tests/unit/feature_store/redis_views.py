"""Two views of one entity, rows of them, and the store that the tests of Redis write them with."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, Int64, String

from resources.feature_store.online.bulk_store import EncodedRows

MONOTONIC = "resources.feature_store.online.redis.MonotonicRedisOnlineStore"
CUSTOMER = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
NUMBER = Entity(name="number", join_keys=["number"], value_type=ValueType.INT64)


def view(name: str, *features: str, entity: Entity = CUSTOMER) -> FeatureView:
    types = {"amount": Float64, "orders": Int64, "city": String}
    keys = [Field(name=entity.join_key, dtype=String if entity.value_type is ValueType.STRING else Int64)]
    schema = keys + [Field(name=feature, dtype=types.get(feature, Int64)) for feature in features]
    source = FileSource(
        name=f"{name}_source", path="none.parquet", timestamp_field="at", created_timestamp_column="made"
    )
    return FeatureView(name=name, entities=[entity], schema=schema, source=source, ttl=timedelta(days=31))


ACTIVITY = view("activity", "amount", "orders", "city")
LOYALTY = view("loyalty", "points")


def config(
    connection_string: str,
    type: str = MONOTONIC,
    *,
    project: str = "shop",
    registry: str = "not-used.db",
    versions: bool = False,
    **settings: Any,
) -> RepoConfig:
    """Feast's configuration; `registry` is a file."""
    return RepoConfig(
        project=project,
        provider="local",
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{registry}",
            "enable_online_feature_view_versioning": versions,
        },
        offline_store={"type": "duckdb"},
        online_store={"type": type, "connection_string": connection_string, **settings},
        entity_key_serialization_version=3,
    )


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


def points(number: int) -> dict[str, Value]:
    """A row of LOYALTY."""
    return {"points": Value(int64_val=number)}


def encoded(
    rows: Mapping[str, Mapping[str, Value]], event: int | Sequence[int], created: int | Sequence[int | None] | None
) -> EncodedRows:
    """Rows by customer; times in µs, one for all or one for each."""
    names = next(iter(rows.values())) if rows else ()
    return EncodedRows(
        [key(name) for name in rows],
        [event] * len(rows) if isinstance(event, int) else event,
        [created] * len(rows) if created is None or isinstance(created, int) else created,
        {name: [row[name].SerializeToString() for row in rows.values()] for name in names},
    )
