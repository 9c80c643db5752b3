"""Where the shop's raw rows come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date

import pyarrow as pa

from resources.health import Health


class Source(ABC):
    """Delivers raw rows of the contracted tables, day by day.

    Rows come *as they are*: what cannot be read as the contract's type is NULL in its column and stands
    untouched in `_original`, so that the contract, not the source, decides what is wrong with it.
    """

    @abstractmethod
    def tables(self) -> frozenset[str]:
        """The contracted tables it provides, a subset of `models.contracts.CONTRACTS`."""

    @abstractmethod
    def first_day(self) -> date:
        """The first day on which anything was delivered (UTC)."""

    @abstractmethod
    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        """Rows of `table` delivered on `first`..`last`, both included, in a reproducible order.

        Columns: those of the table's contract, then `delivered_on` (date32) and `_original` (string: the row as
        delivered, one JSON object). The same days give the same rows whether or not later days exist.

        Raises:
            TesseraError: unknown table, unreadable file, or a mapping that names a missing column.
        """

    def original_names(self, table: str) -> Mapping[str, str]:  # noqa: ARG002 - adapters that rename use it
        """Name in `_original` of each contract column that has another name there; by default none has."""
        return {}

    @abstractmethod
    def check(self) -> Health:
        """Whether rows can be read right now."""
