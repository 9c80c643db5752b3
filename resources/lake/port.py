"""Where tables live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.health import Health

if TYPE_CHECKING:
    import pyarrow.dataset as ds


class Lake(ABC):
    """Versioned tables, each partitioned by one date column, each write atomic.

    A table is created by its first write. Writers of one table wait for each other; readers never wait and see
    either all of a write or nothing of it.
    """

    @abstractmethod
    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        """The table's version after all rows with `by` in `first`..`last` are exactly `rows`; other days untouched.

        Writing what already stands there makes no new version. `rows` may be empty.

        Raises:
            TesseraError: a row lies outside the days, or the schema is not the table's.
        """

    @abstractmethod
    def scan(self, table: str, *, first: date | None = None, last: date | None = None) -> ds.Dataset:
        """The current version (of those days), lazily: filters and columns are pushed down.

        Rows of an earlier day come first; within a day they keep the order in which they were written.

        Raises:
            TesseraError: the table does not exist.
        """

    @abstractmethod
    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""

    @abstractmethod
    def version(self, table: str) -> int:
        """Number of the current version; -1 when the table does not exist."""

    @abstractmethod
    def days(self, table: str) -> Sequence[date]:
        """The days that hold at least one row, ascending; empty when the table does not exist."""

    @abstractmethod
    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        """Absolute paths of the Parquet files of the current version (of those days), for engines that read files."""

    @abstractmethod
    def vacuum(self, table: str, *, keep_hours: float) -> int:
        """Number of files removed that no version younger than `keep_hours` uses."""

    @abstractmethod
    def lock(self, table: str) -> AbstractContextManager[None]:
        """Held by whoever reads, decides and writes a table: for other writers that is one step. Re-entrant.

        Raises:
            TesseraError: another writer holds it for longer than the lake is set to wait.
        """

    @abstractmethod
    def check(self) -> Health:
        """Whether it can be written and read right now."""
