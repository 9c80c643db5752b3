"""Reads a service's features from any online store of Feast, by whole columns where the store gives columns.

Not through `get_online_features`: it makes one protobuf object per cell, three times, and knows no ttl
(docs/decisions/reading-features-online.md).
"""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from feast import RepoConfig
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore

from resources.feature_store.encoding import decoded, entity_keys
from resources.feature_store.on_demand import transformed
from resources.feature_store.online_rows import BulkOnlineStore, StoredRows
from resources.feature_store.port import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT
from resources.feature_store.service_plan import US_UTC, ServicePlan, ViewPlan

_EPOCH = datetime.fromtimestamp(0, UTC)
_KEYS_PER_READ = 1000


def read_online(
    config: RepoConfig, store: OnlineStore, plan: ServicePlan, entities: pa.Table, now: datetime
) -> pa.Table:
    """The columns of `plan.answer` for each row of `entities`, which has the columns of `plan.keys` and `plan.request`.

    A row is PRESENT while `event_timestamp + ttl >= now`.
    """
    columns: dict[str, pa.Array] = {}
    marks: list[pa.Array] = []
    keys: dict[tuple[str, ...], list[bytes | None]] = {}
    for view in plan.views:
        known = tuple(view.key_columns) + tuple(view.join_keys)
        if known not in keys:
            keys[known] = _keys(view, entities)
        rows = _stored(config, store, view, keys[known])
        oldest = None if view.max_age_us is None else _microseconds(now) - view.max_age_us
        status = [_status(moment, oldest) for moment in rows.event_timestamps]
        columns.update(_features(view, rows, status))
        marks += [pa.array(status, pa.string()), pa.array(rows.event_timestamps, pa.int64()).cast(US_UTC)]
    if plan.on_demand:
        columns = transformed(plan, entities, columns)
    return pa.Table.from_arrays([*(columns[name] for name in plan.features.names), *marks], schema=plan.answer)


def _status(moment: int | None, oldest: int | None) -> str:
    if moment is None:
        return NOT_FOUND
    return PRESENT if oldest is None or moment >= oldest else OUTSIDE_MAX_AGE


def _features(view: ViewPlan, rows: StoredRows, status: Sequence[str]) -> dict[str, pa.Array]:
    """The features of each row; NULL where the row is not PRESENT."""
    cells = rows.features
    if any(mark is not PRESENT for mark in status):
        cells = {
            name: [cell if mark is PRESENT else None for cell, mark in zip(column, status, strict=True)]
            for name, column in cells.items()
        }
    return {field.name: decoded(cells[field.name], field.type) for field in view.features}


def _keys(view: ViewPlan, entities: pa.Table) -> list[bytes | None]:
    """The serialized key of each row; None where a part of it is NULL."""
    columns = entities.select(list(view.key_columns)).rename_columns(list(view.join_keys))
    if not any(column.null_count for column in columns.columns):
        return list(entity_keys(view.join_keys, columns, view.key_types))
    keys = iter(entity_keys(view.join_keys, columns.drop_null(), view.key_types))
    whole = zip(*(column.is_valid().to_pylist() for column in columns.columns), strict=True)
    return [next(keys) if all(parts) else None for parts in whole]


def _stored(config: RepoConfig, store: OnlineStore, view: ViewPlan, keys: Sequence[bytes | None]) -> StoredRows:
    """What the store holds for each key; each distinct key is read once."""
    distinct = [key for key in dict.fromkeys(keys) if key is not None]
    read = _read_bulk if isinstance(store, BulkOnlineStore) else _read_any
    rows = read(config, store, view, distinct)
    if len(distinct) == len(keys):
        return rows
    place: dict[bytes | None, int] = {key: number for number, key in enumerate(distinct)}
    places = [place.get(key) for key in keys]
    features = {name: [None if at is None else column[at] for at in places] for name, column in rows.features.items()}
    return StoredRows([None if at is None else rows.event_timestamps[at] for at in places], features)


def _read_bulk(config: RepoConfig, store, view: ViewPlan, keys: Sequence[bytes]) -> StoredRows:
    return store.read_rows(config, view.view, keys, view.features.names)


def _read_any(config: RepoConfig, store: OnlineStore, view: ViewPlan, keys: Sequence[bytes]) -> StoredRows:
    """Through what every online store of Feast offers: one protobuf per cell."""
    names = view.features.names
    found = []
    for start in range(0, len(keys), _KEYS_PER_READ):
        some = [deserialize_entity_key(key, 3) for key in keys[start : start + _KEYS_PER_READ]]
        found += store.online_read(config, view.view, some, list(names))  # Feast's Redis store changes the list
    moments = [_moment(at, values) for at, values in found]
    features = {
        name: [None if not values or name not in values else values[name].SerializeToString() for _, values in found]
        for name in names
    }
    return StoredRows(moments, features)


def _moment(at: datetime | None, values: dict | None) -> int | None:
    """µs since 1970, UTC. Feast's Redis store gives an unknown entity empty values from 1970."""
    if values is None or at is None:
        return None
    moment = _microseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
    return moment if moment or any(value.WhichOneof("val") for value in values.values()) else None


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
