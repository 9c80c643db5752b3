"""Tables as Delta Lake: on local disk, or on any object store that `deltalake` can reach. No server."""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions
from filelock import FileLock, Timeout
from pydantic import Field
from typing_extensions import override

from models.errors import TesseraError, choose_from
from models.forgetting import ENTITIES, Forgotten, Tombstone
from resources.health import Health
from resources.lake.object_store import object_store
from resources.lake.parts import Part, digest_of, write_parts
from resources.lake.port import DayRows, Lake, unwatched
from resources.lake.removal import Rewritten, rewrite_without
from resources.lake.schema import conformed, lake_schema
from resources.tombstones import TombstoneFolder

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

#: A checkpoint each 20 commits keeps opening a table cheap; with it, log entries older than 30 days are removed. When a
#: file was removed from the table must be remembered as long, else `vacuum` takes files of versions that can be read.
_TABLE_SETTINGS = {
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}

_TABLE_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_TOMBSTONES = "_forgotten"


class DeltaLakeConfig(dg.Config):
    """Tables in Delta format under one path."""

    kind: Literal["delta"] = "delta"
    path: str = Field(description="Folder, or an address such as s3://bucket/lake, that holds one folder per table.")
    storage_options: dict[str, str] = Field(
        default={}, description="Passed to deltalake: keys and endpoint of an S3-compatible store."
    )
    lock_timeout_seconds: float = Field(
        default=600, gt=0, description="A writer waits this long for another writer of the same table."
    )

    def open(self) -> DeltaLake:
        """The lake; nothing is read or written yet."""
        return DeltaLake(self.path, self.storage_options, lock_timeout_seconds=self.lock_timeout_seconds)


