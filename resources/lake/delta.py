"""Tables as Delta Lake: on local disk, or on any object store that `deltalake` can reach. No server."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import Schema
from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.erasure.tombstones import OWNERS, TOMBSTONED, Forgotten, Tombstone
from models.errors import TesseraError, choose_from
from resources.health import Health
from resources.lake.local_copies import LocalCopies
from resources.lake.manifest import NAME
from resources.lake.object_store import object_store
from resources.lake.open_tables import OpenTable
from resources.lake.parts import is_intact, number_of, write_parts
from resources.lake.port import DataFile, DayRows, ErasableLake, RetainedLake, TableRef, unwatched
from resources.lake.removal import rewrite_without
from resources.lake.schema import conformed, lake_schema
from resources.lake.table_log import TableLog
from resources.lake.transactions import added, commit_added, commit_days, commit_rewritten, commit_without, listing
from resources.tombstones import TombstoneFolder

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

_TABLE_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_TOMBSTONES = "_forgotten"


class DeltaLakeConfig(dg.Config):
    """Tables in Delta format under one path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["delta"] = "delta"
    path: str = Field(description="Folder, or an address such as s3://bucket/lake, that holds one folder per table.")
    storage_options: dict[str, str] = Field(
        default={}, description="Passed to deltalake: keys and endpoint of an S3-compatible store."
    )
    copies: str = Field(
        default="",
        description="Folder for local copies of a remote lake's files; default: a private one for temporary files.",
    )
    lock_timeout_seconds: float = Field(
        default=600, gt=0, description="A writer waits this long for another writer of the same table."
    )

    def open(self) -> DeltaLake:
        """Return the lake; nothing is read or written yet."""
        return DeltaLake(
            self.path, self.storage_options, lock_timeout_seconds=self.lock_timeout_seconds, copies=self.copies
        )


