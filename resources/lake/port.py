"""The lake port: versioned tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from models.erasure.tombstones import Forgotten, Tombstone
from models.errors import TesseraError, choose_from
from resources.health import Health

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

#: Rows by day.
DayRows = Mapping[date, int]


def unwatched(_planned: DayRows) -> None:
    """For callers that need no plan."""


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        address: its absolute path, or its address in an object store, e.g. `s3://bucket/lake/orders/...`.
        day: value of the table's date column in all of its rows; the file itself need not have that column.
    """

    address: str
    day: date


@dataclass(frozen=True)
class TableRef:
    """Rows of one version of a table, by reference: nothing is read until an engine does, wherever that runs.

    It can be pickled. It holds no secrets: an engine elsewhere opens the addresses with credentials of its own.

    Attributes:
        table: name of the table.
        version: number of the version.
        by: the date column.
        schema: columns to read, in order, and their types.
        files: files that hold the rows, in the order of the rows.
    """

    table: str
    version: int
    by: str
    schema: pa.Schema
    files: tuple[DataFile, ...]
    _dataset: Callable[[], ds.Dataset] | None = field(default=None, compare=False, repr=False)

    def only(self, *columns: str) -> TableRef:
        """Return the reference to these columns alone.

        Raises:
            TesseraError: there is no such column.
        """
        for name in columns:
            if name not in self.schema.names:
                raise TesseraError(
                    f"Table {self.table!r} has no column {name!r}.",
                    expected=choose_from(name, self.schema.names),
                    todo="Correct the name.",
                )
        return replace(self, schema=pa.schema([self.schema.field(name) for name in columns]))

    def dataset(self) -> ds.Dataset:
        """Return the rows as a dataset that pushes columns and filters down: the lake's own, else the local files.

        Only for engines that run where the files are; others open `files` themselves.
        """
        return _local(self) if self._dataset is None else self._dataset()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None}


def _local(ref: TableRef) -> ds.Dataset:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    paths = {file.address.removeprefix("file://"): file.day for file in ref.files}
    remote = [path for path in paths if "://" in path]
    if remote:
        raise TesseraError(
            f"{remote[0]} cannot be opened here as a local file.",
            expected="a reference that the lake made in this process, or an engine that reads its storage",
            todo="Make the reference here (`Lake.refer`), or choose an engine that opens the store itself.",
        )
    format, files = ds.ParquetFileFormat(), LocalFileSystem()
    day: Any = pc.field(ref.by)
    fragments = [format.make_fragment(path, files, partition_expression=day == of) for path, of in paths.items()]
    schema = ref.schema if ref.by in ref.schema.names else ref.schema.append(pa.field(ref.by, pa.date32()))
    return ds.FileSystemDataset(fragments, schema, format, files)


