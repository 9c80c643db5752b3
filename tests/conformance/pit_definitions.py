"""The cases of `pit_window_cases` as Feast definitions: one view per case.

A case joins on one string `key` (its join or partition columns as text) and one moment; `max_age_seconds` is its
time-to-live.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import FeastType, Float64, Int64, String, UnixTimestamp

from tests.conformance.pit_cases import join_cases, name_of, selected, window_cases

TYPES: dict[str, FeastType] = {
    "string": String, "int": Int64, "smallint": Int64, "bigint": Int64, "double": Float64, "timestamp": UnixTimestamp
}  # fmt: skip


def definitions(folder: Path) -> list[Any]:
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.STRING)

    def view(case: dict[str, Any], features: dict[str, FeastType]) -> FeatureView:
        schema = [Field(name=name, dtype=type_) for name, type_ in {"key": String, **features}.items()]
        source = FileSource(
            path=str(folder / f"{name_of(case)}.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )
        return FeatureView(name=name_of(case), entities=[entity], ttl=max_age(case), schema=schema, source=source)

    def taken(case: dict[str, Any]) -> dict[str, FeastType]:
        kinds = dict(case["right"]["columns"])
        return {f"right_{column}": TYPES.get(kinds[column], String) for column in selected(case)}

    joins = [view(case, taken(case)) for case in join_cases()]
    windows = [view(case, {one["as"]: Float64 for one in case["aggregates"]}) for case in window_cases()]
    return [entity, *joins, *windows]


def max_age(case: dict[str, Any]) -> timedelta:
    """Feast's ttl of 0 is none at all: a tolerance of 0, which means equal moments, is 1 µs."""
    if "max_age_seconds" not in case:
        return timedelta(0)
    return timedelta(seconds=case["max_age_seconds"]) or timedelta(microseconds=1)