class DeltaLake(Lake):
    """One Delta table per name, one folder per day, one file per day up to 128 MiB of rows.

    Writers on one machine wait for each other at a file lock. Writers on several machines are kept apart by Delta's
    own commit: the second of two that replace the same files is refused, and has to run again.
    """

    def __init__(
        self, path: str, storage_options: Mapping[str, str] | None = None, *, lock_timeout_seconds: float = 600
    ) -> None:
        self._remote = "://" in path
        self._root = path.rstrip("/") if self._remote else str(Path(path).expanduser().resolve())
        self._options = dict(storage_options or {})
        self._lock_timeout_seconds = lock_timeout_seconds

    @override
    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        with self.lock(table):
            standing = self._open(table)
            schema = _schema(Schema.from_arrow(lake_schema(rows.schema, by)) if standing is None else standing.schema())
            if standing is not None and standing.metadata().partition_columns != [by]:
                raise TesseraError(
                    f"Table {table!r} is split into days by {standing.metadata().partition_columns}, not by {by!r}.",
                    expected="the column that the first write named",
                    todo="Pass that column as `by`.",
                )
            files = self._files(table)
            parts = write_parts(files, self._others(conformed(rows, schema, table)), by=by, first=first, last=last)
            if standing is None:
                return self._create(table, schema, by, parts)
            return _commit(standing, files, by, _listing(standing, by, first, last), parts)

    @override
    def scan(self, table: str, *, first: date | None = None, last: date | None = None) -> ds.Dataset:
        standing = self._existing(table)
        by = standing.metadata().partition_columns[0]
        limits = [(by, sign, day) for sign, day in ((">=", first), ("<=", last)) if day is not None]
        dataset = standing.to_pyarrow_dataset(filesystem=self._files(table), file_pruning_predicate=limits or None)
        # The log lists files in no particular order; sums of floats must not depend on it.
        fragments = sorted(dataset.get_fragments(), key=lambda fragment: fragment.path)
        return type(dataset)(fragments, dataset.schema, dataset.format, dataset.filesystem)

    @override
    def tables(self) -> Sequence[str]:
        listed = self._everything().get_file_info(pa_fs.FileSelector("", allow_not_found=True))
        folders = [info.base_name for info in listed if not info.is_file]
        return sorted(name for name in folders if re.fullmatch(_TABLE_NAME, name) and self.exists(name))

    @override
    def exists(self, table: str) -> bool:
        return self._open(table) is not None

    @override
    def version(self, table: str) -> int:
        standing = self._open(table)
        return -1 if standing is None else standing.version()

    @override
    def days(self, table: str) -> Sequence[date]:
        standing = self._open(table)
        if standing is None:
            return []
        return sorted(_listing(standing, standing.metadata().partition_columns[0], date.min, date.max))

    @override
    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        standing = self._existing(table)
        by = standing.metadata().partition_columns[0]
        listing = _listing(standing, by, first or date.min, last or date.max)
        return [f"{self._uri(table)}/{path}" for day in sorted(listing) for path in sorted(listing[day])]

    @override
    def vacuum(self, table: str, *, keep_hours: float) -> int:
        with self.lock(table):
            standing = self._existing(table)
            # Only listed by deltalake: its own removal adds two versions in which nothing changes. It lists what
            # earlier vacuums removed, too.
            unused = standing.vacuum(
                retention_hours=math.ceil(keep_hours), dry_run=True, enforce_retention_duration=False, full=True
            )
            files = self._files(table)
            present = [info.path for info in files.get_file_info(unused) if info.type == pa_fs.FileType.File]
            for path in present:
                files.delete_file(path)
            standing.create_checkpoint()
            standing.cleanup_metadata()
            return len(present)

    @override
    def remove(self, table: str, where: pc.Expression, *, planned: Callable[[DayRows], None] = unwatched) -> DayRows:
        with self.lock(table):
            standing = self._existing(table)
            by = standing.metadata().partition_columns[0]
            rewritten = list(rewrite_without(self.scan(table), self._files(table), where, by))
            removed: dict[date, int] = {}
            for change in rewritten:
                removed[change.day] = removed.get(change.day, 0) + change.removed
            if rewritten:
                planned(removed)
                _commit_rewritten(standing, by, rewritten)
            self.vacuum(table, keep_hours=0)
            return removed

    @override
    def forgotten(self, entity: str) -> Forgotten:
        return self._tombstones().forgotten(entity)

    @override
    def leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        with self.lock(_TOMBSTONES):
            return self._tombstones().add(entity, id, day=day, why=why)

    @override
    @contextmanager
    def lock(self, table: str) -> Iterator[None]:
        try:
            acquired = FileLock(self._lock_file(table), is_singleton=True).acquire(timeout=self._lock_timeout_seconds)
        except Timeout as error:
            raise TesseraError(
                f"Table {table!r} has been written by another process for {self._lock_timeout_seconds:g} s.",
                expected="a writer that finishes",
                todo=f"Wait for it, or end it; `lsof {error.lock_file}` names it.",
            ) from error
        except OSError as error:
            raise self._not_writable(error) from error
        with acquired:
            yield

    @override
    def check(self) -> Health:
        files = self._files("_check")
        try:
            files.create_dir(".", recursive=True)
            with files.open_output_stream("probe") as stream:
                stream.write(b"tessera")
            with files.open_input_stream("probe") as stream:
                readable = stream.read() == b"tessera"
            files.delete_file("probe")
        except OSError as error:
            return Health(
                False, f"{self._root} cannot be written: {error}", "Correct `path` of the lake in stack.yaml."
            )
        return Health(readable, f"Delta tables under {self._root}")

    def _not_writable(self, error: OSError) -> TesseraError:
        return TesseraError(
            f"The lake {self._root} cannot be written: {error.strerror}.",
            expected="a folder that this user may write",
            todo="Correct its permissions, or `path` of the lake in stack.yaml.",
        )

    def _tombstones(self) -> TombstoneFolder:
        return TombstoneFolder(self._everything(), _TOMBSTONES)

    def _others(self, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """The rows without those of forgotten entities. The caller holds the table's lock."""
        for entity, column in ENTITIES.items():
            if column in rows.schema.names and (gone := self.forgotten(entity)):
                rows = pa.RecordBatchReader.from_batches(rows.schema, _without(rows, gone, column))
        return rows

    def _uri(self, table: str) -> str:
        if not re.fullmatch(_TABLE_NAME, table):
            raise TesseraError(
                f"{table!r} cannot be the name of a table.",
                expected="letters, digits and underscores",
                todo="Choose another name.",
            )
        return f"{self._root}/{table}"

    def _files(self, table: str) -> pa_fs.FileSystem:
        if self._remote:
            return pa_fs.SubTreeFileSystem(table, self._everything())
        return pa_fs.SubTreeFileSystem(self._uri(table), pa_fs.LocalFileSystem())

    def _everything(self) -> pa_fs.FileSystem:
        if self._remote:
            return object_store(self._root, self._options)
        return pa_fs.SubTreeFileSystem(self._root, pa_fs.LocalFileSystem())

    def _lock_file(self, table: str) -> Path:
        uri = self._uri(table)
        if self._remote:
            folder = Path(tempfile.gettempdir()) / f"tessera-locks-{sha256(uri.encode()).hexdigest()[:16]}"
        else:
            folder = Path(self._root) / "_locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{table}.lock"

    def _open(self, table: str) -> DeltaTable | None:
        try:
            return DeltaTable(self._uri(table), storage_options=self._options)
        except TableNotFoundError:
            return None

    def _existing(self, table: str) -> DeltaTable:
        standing = self._open(table)
        if standing is None:
            names = [] if self._remote else [p.parent.name for p in Path(self._root).glob("*/_delta_log")]
            raise TesseraError(
                f"There is no table {table!r} in the lake {self._root}.",
                expected=choose_from(table, names),
                todo="Run the job that writes it first.",
            )
        return standing

    def _create(self, table: str, schema: pa.Schema, by: str, parts: Mapping[date, Sequence[Part]]) -> int:
        create_table_with_add_actions(
            self._uri(table),
            Schema.from_arrow(schema),
            [_added(part, by) for day in sorted(parts) for part in parts[day]],
            partition_by=[by],
            configuration=_TABLE_SETTINGS,
            storage_options=self._options,
        )
        return self.version(table)


def _schema(stored: Schema) -> pa.Schema:
    """As it comes back from Delta (which renames the items of lists), so that equal rows give equal files."""
    return pa.schema(stored.to_arrow())


def _listing(standing: DeltaTable, by: str, first: date, last: date) -> dict[date, dict[str, int]]:
    """Size in bytes of each file, by day and by path relative to the table."""
    actions = pa.table(standing.get_add_actions(flatten=True))
    listing: dict[date, dict[str, int]] = {}
    for path, size, day in zip(
        actions["path"].to_pylist(),
        actions["size_bytes"].to_pylist(),
        actions[f"partition.{by}"].to_pylist(),
        strict=True,
    ):
        if first <= day <= last:
            listing.setdefault(day, {})[path] = size
    return listing


def _commit(
    standing: DeltaTable,
    files: pa_fs.FileSystem,
    by: str,
    listing: Mapping[date, Mapping[str, int]],
    parts: Mapping[date, Sequence[Part]],
) -> int:
    """The version in which the days of `listing` and `parts` hold exactly `parts`: one commit, or none."""
    adds: list[AddAction | RemoveAction] = []
    removes: list[AddAction | RemoveAction] = []
    now_ms = int(time.time() * 1000)
    for day in sorted({*listing, *parts}):
        old, new = listing.get(day, {}), parts.get(day, [])
        if [digest_of(path) for path in sorted(old)] == [part.digest for part in new]:
            for part in new:
                files.delete_file(part.path)
            continue
        adds += [_added(part, by) for part in new]
        removes += [RemoveAction(path, True, now_ms, old[path], {by: day.isoformat()}) for path in sorted(old)]
    if adds or removes:
        _transact(standing, by, [*adds, *removes], {*listing, *parts})
    return standing.version()


def _commit_rewritten(standing: DeltaTable, by: str, rewritten: Sequence[Rewritten]) -> None:
    """The version in which each of these files is replaced by what was written without the removed rows."""
    sizes = {
        path: size for files in _listing(standing, by, date.min, date.max).values() for path, size in files.items()
    }
    now_ms = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [_added(change.part, by) for change in rewritten if change.part]
    for change in rewritten:
        partition: dict[str, str | None] = {by: change.day.isoformat()}
        actions.append(RemoveAction(change.path, True, now_ms, sizes[change.path], partition))
    _transact(standing, by, actions, {change.day for change in rewritten})


def _transact(standing: DeltaTable, by: str, actions: list[AddAction | RemoveAction], days: Set[date]) -> None:
    span = f"{min(days)}..{max(days)}"
    properties = CommitProperties(custom_metadata={"days": span})
    standing.create_write_transaction(actions, "append", standing.schema(), [by], commit_properties=properties)
    standing.update_incremental()


def _without(rows: pa.RecordBatchReader, gone: Forgotten, column: str) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        yield gone.others(batch, column)


def _added(part: Part, by: str) -> AddAction:
    # No limits of columns: with limits for some columns, `to_pyarrow_dataset` of deltalake 1.6.6 takes the limits of
    # the others for null, and a filter on one of those silently finds no rows.
    statistics = json.dumps({"numRecords": part.rows})
    return AddAction(part.path, part.size, {by: part.day.isoformat()}, int(time.time() * 1000), True, statistics)
