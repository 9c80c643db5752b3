"""Read plans of feature services: their views, keys and features, resolved once from the registry."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
from feast import FeatureService, FeatureStore, FeatureView, OnDemandFeatureView
from feast.types import FeastType, from_feast_to_pyarrow_type, from_value_type

from models.errors import TesseraError
from resources.feature_store.port import moment_column, status_column

MOMENT = "event_timestamp"
US_UTC = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class ViewPlan:
    """One stored view as a service reads it.

    Attributes:
        name: what the service calls the view.
        view: Feast's definition.
        join_keys: its join keys.
        key_columns: for each join key, the column of the entity rows that holds it.
        key_types: for each join key, its Feast type.
        features: names and Arrow types of the features to read; more than the service gives if a transformation
            needs them.
        max_age_us: its ttl in µs; None where values never expire.
    """

    name: str
    view: FeatureView
    join_keys: Sequence[str]
    key_columns: Sequence[str]
    key_types: Sequence[FeastType]
    features: pa.Schema
    max_age_us: int | None

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for views whose rows have the same serialized keys."""
        return (*self.key_columns, *self.join_keys)


@dataclass(frozen=True)
class ServicePlan:
    """A feature service.

    Attributes:
        service: Feast's definition.
        views: the stored views to read.
        stored: the features to read, by Arrow type.
        on_demand: the transformations to apply to them.
        keys: names and types of the entity columns.
        request: names and types of the columns that transformations take from the caller.
        features: names and types of what it gives, in its order.
        answer: features, then each view's status and moment.
    """

    service: FeatureService
    views: Sequence[ViewPlan]
    stored: Mapping[pa.DataType, Sequence[str]]
    on_demand: Sequence[OnDemandFeatureView]
    keys: pa.Schema
    request: pa.Schema
    features: pa.Schema
    answer: pa.Schema


def service_plan(feast: FeatureStore, service: FeatureService) -> ServicePlan:
    """Return the plan of a service of the registry (as cached by Feast).

    Raises:
        TesseraError: two features of the service have the same name.
    """
    registry, project = feast.registry, feast.project
    on_demand: list[OnDemandFeatureView] = []
    read: dict[str, tuple[FeatureView, dict[str, pa.DataType]]] = {}
    for projection in service.feature_view_projections:
        view: Any = registry.get_any_feature_view(projection.name, project, allow_cache=True)
        view = view.with_projection(projection)
        if isinstance(view, OnDemandFeatureView):
            on_demand.append(view)
            for source in view.source_feature_view_projections.values():
                _add(read, registry.get_any_feature_view(source.name, project, allow_cache=True), source)
        else:
            _add(read, view, projection)
    views = [_view_plan(name, view, features) for name, (view, features) in read.items()]
    keys = {
        column: from_feast_to_pyarrow_type(type)
        for view in views
        for column, type in zip(view.key_columns, view.key_types, strict=True)
    }
    asked = {name: type for view in on_demand for name, type in view.get_request_data_schema().items()}
    request = [(name, from_feast_to_pyarrow_type(from_value_type(type))) for name, type in asked.items()]
    features = _features(service)
    answer = pa.schema([*features, *(field for view in views for field in _marks(view))])
    stored: dict[pa.DataType, list[str]] = {}
    for field in (field for view in views for field in view.features):
        stored.setdefault(field.type, []).append(field.name)
    return ServicePlan(service, views, stored, on_demand, pa.schema(keys.items()), pa.schema(request), features, answer)


def _add(read: dict[str, tuple[FeatureView, dict[str, pa.DataType]]], view, projection) -> None:
    """Add features to a view's plan: a view that is read for several reasons is read once."""
    name = projection.name_to_use()
    _, features = read.setdefault(name, (view.with_projection(projection), {}))
    features.update({field.name: from_feast_to_pyarrow_type(field.dtype) for field in projection.features})


def _view_plan(name: str, view: FeatureView, features: dict[str, pa.DataType]) -> ViewPlan:
    join_keys = [column.name for column in view.entity_columns]
    columns = [view.projection.join_key_map.get(key, key) for key in join_keys]
    types = [column.dtype for column in view.entity_columns]
    age = view.ttl // timedelta(microseconds=1) if view.ttl else None
    return ViewPlan(name, view, join_keys, columns, types, pa.schema(features.items()), age)


def _marks(view: ViewPlan) -> list[pa.Field]:
    return [pa.field(status_column(view.name), pa.string()), pa.field(moment_column(view.name), US_UTC)]


def _features(service: FeatureService) -> pa.Schema:
    fields = [field for projection in service.feature_view_projections for field in projection.features]
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise TesseraError(
                f"The feature service {service.name!r} has two features {name!r}.",
                expected="a name for each feature",
                todo="Rename one of them in feature_repo/, or take it out of the service.",
            )
    return pa.schema([pa.field(field.name, from_feast_to_pyarrow_type(field.dtype)) for field in fields])
