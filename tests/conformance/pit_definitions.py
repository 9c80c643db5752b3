"""The join cases of `pit_window_cases` as Feast definitions: one view and one service per case.

A case joins on one string `key` (its join columns as text) and one moment; `max_age_seconds` is its time-to-live.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import FeastType, Float64, Int64, String, UnixTimestamp

from feature_repo.sources import lake_table
from tests.conformance.pit_cases import join_cases, name_of, selected

TYPES: dict[str, FeastType] = {
    "string": String, "int": Int64, "smallint": Int64, "bigint": Int64, "double": Float64, "timestamp": UnixTimestamp
}  # fmt: skip


def definitions(folder: Path) -> list[Any]:
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.STRING)
    found: list[Any] = [entity]
    for case in join_cases():
        types = {column: TYPES.get(kind, String) for column, kind in case["right"]["columns"]}
        view = FeatureView(
            name=name_of(case),
            entities=[entity],
            ttl=timedelta(seconds=case.get("max_age_seconds", 0)),
            schema=[
                Field(name="key", dtype=String),
                *(Field(name=f"right_{column}", dtype=types[column]) for column in selected(case)),
            ],
            source=lake_table(name_of(case), folder),
        )
        found += [view, FeatureService(name=name_of(case), features=[view])]
    return found