class DeltaLake(ErasableLake, RetainedLake):
    """One Delta table per name, one folder per day, one file per day up to 128 MiB of rows.

    Writers on one machine wait for each other at a file lock. Writers on several machines are kept apart by Delta's
    own commit: the second of two that replace the same files is refused, and has to run again.
    """

    def __init__(
        self,
        path: str,
        storage_options: Mapping[str, str] | None = None,
        *,
        lock_timeout_seconds: float = 600,
        copies: str = "",
    ) -> None:
        self._remote = "://" in path
        self._root = path.rstrip("/") if self._remote else str(Path(path).expanduser().resolve())
        self._options = dict(storage_options or {})
        self._lock_timeout_seconds = lock_timeout_seconds
        copied = self._remote and not path.startswith("file://")
        self._copies = LocalCopies(Path(copies) if copies else self._temporary("copies")) if copied else None

    @override
    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        with self.lock(table):
            standing = self._open(table, alone=True)
            schema = Schema.from_arrow(lake_schema(rows.schema, by)) if standing is None else standing.delta.schema()
            if standing is not None and standing.manifest.by != by:
                raise TesseraError(
                    f"Table {table!r} is split into days by {standing.manifest.by!r}, not by {by!r}.",
                    expected="the column that the first write named",
                    todo="Pass that column as `by`.",
                )
            files = self._files(table)
            others = self._others(conformed(rows, _schema(schema), table))
            parts = write_parts(files, others, by=by, first=first, last=last)
            log = self._log(table)
            log.sync(part.path for of_day in parts.values() for part in of_day)
            if standing is None:
                actions = [added(p.path, p.size, p.rows, p.day, by) for day in sorted(parts) for p in parts[day]]
                return log.create(Schema.from_arrow(_schema(schema)), by, actions).manifest.version
            if commit_days(standing.delta, files, by, listing(standing.manifest, first, last), parts):
                log.settle_update(standing.delta)
            return standing.delta.version()

    @override
    def append(self, table: str, rows: pa.Table, *, by: str) -> int:
        with self.lock(table):
            standing = self._open(table, alone=True)
            if standing is None or standing.manifest.by != by or not rows.num_rows:
                return super().append(table, rows, by=by)
            others = self._others(conformed(rows, _schema(standing.delta.schema()), table))
            behind = _next_numbers(standing)
            parts = write_parts(self._files(table), others, by=by, first=date.min, last=date.max, behind=behind)
            log = self._log(table)
            log.sync(part.path for of_day in parts.values() for part in of_day)
            if commit_added(standing.delta, by, parts):
                log.settle_update(standing.delta)
            return standing.delta.version()

    @override
    def scan(self, table: str, *, first: date | None = None, last: date | None = None) -> ds.Dataset:
        return self._dataset(table, self._readable(table, first, last), first, last)

    def _dataset(
        self,
        table: str,
        standing: OpenTable,
        first: date | None,
        last: date | None,
        days: Collection[date] | None = None,
    ) -> ds.Dataset:
        import pyarrow.compute as pc
        from pyarrow.dataset import ParquetFragmentScanOptions  # brings pandas, which loading definitions must not

        by = standing.manifest.by
        limits = [(by, sign, day) for sign, day in ((">=", first), ("<=", last)) if day is not None]
        dataset = standing.delta.to_pyarrow_dataset(
            filesystem=self._files(table), file_pruning_predicate=limits or None
        )
        dataset.format.default_fragment_scan_options = ParquetFragmentScanOptions(
            pre_buffer=True, page_checksum_verification=True
        )
        # The log lists files in no particular order; sums of floats must not depend on it.
        only = None if days is None else pc.field(by).isin(pa.array(days, pa.date32()))
        fragments = sorted(dataset.get_fragments(only), key=lambda fragment: fragment.path)
        return type(dataset)(fragments, dataset.schema, dataset.format, dataset.filesystem)

    @override
    def tables(self) -> Sequence[str]:
        listed = self._everything().get_file_info(pa_fs.FileSelector("", allow_not_found=True))
        folders = [info.base_name for info in listed if not info.is_file]
        return sorted(name for name in folders if re.fullmatch(_TABLE_NAME, name) and self.exists(name))

    @override
    def exists(self, table: str) -> bool:
        # What has a manifest exists, whatever became of Delta's log: the next reader restores it.
        return self._files(table).get_file_info(NAME).type == pa_fs.FileType.File or self._open(table) is not None

    @override
    def version(self, table: str) -> int:
        standing = self._open(table)
        return -1 if standing is None else standing.manifest.version

    @override
    def days(self, table: str) -> Sequence[date]:
        standing = self._open(table)
        return sorted({file.day for file in standing.manifest.files.values()}) if standing else []

    @override
    def rows_by_day(self, table: str) -> DayRows:
        standing = self._open(table)
        rows: dict[date, int] = {}
        for file in standing.manifest.files.values() if standing else ():
            rows[file.day] = rows.get(file.day, 0) + file.rows
        return rows

    @override
    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        standing = self._readable(table, first, last)
        found = listing(standing.manifest, first or date.min, last or date.max)
        paths = [path for day in sorted(found) for path in sorted(found[day])]
        if self._copies is None:
            return [f"{self._uri(table)}/{path}" for path in paths]
        sizes = {path: file.size for path, file in standing.manifest.files.items()}
        return self._copies.of(table, self._files(table), paths, sizes)

    @override
    def refer(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        days: Collection[date] | None = None,
    ) -> TableRef:
        standing = self._readable(table, first, last)
        found = listing(standing.manifest, first or date.min, last or date.max)
        wanted = sorted(found) if days is None else sorted(set(days).intersection(found))
        files = [DataFile(f"{self._uri(table)}/{path}", day) for day in wanted for path in sorted(found[day])]
        manifest, schema = standing.manifest, _schema(standing.delta.schema())
        dataset = partial(self._dataset, table, standing, first, last, days)
        return TableRef(table, manifest.version, manifest.by, schema, tuple(files), dataset)

    @override
    def vacuum(self, table: str, *, keep_hours: float) -> int:
        with self.lock(table):
            standing = self._existing(table, alone=True).delta
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
            standing = self._existing(table, alone=True)
            by = standing.manifest.by
            rewritten = list(rewrite_without(self.scan(table), self._files(table), where, by))
            removed: dict[date, int] = {}
            for change in rewritten:
                removed[change.day] = removed.get(change.day, 0) + change.removed
            if rewritten:
                planned(removed)
                commit_rewritten(standing, rewritten)
                self._log(table).settle_update(standing.delta)
            self.vacuum(table, keep_hours=0)
            if self._copies is not None:
                self._copies.drop(table)
            return removed

    @override
    def repair(self, table: str) -> Sequence[date]:
        with self.lock(table):
            standing = self._open(table)
            if standing is None:
                return []
            files, listed = self._files(table), standing.manifest.files
            broken = {file.day for path, file in listed.items() if not is_intact(files, path, file.size)}
            if not broken:
                self._log(table).settle(standing)
                return []
            standing = self._existing(table, alone=True)
            commit_without(standing, broken)
            self._log(table).settle_update(standing.delta)
            return sorted(broken)

    @override
    def drop(self, table: str) -> None:
        with self.lock(table):
            if self._everything().get_file_info(table).type == pa_fs.FileType.Directory:
                self._log(table).forget()
                self._everything().delete_dir(table)
            if self._copies is not None:
                self._copies.drop(table)

    @override
    def forgotten(self, entity: str) -> Forgotten:
        return self._tombstones().forgotten(entity)

    @override
    def leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        with self.lock(_TOMBSTONES):
            return self._tombstones().add(entity, id, day=day, why=why)

    @override
    def leave_tombstones(self, entity: str, ids: Collection[str], *, day: date, why: str) -> None:
        with self.lock(_TOMBSTONES):
            self._tombstones().add_many(entity, ids, day=day, why=why)

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

    def _readable(self, table: str, first: date | None, last: date | None) -> OpenTable:
        """Return the current version, after its files of these days were seen to have their sizes.

        Other stores keep them.
        """
        while True:
            standing = self._existing(table)
            lost = {} if self._remote else self._cut_off(table, standing, first or date.min, last or date.max)
            if not lost:
                return standing
            if self.version(table) == standing.manifest.version:  # else another process replaced and removed the files
                day = min(lost)
                more = f" and {len(lost) - 1} more days" if len(lost) > 1 else ""
                raise TesseraError(
                    f"The lake lost rows of {table!r} of {day}{more}: {self._uri(table)}/{lost[day]} is damaged.",
                    expected="data files as they were written",
                    todo=f"Run the job that writes {table!r} once more for {day} (`tessera run JOB --date {day}`), "
                    "or restore the file from a backup.",
                )

    def _cut_off(self, table: str, standing: OpenTable, first: date, last: date) -> dict[date, str]:
        """Return a file of each day in `first`..`last` that is missing or has not its size."""
        files = {path: file for path, file in standing.manifest.files.items() if first <= file.day <= last}
        found = self._files(table).get_file_info(list(files))
        return {
            file.day: path
            for (path, file), info in zip(files.items(), found, strict=True)
            if info.type != pa_fs.FileType.File or info.size != file.size
        }

    def _not_writable(self, error: OSError) -> TesseraError:
        return TesseraError(
            f"The lake {self._root} cannot be written: {error.strerror}.",
            expected="a folder that this user may write",
            todo="Correct its permissions, or `path` of the lake in stack.yaml.",
        )

    def _tombstones(self) -> TombstoneFolder:
        return TombstoneFolder(self._everything(), _TOMBSTONES)

    def _others(self, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the rows without those of forgotten entities. The caller holds the table's lock."""
        for entity, column in TOMBSTONED.items():
            if column in rows.schema.names and (gone := self.forgotten(entity)):
                rows = pa.RecordBatchReader.from_batches(
                    rows.schema, _without(rows, gone, column, OWNERS.get(entity, ""))
                )
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

    def _temporary(self, use: str) -> Path:
        """Return a folder of this machine for a remote lake."""
        return Path(tempfile.gettempdir()) / f"tessera-{use}-{sha256(self._root.encode()).hexdigest()[:16]}"

    def _lock_file(self, table: str) -> Path:
        self._uri(table)  # refuses a name that cannot be one
        folder = self._temporary("locks") if self._remote else Path(self._root) / "_locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{table}.lock"

    def _log(self, table: str) -> TableLog:
        return TableLog(self._uri(table), self._files(table), self._options, is_local=not self._remote)

    def _open(self, table: str, *, alone: bool = False) -> OpenTable | None:
        """Return the current version, restored if Delta's log lost it; None if the table does not exist.

        Args:
            table: its name.
            alone: for a writer that updates it; readers share theirs.
        """
        log = self._log(table)
        standing, is_whole = log.read() if alone else log.shared()
        if is_whole:
            return standing
        with self.lock(table):
            return log.restored()

    def _existing(self, table: str, *, alone: bool = False) -> OpenTable:
        standing = self._open(table, alone=alone)
        if standing is None:
            names = [] if self._remote else [p.parent.name for p in Path(self._root).glob("*/_delta_log")]
            raise TesseraError(
                f"There is no table {table!r} in the lake {self._root}.",
                expected=choose_from(table, names),
                todo="Run the job that writes it first.",
            )
        return standing


def _schema(stored: Schema) -> pa.Schema:
    """As it comes back from Delta (which renames the items of lists), so that equal rows give equal files."""
    return pa.schema(stored.to_arrow())


def _next_numbers(standing: OpenTable) -> dict[date, int]:
    """Return for each day a number above those of its parts."""
    numbers: dict[date, int] = {}
    for path, file in standing.manifest.files.items():
        numbers[file.day] = max(numbers.get(file.day, 0), number_of(path, 0) + 1)
    return numbers


def _without(rows: pa.RecordBatchReader, gone: Forgotten, column: str, owner: str) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        yield gone.others(batch, column, owner)
