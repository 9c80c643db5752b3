"""Reads a service's features from any online store of Feast, by whole columns where the store gives columns.

Not through `get_online_features`: it makes one protobuf object per cell, three times, and knows no ttl
(docs/decisions/reading-features-online.md).
"""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pyarrow as pa
from feast import RepoConfig
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore

from models.timestamps import to_epoch_micros
from resources.feature_store.feast.on_demand import transformed
from resources.feature_store.feast.service_plan import US_UTC, ServicePlan, ViewPlan
from resources.feature_store.online.bulk_store import BulkOnlineStore, StoredRows, ViewRead
from resources.feature_store.online.encoding import decoded, entity_keys
from resources.feature_store.port import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT

_KEYS_PER_READ = 1000


@dataclass(frozen=True)
class Keys:
    """The serialized entity key of each row (None where a part of it is NULL), and each distinct one once."""

    every: Sequence[bytes | None]
    distinct: Sequence[bytes]


def read_online(
    config: RepoConfig, store: OnlineStore, plan: ServicePlan, entities: pa.Table, now: datetime
) -> dict[str, pa.Array]:
    """Return `plan.answer` for each row of `entities`, which has the columns of `plan.keys` and `plan.request`.

    A row is PRESENT while `event_timestamp + ttl >= now`.
    """
    found = stored_rows(config, store, plan, entities)
    count, cells, statuses = entities.num_rows, dict[str, Sequence[bytes | None]](), list[Sequence[str]]()
    for view, rows in zip(plan.views, found, strict=True):
        oldest = None if view.max_age_us is None else to_epoch_micros(now) - view.max_age_us
        statuses.append([_status(moment, oldest) for moment in rows.event_timestamps])
        cells.update(_served(rows, statuses[-1]))
    columns = _decoded(plan, cells, count)
    if plan.on_demand:
        columns = transformed(plan, entities, columns)
    marks = (_cut(pa.string(), statuses, count), _cut(US_UTC, [rows.event_timestamps for rows in found], count))
    in_turn = chain.from_iterable(zip(*marks, strict=True))
    return dict(zip(plan.answer.names, [*(columns[name] for name in plan.features.names), *in_turn], strict=True))


def stored_rows(config: RepoConfig, store: OnlineStore, plan: ServicePlan, entities: pa.Table) -> list[StoredRows]:
    """Read the stored rows of each view of the plan, for each row of `entities`, regardless of age."""
    serialized = {key: _keys(view, entities) for key, view in {view.key: view for view in plan.views}.items()}
    keys = [serialized[view.key] for view in plan.views]
    reads = [
        ViewRead(view.view, of_view.distinct, view.features.names)
        for view, of_view in zip(plan.views, keys, strict=True)
    ]
    if isinstance(store, BulkOnlineStore):
        found = store.read_views(config, reads)
    else:
        found = [_read_any(config, store, read) for read in reads]
    return [_spread(of_view, rows) for of_view, rows in zip(keys, found, strict=True)]


def _status(moment: int | None, oldest: int | None) -> str:
    if moment is None:
        return NOT_FOUND
    return PRESENT if oldest is None or moment >= oldest else OUTSIDE_MAX_AGE


def _served(rows: StoredRows, status: Sequence[str]) -> Mapping[str, Sequence[bytes | None]]:
    """Return the cells of each row; none where the row is not PRESENT."""
    if all(mark is PRESENT for mark in status):
        return rows.features
    return {
        name: [cell if mark is PRESENT else None for cell, mark in zip(column, status, strict=True)]
        for name, column in rows.features.items()
    }


def _decoded(plan: ServicePlan, cells: Mapping[str, Sequence[bytes | None]], count: int) -> dict[str, pa.Array]:
    """`count` values of each feature. Features of one type are decoded as one column: few rows pay fixed costs once."""
    columns: dict[str, pa.Array] = {}
    for type, names in plan.stored.items():
        together = decoded([*chain.from_iterable(cells[name] for name in names)], type)
        columns.update((name, together.slice(place * count, count)) for place, name in enumerate(names))
    return columns


def _cut(type: pa.DataType, columns: Sequence[Sequence[Any]], count: int) -> list[pa.Array]:
    """Return columns of `count` values each, made as one."""
    together = pa.array([*chain.from_iterable(columns)], type)
    return [together.slice(place * count, count) for place in range(len(columns))]


def _keys(view: ViewPlan, entities: pa.Table) -> Keys:
    columns = entities.select(list(view.key_columns)).rename_columns(list(view.join_keys))
    if not any(column.null_count for column in columns.columns):
        every: list[bytes | None] = list(entity_keys(view.join_keys, columns, view.key_types))
    else:
        keys = iter(entity_keys(view.join_keys, columns.drop_null(), view.key_types))
        whole = zip(*(column.is_valid().to_pylist() for column in columns.columns), strict=True)
        every = [next(keys) if all(parts) else None for parts in whole]
    distinct = [key for key in dict.fromkeys(every) if key is not None]
    return Keys(every, distinct)


def _spread(keys: Keys, rows: StoredRows) -> StoredRows:
    """Return the rows of distinct keys as rows of every key."""
    if len(keys.distinct) == len(keys.every):
        return rows
    place: dict[bytes | None, int] = {key: number for number, key in enumerate(keys.distinct)}
    places = [place.get(key) for key in keys.every]
    features = {name: [None if at is None else column[at] for at in places] for name, column in rows.features.items()}
    return StoredRows([None if at is None else rows.event_timestamps[at] for at in places], features)


def _read_any(config: RepoConfig, store: OnlineStore, read: ViewRead) -> StoredRows:
    """Through what every online store of Feast offers: one protobuf per cell."""
    found = []
    for start in range(0, len(read.entity_keys), _KEYS_PER_READ):
        some = [deserialize_entity_key(key, 3) for key in read.entity_keys[start : start + _KEYS_PER_READ]]
        found += store.online_read(config, read.view, some, list(read.features))  # Feast's Redis store changes the list
    features = {
        name: [None if not values or name not in values else values[name].SerializeToString() for _, values in found]
        for name in read.features
    }
    return StoredRows([_moment(at, values) for at, values in found], features)


def _moment(at: datetime | None, values: dict | None) -> int | None:
    """µs since 1970, UTC. Feast's Redis store gives an unknown entity empty values from 1970."""
    if values is None or at is None:
        return None
    moment = to_epoch_micros(at if at.tzinfo else at.replace(tzinfo=UTC))
    return moment if moment or any(value.WhichOneof("val") for value in values.values()) else None