class Lake(ABC):
    """Versioned tables, each partitioned by one date column, each write atomic.

    A table is created by its first write. Writers of one table wait for each other; readers never wait and see
    either all of a write or nothing of it.

    Some lakes can also erase (`ErasableLake`) and tidy up (`RetainedLake`).
    """

    @abstractmethod
    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        """Return table's version after all rows with `by` in `first`..`last` are exactly `rows`; other days untouched.

        Rows of erased entities are left out (`ErasableLake`); they are looked up while no other writer is active.
        Writing what is already there makes no new version. `rows` may be empty.

        Raises:
            TesseraError: a row is outside the days, or the schema is not the table's.
        """

    def append(self, table: str, rows: pa.Table, *, by: str) -> int:
        """Return the table's version after `rows` follow the other rows of their days, which stay as they are.

        Every row has a day. As `replace` otherwise. By default the days are written again; adapters that can add
        files to a day do so.
        """
        import pyarrow.compute as pc

        with self.lock(table):
            days = sorted(rows[by].unique().to_pylist())
            if days and not self.exists(table):
                return self.replace(table, rows, by=by, first=days[0], last=days[-1])
            for day in days:
                new = rows.filter(pc.field(by) == day)
                before = [self.scan(table, first=day, last=day).to_table()] if self.exists(table) else []
                together = pa.concat_tables([*(one.cast(new.schema) for one in before), new])
                self.replace(table, together, by=by, first=day, last=day)
            return self.version(table)

    @abstractmethod
    def scan(self, table: str, *, first: date | None = None, last: date | None = None) -> ds.Dataset:
        """Return the current version (of those days), lazily: filters and columns are pushed down.

        Rows of an earlier day come first; within a day they keep the order in which they were written.

        Raises:
            TesseraError: the table does not exist.
        """

    @abstractmethod
    def tables(self) -> Sequence[str]:
        """Names of all tables, ascending."""

    @abstractmethod
    def exists(self, table: str) -> bool:
        """Return True if the table was ever written."""

    @abstractmethod
    def version(self, table: str) -> int:
        """Return number of the current version; -1 when the table does not exist."""

    @abstractmethod
    def days(self, table: str) -> Sequence[date]:
        """Return the days that hold at least one row, ascending; empty when the table does not exist."""

    @abstractmethod
    def rows_by_day(self, table: str) -> DayRows:
        """Rows of each day that holds any, without reading them; empty when the table does not exist."""

    def repair(self, table: str) -> Sequence[date]:  # noqa: ARG002 - adapters over plain files use it
        """Return the days that lost rows since they were written, ascending, after they were taken out of the table.

        Every byte of the table is compared with what was written. Whatever can be restored is restored; a day of which
        anything is missing leaves the table as a whole, so that it is written again. Without damage, no new version.

        Raises:
            TesseraError: so much is damaged that it is unknown what the table held.
        """
        return ()

    @abstractmethod
    def drop(self, table: str) -> None:
        """Remove the table with all its versions, so that its next write makes a new one. Absent: no change."""

    @abstractmethod
    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        """Absolute paths of the Parquet files of the current version (of those days), for engines that read files."""

    @abstractmethod
    def refer(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        days: Collection[date] | None = None,
    ) -> TableRef:
        """Return a reference to the current version, for engines; order of rows as in `scan`.

        Its addresses are those in the lake's own storage: no file is copied.

        Args:
            table: its name.
            first: the first day; None: as far back as there are rows.
            last: the last day; None: the newest.
            days: only these days of them; None: all.

        Raises:
            TesseraError: the table does not exist.
        """

    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far; by default none."""
        return Forgotten(entity, b"")

    @abstractmethod
    def lock(self, table: str) -> AbstractContextManager[None]:
        """Held while a caller reads, decides and writes a table: for other writers that is one step. Re-entrant.

        Raises:
            TesseraError: another writer holds it for longer than the lake is set to wait.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the lake can be written and read right now."""


class ErasableLake(Lake):
    """A lake that can remove all rows of one entity, for good.

    Erased entities do not come back: once one has a tombstone, no write of any table with the entity's column
    (`models.erasure.tombstones.TOMBSTONED`) brings rows of it in, wherever they were computed and from whatever.
    """

    @abstractmethod
    def remove(self, table: str, where: pc.Expression, *, planned: Callable[[DayRows], None] = unwatched) -> DayRows:
        """Rows removed by day: all for which `where` is true, in one version; the others stay, in order.

        Afterwards no file of the lake holds them: whatever only older versions of the table used is removed at once,
        also when nothing is found. So readers that opened an older version may fail, and have to open it again.

        Args:
            table: which must exist.
            where: a condition on the table's columns.
            planned: called with what will be removed, right before it is, if anything will.

        Raises:
            TesseraError: the table does not exist.
        """

    @abstractmethod
    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far."""

    @abstractmethod
    def leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        """Return tombstone of `id`, which exists afterwards (see `replace`); an existing one stays as it is."""

    @abstractmethod
    def leave_tombstones(self, entity: str, ids: Collection[str], *, day: date, why: str) -> None:
        """Leave the tombstones of `ids`, all of them or none, in one file at most; existing ones stay as they are."""


class RetainedLake(Lake):
    """A lake that can remove what only older versions of a table use."""

    @abstractmethod
    def vacuum(self, table: str, *, keep_hours: float) -> int:
        """Return number of files removed that no version younger than `keep_hours` uses."""
