"""A Feast feature view as one view of a join: its source, keys, moments and the features that are asked for."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from feast.feature_view import DUMMY_ENTITY_ID

from models.errors import TesseraError
from resources.feature_store.offline.entities import Entities
from resources.feature_store.offline.pinned_files import pinned_files
from resources.feature_store.offline.sources import check_same_type, column_of, moment_column, source_of
from resources.feature_store.offline.sql import JoinedView

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from feast import FeatureView, OnDemandFeatureView

_MICROSECOND = timedelta(microseconds=1)


def joined_view(
    view: FeatureView, refs: Sequence[str], full_names: bool, repo_path: Path | None, connection: DuckDBPyConnection
) -> JoinedView:
    """Resolve what a join needs of `view`: the features that `refs` (`view:feature`) name.

    Raises:
        TesseraError: its source has no files, or not the columns that the view says.
    """
    batch, whose = view.batch_source, f"the source of the feature view {view.name!r}"
    source = source_of(batch, repo_path, connection, pinned_files(view.name))
    columns, renamed = source.columns, dict(batch.field_mapping) if batch else {}
    used, prefix = view.projection.name_to_use(), view.projection.name_alias or view.name
    features = [feature for name, _, feature in (ref.partition(":") for ref in refs) if name == used]
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    created = batch.created_timestamp_column if batch else None
    return JoinedView(
        name=view.name,
        source=source,
        keys=tuple(
            (view.projection.join_key_map.get(key, key), column_of(columns, key, whose, renamed)) for key in keys
        ),
        event=moment_column(columns, batch.timestamp_field if batch else "", whose, renamed),
        created=moment_column(columns, created, whose, renamed) if created else None,
        max_age_us=view.ttl // _MICROSECOND if view.ttl else None,
        features=tuple(
            (column_of(columns, name, whose, renamed).name, f"{prefix}__{name}" if full_names else name)
            for name in features
        ),
    )


def check_names(entities: Entities, views: Sequence[JoinedView], on_demand: Sequence[OnDemandFeatureView]) -> None:
    """Raise unless keys are of one type on both sides, and each column of the result has a name of its own."""
    for view in views:
        for name, theirs in view.keys:
            check_same_type(entities.columns[name], theirs, view.name)
    for view in on_demand:
        for name in view.get_request_data_schema():
            column_of(entities.columns, name, "the entity rows")
    taken: dict[str, str] = {}
    for name in entities.columns:
        _take(taken, name, "the entity rows")
    for view in views:
        for _, name in view.features:
            _take(taken, name, f"the feature view {view.name!r}")


def _take(taken: dict[str, str], name: str, whose: str) -> None:
    """DuckDB does not distinguish upper and lower case."""
    before = taken.setdefault(name.lower(), whose)
    if before is not whose or name.lower().startswith("__asof_"):
        raise TesseraError(
            f"Both {before} and {whose} have a column {name!r}.",
            expected="each name once, whatever its case",
            todo="Rename the entity rows' column, or ask with full_feature_names=True.",
        )
