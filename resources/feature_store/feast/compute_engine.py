"""Feast's materialization, by columns: the newest row of each entity streams from the offline into the online store.

Feast names this class in its configuration and imports it by its dotted path; nothing else does.
"""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pyarrow as pa
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import _convert_arrow_to_proto, _get_column_names, make_tzaware
from pydantic import Field

from models.errors import TesseraError
from resources.feature_store.offline.pinned_files import pinned_files
from resources.feature_store.offline.retrieval_job import AsofRetrievalJob
from resources.feature_store.offline.store import AsofOfflineStore
from resources.feature_store.online.bulk_store import BulkOnlineStore, EncodedRows
from resources.feature_store.online.encoding import encoded, entity_keys

#: What Feast's own stores take at most: SQLite reads back 32,766 keys in a statement.
_ROWS_PER_CALL = 10_000


class BulkEngineConfig(FeastConfigBaseModel):
    """`batch_engine` of Feast's configuration."""

    type: Literal["resources.feature_store.feast.compute_engine.BulkEngine"] = (
        "resources.feature_store.feast.compute_engine.BulkEngine"
    )
    batch_rows: int = Field(default=10_000, ge=1, description="Entities that are encoded and written at once.")


class BulkEngine(LocalComputeEngine):
    """Materializes views of plain source columns itself, and leaves computed ones to Feast's local engine.

    A store that takes columns (`BulkOnlineStore`) compares times while it writes. For any other store of Feast's this
    engine reads the stored event times first and leaves older rows out; as those stores offer nothing atomic, two
    materializations of one view at once may still put the older row last: the caller's lock keeps them apart.
    """

    def __init__(
        self, *, repo_config: RepoConfig, offline_store: OfflineStore, online_store: OnlineStore, **settings: Any
    ) -> None:
        super().__init__(repo_config=repo_config, offline_store=offline_store, online_store=online_store)
        self._batch_rows = BulkEngineConfig(**settings).batch_rows

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        """See `ComputeEngine.materialize`. What goes wrong is raised, not kept in the job."""
        if _is_computed(task):
            return super()._materialize_one(registry, task, **kwargs)
        view = task.feature_view
        progress = task.tqdm_builder(0) if task.tqdm_builder else None
        for rows in self._newest_rows(registry, task):
            self._write(view, rows)
            if progress is not None:
                progress.update(rows.num_rows)
        if progress is not None:
            progress.close()
        return LocalMaterializationJob(
            job_id=f"{view.name}-{task.start_time}-{task.end_time}", status=MaterializationJobStatus.SUCCEEDED
        )

    def _newest_rows(self, registry: BaseRegistry, task: MaterializationTask) -> Iterator[pa.Table]:
        """At most `batch_rows` each, one row per entity, columns named as in the view."""
        view = task.feature_view
        source = _source(view)
        entities = [registry.get_entity(name, task.project) for name in view.entities]
        keys, features, event, created = _get_column_names(view, entities)
        job = self.offline_store.pull_latest_from_table_or_query(
            config=self.repo_config,
            data_source=source,
            join_key_columns=keys,
            feature_name_columns=features,
            timestamp_field=event,
            created_timestamp_column=created,
            start_date=task.start_time,
            end_date=task.end_time,
            **self._files(view),
        )
        for batch in _batches(job, self._batch_rows):
            rows = pa.Table.from_batches([batch])
            rows = rows.rename_columns([source.field_mapping.get(name, name) for name in rows.column_names])
            if [field.name for field in view.entity_columns] == [DUMMY_ENTITY_ID]:
                rows = rows.append_column(DUMMY_ENTITY_ID, pa.array([DUMMY_ENTITY_VAL] * rows.num_rows, pa.string()))
            yield rows

    def _files(self, view: FeatureView) -> dict[str, Sequence[str]]:
        """Return the pinned files of the view's source in this call, {} if none are pinned."""
        files = pinned_files(view.name)
        if files is None:
            return {}
        if not isinstance(self.offline_store, AsofOfflineStore):
            raise TesseraError(
                f"{type(self.offline_store).__name__} cannot read a chosen version of {view.name!r}.",
                expected="the offline store `resources.feature_store.offline.store.AsofOfflineStore`",
                todo="Configure it, or materialize without `pinned` files.",
            )
        return {"files": files}

    def _write(self, view: FeatureView, rows: pa.Table) -> None:
        if isinstance(self.online_store, BulkOnlineStore):
            source: Any = _source(view)
            encoded = encoded_rows(view, rows, source.timestamp_field, source.created_timestamp_column)
            self.online_store.write_rows(self.repo_config, view, encoded)
            return
        join_keys = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
        for batch in rows.combine_chunks().to_batches(max_chunksize=_ROWS_PER_CALL):
            pushed = _convert_arrow_to_proto(batch, view, join_keys)
            newest = self.online_store.online_read(
                self.repo_config, view, [row[0] for row in pushed], [feature.name for feature in view.features][:1]
            )
            fresh = [
                row
                for row, (stored, _) in zip(pushed, newest, strict=True)
                if stored is None or make_tzaware(row[2]) >= make_tzaware(stored)
            ]
            self.online_store.online_write_batch(self.repo_config, view, fresh, progress=None)


def _is_computed(task: MaterializationTask) -> bool:
    """Return True if the task needs more than copying the newest rows of a source."""
    view: Any = task.feature_view
    computed = ("feature_transformation", "aggregations", "filter", "source_views", "enable_validation", "offline")
    return not view.online or not task.only_latest or any(getattr(view, name, None) for name in computed)


def _source(view: FeatureView) -> Any:
    if view.batch_source is None:
        raise TesseraError(
            f"The feature view {view.name!r} has no batch source.",
            expected="a source with the history of its features",
            todo="Give it one, or push its features.",
        )
    return view.batch_source


def _batches(job: Any, batch_rows: int) -> Iterator[pa.RecordBatch]:
    if isinstance(job, AsofRetrievalJob):
        return iter(job.to_batches(batch_rows))
    return iter(job.to_arrow().combine_chunks().to_batches(max_chunksize=batch_rows))


def encoded_rows(view: FeatureView, rows: pa.Table, moment: str, created: str | None) -> EncodedRows:
    """Encode rows, one per entity, named as in the view.

    Args:
        view: whose rows they are.
        rows: entity keys, features and times.
        moment: column of the event times.
        created: column of the created times, if there is one.

    Raises:
        TesseraError: a key is NULL, or a value does not fit its type.
    """
    keys = view.entity_columns
    return EncodedRows(
        entity_keys=entity_keys([field.name for field in keys], rows, [field.dtype for field in keys]),
        event_timestamps=_microseconds(rows.column(moment)),
        created_timestamps=_microseconds(rows.column(created)) if created else [None] * rows.num_rows,
        features={field.name: encoded(rows.column(field.name), field.dtype) for field in view.features},
    )


def _microseconds(moments: pa.ChunkedArray) -> list[Any]:
    """µs since 1970; a moment without a time zone is UTC. What is finer than 1 µs is cut off."""
    zone = getattr(moments.type, "tz", None)
    numbers = moments.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return numbers.to_pylist() if numbers.null_count else numbers.to_numpy().tolist()
