"""Feast's offline store on DuckDB's ASOF joins over Parquet files and Delta tables.

Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast's own signatures are only partly typed.
# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field

from resources.feature_store.offline.connection import Limits, looking
from resources.feature_store.offline.entities import entities_of
from resources.feature_store.offline.query import PointInTime, Statement
from resources.feature_store.offline.retrieval_job import AsofRetrievalJob
from resources.feature_store.offline.sources import column_of, moment_column, source_of
from resources.feature_store.offline.sql import Column, Source, all_rows, latest_rows, microseconds
from resources.feature_store.offline.views import check_names, joined_view

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from feast import FeatureView
    from feast.data_source import DataSource
    from feast.feature_logging import LoggingConfig, LoggingSource
    from feast.infra.registry.base_registry import BaseRegistry


class AsofOfflineStoreConfig(FeastConfigBaseModel):
    """Resource limits of each job of the store."""

    type: Literal["resources.feature_store.offline.store.AsofOfflineStore"] = (
        "resources.feature_store.offline.store.AsofOfflineStore"
    )
    memory_limit_mb: int = Field(default=2000, ge=50, description="Memory of one job; beyond it, it spills.")
    threads: int = Field(default=2, ge=1, description="Threads of one job.")
    temp_directory: str | None = Field(default=None, description="Where to spill; the system's own by default.")
    # Feast's DuckDB functions, which write for this store, look for these.
    staging_location: str | None = None
    staging_location_endpoint_override: str | None = None


def _limits(config: RepoConfig) -> Limits:
    settings: AsofOfflineStoreConfig = config.offline_store  # pyright: ignore[reportAssignmentType]
    return Limits(settings.memory_limit_mb, settings.threads, settings.temp_directory)


class AsofOfflineStore(OfflineStore):
    """Point-in-time joins over Parquet in one DuckDB per job.

    What a view's source stands for is read when a job is created: the pinned files, the current version of a Delta
    table, or a path. Errors of names and types are raised then, too; rows are read when a result is asked for.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: Sequence[FeatureView],
        feature_refs: Sequence[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **ranges: datetime,  # noqa: ARG004 - Feast gives them if there are no entity rows, which is refused
    ) -> AsofRetrievalJob:
        """Entity rows with features as they were at each row's moment; rows, duplicates and their order are kept.

        `entity_df` has entity keys, `event_timestamp` and anything else. It is a pandas DataFrame, a pyarrow Table, the
        path of a Parquet file, or a SELECT statement in DuckDB's SQL; Feast passes all of them on. Moments without a
        time zone are UTC; in the result `event_timestamp` is µs, UTC.

        With `filter_by_created_timestamp`, what was created after a row's moment, or at an unknown time, is not joined.

        Raises:
            TesseraError: a column is missing, of another type, or there twice; a view has no files.
        """
        limits = _limits(config)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        with looking(limits) as connection:
            views = [
                joined_view(view, feature_refs, full_feature_names, config.repo_path, connection)
                for view in feature_views
            ]
            keys = {name: column for view in views for name, column in view.keys}
            entities = entities_of(entity_df, keys, connection)
        check_names(entities, views, on_demand)
        query = PointInTime(entities, views, filter_by_created_timestamp)

        def metadata() -> RetrievalMetadata:
            first, last = query.asked(limits)
            return RetrievalMetadata(list(feature_refs), entities.others, first, last)

        return AsofRetrievalJob(
            query,
            limits,
            config.repo_path,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=metadata,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
        files: Sequence[str] | None = None,
    ) -> AsofRetrievalJob:
        """Of each entity the newest row of `[start_date, end_date]`; of equal moments the one created last.

        Rows without a key are left out. Moments come as µs, UTC. `files` are what the source stands for, if not what
        it says.
        """
        stamps = [timestamp_field, created_timestamp_column]
        source, moments, limits = _read(config, data_source, stamps, files)
        columns = _named(source, [*join_key_columns, *feature_name_columns], data_source)
        where = _within(moments[0], start_date, end_date)
        sql = latest_rows(source, columns[: len(join_key_columns)], columns, moments, where)
        return AsofRetrievalJob(Statement(sql), limits, config.repo_path)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        files: Sequence[str] | None = None,
    ) -> AsofRetrievalJob:
        """All rows of `[start_date, end_date]`, either of which may be open.

        Moments come as µs, UTC. `files` are what the source stands for, if not what it says.
        """
        stamps = [timestamp_field, created_timestamp_column]
        source, moments, limits = _read(config, data_source, stamps, files)
        columns = _named(source, [*join_key_columns, *feature_name_columns], data_source)
        sql = all_rows(source, columns, moments, _within(moments[0], start_date, end_date))
        return AsofRetrievalJob(Statement(sql), limits, config.repo_path)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """As Feast's DuckDB store does it: reads the whole file and writes it again. Our lake writes otherwise."""
        from feast.infra.offline_stores.duckdb import DuckDBOfflineStore

        DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """As Feast's DuckDB store does it."""
        from feast.infra.offline_stores.duckdb import DuckDBOfflineStore

        DuckDBOfflineStore.write_logged_features(config, data, source, logging_config, registry)


def _read(
    config: RepoConfig, data_source: DataSource, stamps: Sequence[str | None], files: Sequence[str] | None
) -> tuple[Source, list[Column], Limits]:
    """Return the source, its moments (event, and created where there is one), and what a job may take."""
    limits = _limits(config)
    with looking(limits) as connection:
        source = source_of(data_source, config.repo_path, connection, files)
    return source, [moment_column(source.columns, name, data_source.name, {}) for name in stamps if name], limits


def _named(source: Source, names: Sequence[str], data_source: DataSource) -> list[str]:
    return [column_of(source.columns, name, data_source.name).name for name in names]


def _within(event: Column, first: datetime | None, last: datetime | None) -> str:
    limits = [(">=", first), ("<=", last)]
    exact = [f"{event.us} {sign} {microseconds(at)}" for sign, at in limits if at is not None]
    return " AND ".join([event.between(first, last), *exact])
