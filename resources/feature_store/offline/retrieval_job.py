"""The result of a query of the offline store: as Arrow, pandas, streamed batches, or a Parquet file."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.types import from_feast_to_pyarrow_type

from models.errors import TesseraError
from resources.feature_store.offline.connection import Limits, opened
from resources.feature_store.offline.sql import literal

if TYPE_CHECKING:
    from feast import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage

    from resources.feature_store.offline.query import Query

_BATCH_ROWS = 65_536


class AsofRetrievalJob(RetrievalJob):
    """Runs its query anew for each result that is asked of it, in a DuckDB of its own."""

    def __init__(
        self,
        query: Query,
        limits: Limits,
        repo_path: Path | None = None,
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        metadata: Callable[[], RetrievalMetadata] | None = None,
    ) -> None:
        self._query = query
        self._limits = limits
        self._repo_path = repo_path
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand_feature_views)
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """True if features are named `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Views that are computed from the joined row."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, columns and range of moments that were asked for; None for a job without entity rows."""
        return self._metadata() if self._metadata else None

    def to_batches(self, batch_rows: int = _BATCH_ROWS) -> pa.RecordBatchReader:
        """Return the rows in order, on-demand features included, never all of them in memory."""
        batches = self._batches(batch_rows)
        first = next(batches)
        return pa.RecordBatchReader.from_batches(first.schema, _chained(first, batches))

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,  # noqa: ARG002 - Feast's signature
    ) -> None:
        """One Parquet file holds the rows, in order; it appears whole or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: there is a file, and `allow_overwrite` is not set.
            TesseraError: not the path of a local Parquet file.
        """
        path = self._destination(storage)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            self._write(part)
            _sync(part)
            part.replace(path)
            _sync(path.parent)
        finally:
            part.unlink(missing_ok=True)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's signature
        with opened(self._limits) as connection:
            return connection.sql(self._query.prepare(connection)).to_arrow_table()

    def _write(self, part: Path) -> None:
        if not self._on_demand:
            with opened(self._limits) as connection:
                statement = self._query.prepare(connection)
                connection.execute(f"COPY ({statement}) TO {literal(str(part))} (FORMAT parquet)")
            return
        batches = self.to_batches()
        with pq.ParquetWriter(part, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)

    def _destination(self, storage: SavedDatasetStorage) -> Path:
        path = getattr(getattr(storage, "file_options", None), "uri", "")
        if not isinstance(storage, SavedDatasetFileStorage) or "://" in path or not path.endswith(".parquet"):
            raise TesseraError(
                f"A result cannot be kept at {path or type(storage).__name__!r}.",
                expected="SavedDatasetFileStorage with the local path of a `.parquet` file",
                todo="Change the storage.",
            )
        return Path(FileSource.get_uri_for_file_path(self._repo_path, path))

    def _batches(self, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """At least one batch, empty if there are no rows."""
        with opened(self._limits) as connection:
            reader = connection.sql(self._query.prepare(connection)).to_arrow_reader(batch_rows)
            schema: pa.Schema | None = None
            for batch in reader:
                table = self._transformed(pa.Table.from_batches([batch]), schema)
                schema = table.schema
                yield from table.combine_chunks().to_batches()
            if schema is None:
                table = self._transformed(reader.schema.empty_table(), None)
                yield pa.RecordBatch.from_arrays(
                    [pa.array([], field.type) for field in table.schema], schema=table.schema
                )

    def _transformed(self, rows: pa.Table, schema: pa.Schema | None) -> pa.Table:
        """With on-demand features, in their declared types: a batch of NULLs alone would have none."""
        if not self._on_demand:
            return rows
        joined = _Joined(rows, self).to_arrow()
        types = {
            name: from_feast_to_pyarrow_type(feature.dtype)
            for view in self._on_demand
            for feature in view.features
            for name in (feature.name, f"{view.projection.name_to_use()}__{feature.name}")
        }
        fields = [
            field if field.name in rows.column_names else field.with_type(types.get(field.name, field.type))
            for field in joined.schema
        ]
        return joined.cast(schema or pa.schema(fields)).replace_schema_metadata()


class _Joined(RetrievalJob):
    """Rows that are joined already: Feast's own base class adds the on-demand features to them."""

    def __init__(self, rows: pa.Table, job: AsofRetrievalJob) -> None:
        self._rows = rows
        self._job = job

    @property
    def full_feature_names(self) -> bool:
        return self._job.full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._job.on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._job.metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's signature
        return self._rows


def _chained(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _sync(path: Path) -> None:
    """Flush `path` to disk, so that it survives a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
