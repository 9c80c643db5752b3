"""Rows pushed to the online store as they are made: checked, encoded by column, and written unless newer ones exist."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.types import from_feast_to_pyarrow_type

from models.errors import TesseraError
from resources.feature_store.feast.compute_engine import encoded_rows
from resources.feature_store.feast.entity_rows import checked
from resources.feature_store.feast.service_plan import MOMENT, US_UTC
from resources.feature_store.online.bulk_store import BulkOnlineStore

_CREATED = "created_timestamp"
_ANY_AGE = pa.scalar(-(2**63), pa.int64())


def push(feast: FeatureStore, store: OnlineStore, view: FeatureView, rows: pa.Table) -> int:
    """Return number of entities whose row was stored: those that had no newer one and are not erased.

    Raises:
        TesseraError: a column is missing or of another type, a row has no key or moment, or the online store would
            overwrite newer rows.
    """
    if not isinstance(store, BulkOnlineStore):
        raise TesseraError(
            f"The online store {type(store).__name__} overwrites newer rows by those that are pushed.",
            expected="an online store of type sqlite, redis or postgres",
            todo="Change `online_store` of the feature store in stack.yaml, or materialize the rows from the lake.",
        )
    keys = [field.name for field in view.entity_columns]
    created = [pa.field(_CREATED, US_UTC)] if _CREATED in rows.column_names else []
    features = [_field(field) for field in (*view.entity_columns, *view.features)]
    needed = pa.schema([*features, pa.field(MOMENT, US_UTC), *created])
    given = checked(rows.select([n for n in rows.column_names if n in needed.names]), needed, (), moment=MOMENT)
    newest = _newest(given, keys, _CREATED if created else None)
    if not newest.num_rows:
        return 0
    return store.write_rows(feast.config, view, encoded_rows(view, newest, MOMENT, _CREATED if created else None))


def _field(field) -> pa.Field:
    return pa.field(field.name, from_feast_to_pyarrow_type(field.dtype))


def _newest(rows: pa.Table, keys: Sequence[str], created: str | None) -> pa.Table:
    """Return the newest row of each entity; of equal moments the one created last, of equal times the last row."""
    ages = [rows[name].cast(pa.int64()).fill_null(_ANY_AGE).to_pylist() for name in (MOMENT, created) if name]
    found: dict[tuple[object, ...], tuple[tuple[int, ...], int]] = {}
    entities = zip(*(rows[key].to_pylist() for key in keys), strict=True)
    for number, (entity, age) in enumerate(zip(entities, zip(*ages, strict=True), strict=True)):
        if entity not in found or age >= found[entity][0]:
            found[entity] = age, number
    return rows.take(pa.array([number for _, number in found.values()], pa.int64()))
