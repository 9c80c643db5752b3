"""The lake port: versioned tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from models.erasure.tombstones import Forgotten, Tombstone
from resources.health import Health

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

#: Rows by day.
DayRows = Mapping[date, int]


def unwatched(_planned: DayRows) -> None:
    """For callers that need no plan."""


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
        Writing what already stands there makes no new version. `rows` may be empty.

        Raises:
            TesseraError: a row lies outside the days, or the schema is not the table's.
        """

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
            TesseraError: so much is damaged that nobody can say what the table held.
        """
        return ()

    @abstractmethod
    def drop(self, table: str) -> None:
        """Remove the table with all its versions, so that its next write makes a new one. Absent: no change."""

    @abstractmethod
    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        """Absolute paths of the Parquet files of the current version (of those days), for engines that read files."""

    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far; by default none."""
        return Forgotten(entity, b"")

    @abstractmethod
    def lock(self, table: str) -> AbstractContextManager[None]:
        """Held by whoever reads, decides and writes a table: for other writers that is one step. Re-entrant.

        Raises:
            TesseraError: another writer holds it for longer than the lake is set to wait.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the lake can be written and read right now."""


class ErasableLake(Lake):
    """A lake that can remove all rows of one entity, for good.

    Erased entities do not come back: once one has a tombstone, no write of any table with the entity's column
    (`models.erasure.tombstones.ENTITIES`) brings rows of it in, whoever computed them and from whatever.
    """

    @abstractmethod
    def remove(self, table: str, where: pc.Expression, *, planned: Callable[[DayRows], None] = unwatched) -> DayRows:
        """Rows removed by day: all for which `where` is true, in one version; the others stay, in order.

        Afterwards no file of the lake holds them: whatever only older versions of the table used is removed at once,
        also when nothing is found. So readers that opened an older version may fail, and have to open it again.

        Args:
            table: which must exist.
            where: a condition on the table's columns.
            planned: told what will be removed, right before it is, if anything will.

        Raises:
            TesseraError: the table does not exist.
        """

    @abstractmethod
    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far."""

    @abstractmethod
    def leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> Tombstone:
        """Return tombstone of `id`, which stands afterwards (see `replace`); one that stands already stays as it is."""


class RetainedLake(Lake):
    """A lake that can remove what only older versions of a table use."""

    @abstractmethod
    def vacuum(self, table: str, *, keep_hours: float) -> int:
        """Return number of files removed that no version younger than `keep_hours` uses."""
