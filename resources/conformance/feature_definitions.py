"""Definitions that a feature store under test registers, in the form of `feature_repo/definitions.py`.

A store that is not built on Feast reads from them what it reads from `feature_repo/`: names, keys, ttls and types.
"""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

#: Age at which features of `activity` expire; those of `profile` never do.
MAX_AGE = timedelta(days=8)
#: Dotted path of this module, as adapters take it for `definitions`.
DEFINITIONS = __name__

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)


def definitions(tables: Path | str) -> list[Entity | FeatureView | FeatureService]:
    """Return the view `activity` (ttl 8 days), the view `profile` (no ttl), and services of one and of both."""
    activity = _view("activity", MAX_AGE, tables, Field(name="visits", dtype=Float64), Field(name="plan", dtype=String))
    profile = _view("profile", None, tables, Field(name="age", dtype=Int64))
    return [
        customer,
        activity,
        profile,
        FeatureService(name="activity_v1", features=[activity]),
        FeatureService(name="customer_v1", features=[activity, profile]),
    ]


def _view(name: str, ttl: timedelta | None, tables: Path | str, *features: Field) -> FeatureView:
    source = FileSource(
        name=name,
        path=f"{tables}/{name}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    schema = [Field(name="customer_id", dtype=String), *features]
    return FeatureView(name=name, entities=[customer], ttl=ttl, schema=schema, source=source)
