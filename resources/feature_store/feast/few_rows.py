"""Reads a service's features of a few entities, as Python's values: equal to `online_reads`, without a table."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.types import String
from feast.value_type import ValueType

from models.timestamps import to_epoch_micros
from resources.feature_store.feast.service_plan import ServicePlan, ViewPlan
from resources.feature_store.online.bulk_store import BulkOnlineStore, StoredRow, ViewRead
from resources.feature_store.online.cells import Reader, read_doubles, reader
from resources.feature_store.online.encoding import key_prefix
from resources.feature_store.port import (
    FEW_ENTITIES,
    NOT_FOUND,
    OUTSIDE_MAX_AGE,
    PRESENT,
    moment_column,
    status_column,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_HEAD = struct.Struct("<2I")


@dataclass(frozen=True, eq=False)
class FewRowsPlan:
    """The plan of a service without transformations, whose keys are texts.

    Attributes:
        plan: of the service.
        schema: of its rows: entity keys, then `plan.answer`.
        views: the stored views.
    """

    plan: ServicePlan
    schema: pa.Schema
    views: Sequence[_View]

    @classmethod
    def of(cls, plan: ServicePlan) -> FewRowsPlan | None:
        """Return the plan; None if rows of the service are read as a table only."""
        types = {type for view in plan.views for type in view.key_types}
        if plan.on_demand or not types <= {String} or not plan.views:
            return None
        return cls(plan, pa.schema([*plan.keys, *plan.answer]), [_View.of(view) for view in plan.views])

    @cached_property
    def keys(self) -> frozenset[str]:
        """Names of the entity columns."""
        return frozenset(self.plan.keys.names)

    def takes(self, entities: Sequence[Mapping[str, Any]]) -> bool:
        """Return True if the rows are few, and have the keys, as texts, and nothing else."""
        return 0 < len(entities) <= FEW_ENTITIES and all(
            row.keys() == self.keys and all(type(value) is str for value in row.values()) for row in entities
        )

    def read(
        self, config: RepoConfig, store: BulkOnlineStore, entities: Sequence[Mapping[str, str]], now: datetime
    ) -> list[dict[str, Any]]:
        """Return the row of each entity, which has the keys; PRESENT while `event_timestamp + ttl >= now`."""
        now_us = to_epoch_micros(now)
        found = self._stored(config, store, entities)
        return [self._row(entity, stored, now_us) for entity, stored in zip(entities, found, strict=True)]

    def _stored(
        self, config: RepoConfig, store: BulkOnlineStore, entities: Sequence[Mapping[str, str]]
    ) -> Iterator[Sequence[StoredRow]]:
        """Yield the stored rows of each entity, one for each view."""
        if len(entities) == 1:
            reads = [ViewRead(view.view, [view.key(entities[0])], view.names) for view in self.views]
            yield store.read_row(config, reads)
            return
        keys = [[view.key(entity) for entity in entities] for view in self.views]
        reads = [ViewRead(view.view, of_view, view.names) for view, of_view in zip(self.views, keys, strict=True)]
        found = store.read_views(config, reads)
        for place in range(len(entities)):
            cells = [{name: column[place] for name, column in one.features.items()} for one in found]
            yield [(one.event_timestamps[place], of) for one, of in zip(found, cells, strict=True)]

    def _row(self, entity: Mapping[str, str], stored: Sequence[StoredRow], now_us: int) -> dict[str, Any]:
        features, marks = dict[str, Any](), dict[str, Any]()
        for view, (moment, cells) in zip(self.views, stored, strict=True):
            status = view.status(moment, now_us)
            marks[view.status_column] = status
            marks[view.moment_column] = None if moment is None else _EPOCH + timedelta(microseconds=moment)
            features |= view.values(cells) if status is PRESENT else view.missing
        if not self._in_order:
            features = {name: features[name] for name in self.plan.features.names}
        return {**entity, **features, **marks}

    @cached_property
    def _in_order(self) -> bool:
        """Say that features of one view after the other are in the order of the plan."""
        return [name for view in self.views for name in view.names] == list(self.plan.features.names)


@dataclass(frozen=True, eq=False)
class _View:
    view: FeatureView
    names: Sequence[str]
    doubles: Sequence[str]
    readers: Sequence[tuple[str, Reader]]
    missing: Mapping[str, None]
    prefix: bytes
    key_columns: Sequence[str]
    max_age_us: int | None
    status_column: str
    moment_column: str

    @classmethod
    def of(cls, view: ViewPlan) -> _View:
        names, ordered = view.features.names, sorted(zip(view.join_keys, view.key_columns, strict=True))
        return cls(
            view.view,
            names,
            [field.name for field in view.features if pa.types.is_float64(field.type)],
            [(field.name, reader(field.type)) for field in view.features],
            dict.fromkeys(names),
            key_prefix(name for name, _ in ordered),
            [column for _, column in ordered],
            view.max_age_us,
            status_column(view.name),
            moment_column(view.name),
        )

    def values(self, cells: Mapping[str, bytes | None]) -> dict[str, Any]:
        """Return the features of a row, in their order; numbers at once where none is missing."""
        get = cells.get
        numbers = read_doubles(list(map(get, self.doubles)))
        if numbers is None:
            return {name: read(get(name)) for name, read in self.readers}
        found = {**self.missing, **dict(zip(self.doubles, numbers, strict=True))}
        for name, read in self._others:
            found[name] = read(get(name))
        return found

    @cached_property
    def _others(self) -> Sequence[tuple[str, Reader]]:
        among = frozenset(self.doubles)
        return [one for one in self.readers if one[0] not in among]

    def key(self, entity: Mapping[str, str]) -> bytes:
        """Return the serialized key."""
        key = self.prefix
        for column in self.key_columns:
            text = entity[column].encode()
            key += _TEXT_HEAD.pack(ValueType.STRING.value, len(text)) + text
        return key

    def status(self, moment: int | None, now_us: int) -> str:
        """Say how a row was found, by its event time."""
        if moment is None:
            return NOT_FOUND
        return PRESENT if self.max_age_us is None or moment >= now_us - self.max_age_us else OUTSIDE_MAX_AGE
