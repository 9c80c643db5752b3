"""The source port: the shop's raw rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from models.contracts import EARLIEST_DAY
from resources.health import Health
from resources.source.units import Slice, Unit, Units

#: What `read_slices` delivers beside the columns of `read`.
ARRIVAL, LATE = "_arrival", "_late"


@dataclass(frozen=True)
class Identity:
    """Identity of a source's rows for a table; values are texts, or anything that JSON can hold.

    Attributes:
        source: where the rows come from. The name `location` is special for a source with units of delivery: another
            location that holds the same units is the same source.
        mapping: how they become rows of the table.
    """

    source: Mapping[str, object]
    mapping: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class UnreadFile:
    """A file among a table's files that is not read: its name, and why.

    `may_have_rows` is false for files that never hold any, such as a README.
    """

    name: str
    reason: str
    may_have_rows: bool = True


@dataclass(frozen=True)
class Holdings:
    """All that a source holds of one table, on whatever day it was delivered.

    Attributes:
        rows: physical records, counted before they are parsed; None if the source cannot tell.
        excluded: those that the profile's `where` leaves out: they are never delivered.
        files: number of files that are read.
        unread: files beside them that are not.
        notes: sentences about what is odd, e.g. a column whose type differs between files.
    """

    rows: int | None = None
    excluded: int = 0
    files: int = 0
    unread: tuple[UnreadFile, ...] = ()
    notes: tuple[str, ...] = ()

    def oddities(self) -> list[str]:
        """Sentences for a person: the notes, and the files that may have rows and are not read."""
        unread = [f"{file.name} is not read: {file.reason}" for file in self.unread if file.may_have_rows]
        return [*self.notes, *unread]


class Source(ABC):
    """Delivers raw rows of the contracted tables, day by day.

    Rows come *as they are*: what cannot be read as the contract's type is NULL in its column and stands
    untouched in `_original`, so that the contract, not the source, decides what is wrong with it. Of a row that the
    source cannot take apart, all columns are NULL and the first field of `_original` is `_unreadable`, the reason.
    """

    @abstractmethod
    def tables(self) -> frozenset[str]:
        """Return the contracted tables it provides, a subset of `models.contracts.CONTRACTS`."""

    @abstractmethod
    def first_day(self) -> date:
        """Return the first day on which anything was delivered (UTC)."""

    @abstractmethod
    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        """Rows of `table` delivered on `first`..`last`, both included, in a reproducible order.

        Columns: those of the table's contract, then `delivered_on` (date32) and `_original` (string: the row as
        delivered, one JSON object). The same days give the same rows whether or not later days exist.

        Raises:
            TesseraError: unknown table, unreadable file, or a mapping that names a missing column.
        """

    def sample(self, table: str, rows: int) -> pa.Table:
        """About `rows` rows for a look at the table, as `read` delivers them; by default those of its first 31 days.

        Raises:
            TesseraError: as `read`.
        """
        first = self.first_day()
        reader = self.read(table, first, first + timedelta(days=30))
        batches: list[pa.RecordBatch] = []
        while sum(batch.num_rows for batch in batches) < rows and (batch := next(reader, None)) is not None:
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema).slice(0, rows)

    def original_names(self, table: str) -> Mapping[str, str]:  # noqa: ARG002 - adapters that rename use it
        """Name in `_original` of each contract column that has another name there; by default none has."""
        return {}

    def identity(self, table: str) -> Identity | None:  # noqa: ARG002 - adapters that know better use it
        """Return what determines the rows delivered for `table`; by default the settings without secrets are used."""
        return None

    def units(self, table: str, known: Sequence[Unit]) -> Units | None:  # noqa: ARG002 - see `read_slices`
        """Units of delivery that the source holds now, compared with the `known` ones; None: it has no units.

        By default it has none. Rows that such a source delivers for a day are then those of its next `read`: a row
        that turns up later for a day that is complete is found only within `IngestionConfig.redelivery_days`. A source
        with units loses no late row: ingestion reads each new unit whole and delivers its late rows on the night on
        which the unit was first seen.

        Raises:
            TesseraError: as `read`.
        """
        return None

    def read_slices(self, table: str, slices: Sequence[Slice]) -> pa.RecordBatchReader:
        """Rows of these slices of present units, by day of delivery, number, unit and place in the unit.

        Columns: as `read`, then `_arrival` (int32: the slice's number) and `_late` (bool: delivered on another day
        than the row's own). Only called for a source with units.
        """
        raise NotImplementedError(f"{type(self).__name__} reports units of {table!r} but reads none of {len(slices)}")

    def holdings(self, table: str) -> Holdings:  # noqa: ARG002 - adapters that can count use it
        """All that it holds of `table`; by default nothing is known.

        Where `rows` is known, reading all days delivers `rows - excluded` rows.
        """
        return Holdings()

    def earliest_day(self) -> date:
        """Return the first day on which a row can have happened (UTC): what says an earlier one goes to quarantine."""
        return EARLIEST_DAY

    @abstractmethod
    def check(self) -> Health:
        """Report if rows can be read right now."""
