"""A source that reads Parquet, CSV and Excel files: folders, patterns or URLs, with a column mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field, field_validator
from typing_extensions import override

from models.contracts import CONTRACTS, EARLIEST_DAY
from models.errors import TesseraError, choose_from
from resources.health import Health
from resources.source.files_table import FilesTable
from resources.source.formats import ENCODINGS, Format, codec
from resources.source.locations import expanded
from resources.source.mapping import ColumnMapping
from resources.source.port import Holdings, Identity, Source
from resources.source.units import Slice, Unit, Units

PROJECT = Path(__file__).resolve().parents[2]


class FilesSource(Source):
    """Contracted tables in files. A table without any time (a catalogue) is delivered on the first day of all."""

    def __init__(self, tables: Mapping[str, FilesTable], earliest_day: date = EARLIEST_DAY) -> None:
        for table in tables:
            _known(table, CONTRACTS, "stack.yaml maps a table {!r}.")
        self._tables, self._earliest_day = dict(tables), earliest_day

    def tables(self) -> frozenset[str]:
        """Return the tables that the settings map."""
        return frozenset(self._tables)

    def first_day(self) -> date:
        """Return the earliest day on which a row of any table was delivered (UTC).

        Raises:
            TesseraError: no row of any table says when it happened.
        """
        days = [day for day in (table.first_day() for table in self._tables.values()) if day is not None]
        if not days:
            names = ", ".join(sorted(self._tables))
            if not any(table.rows() for table in self._tables.values()):
                raise TesseraError(
                    f"The files of {names} hold no row.",
                    expected="rows below the header lines",
                    todo="Deliver files with rows; `location` of each table in stack.yaml says where.",
                )
            raise TesseraError(
                f"No row of {names} has a readable day.",
                expected="dates or times in the column of the event",
                todo="Check its expression under `columns` in stack.yaml, or give `delivered_on`.",
            )
        return min(days)

    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        """Return the rows delivered on `first`..`last`, by day, then by file name and place in the file."""
        _known(table, self._tables, "This source has no table {!r}.")
        source = self._tables[table]
        source.check()
        return pa.RecordBatchReader.from_batches(source.schema(), source.batches(first, last, self.first_day))

    def original_names(self, table: str) -> Mapping[str, str]:
        """Return the file's names of the columns that the mapping only renames."""
        return self._tables[table].mapping.original_names()

    @override
    def identity(self, table: str) -> Identity:
        """Return the location as it is meant (links followed), and every setting of the table's mapping and format."""
        source = self._tables[table]
        place = expanded(source.location)
        where = place if "://" in place else str((source.root / Path(place).expanduser()).resolve())
        return Identity({"kind": "files", "location": where}, source.settings)

    @override
    def sample(self, table: str, rows: int) -> pa.Table:
        """About `rows` rows, spread evenly over all files."""
        _known(table, self._tables, "This source has no table {!r}.")
        return self._tables[table].sample(rows)

    def raw(self, table: str, rows: int) -> pa.Table:
        """Return the first rows as they are in the files, before any mapping."""
        return self._tables[table].raw(rows)

    def days(self, table: str) -> tuple[date, date] | None:
        """Return the first and the last day of delivery of a table; None if no row says when it happened."""
        return self._tables[table].days()

    def units(self, table: str, known: Sequence[Unit]) -> Units:
        """Files, and what was appended to a CSV file, as units of delivery."""
        _known(table, self._tables, "This source has no table {!r}.")
        return self._tables[table].units(known, self.first_day)

    def read_slices(self, table: str, slices: Sequence[Slice]) -> pa.RecordBatchReader:
        """Rows of present units, delivered as the slices say; slices of units that are gone give none."""
        source = self._tables[table]
        return pa.RecordBatchReader.from_batches(source.slice_schema(), source.slice_batches(slices, self.first_day))

    @override
    def holdings(self, table: str) -> Holdings:
        """Return counts of all files, unread files, and oddities of their columns; reads every row once."""
        _known(table, self._tables, "This source has no table {!r}.")
        return self._without_files_of_others(self._tables[table].holdings())

    @override
    def earliest_day(self) -> date:
        return self._earliest_day

    def check(self) -> Health:
        """Check that the files exist and have the columns that the mapping names; reads no rows."""
        try:
            found = {name: self._without_files_of_others(table.check()) for name, table in sorted(self._tables.items())}
        except TesseraError as error:
            return Health(ok=False, says=error.what, todo=f"Expected {error.expected}. {error.todo}")
        counts = ", ".join(f"{name}: {held.files} file(s)" for name, held in found.items())
        odd = [f"{name}: {says}" for name, held in found.items() for says in held.oddities()]
        return Health(ok=True, says="; ".join([counts, *odd]))

    def _without_files_of_others(self, held: Holdings) -> Holdings:
        """Without the files that another table of this source reads."""
        read = {file.name for table in self._tables.values() for file in table.files()}
        return replace(held, unread=tuple(file for file in held.unread if Path(file.name).name not in read))


class FilesTableConfig(dg.Config):
    """One table in files: where they are, and how their columns become the contract's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    location: str = Field(description="A file, a folder, a glob pattern or a URL; may hold ${NAME:-default}.")
    columns: dict[str, str] = Field(
        default={}, description="Contract column -> DuckDB expression over the files' columns; else the same name."
    )
    delivered_on: str = Field(default="", description="Expression for the day of delivery; else the event's UTC day.")
    where: str = Field(default="", description="Condition on the rows that count; else all.")
    timezone: str = Field(
        default="UTC",
        description="Time zone of times that name none. A time that the clock shows twice is the later one; one that "
        "it skips is moved on by the hour.",
    )
    format: str = Field(default="auto", description="Format of the files: auto (by file name), parquet, csv or xlsx.")
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="Character between the fields of a CSV line."
    )
    encoding: str = Field(
        default="utf-8", description="Encoding of CSV files, e.g. utf-8, utf-16, utf-16-le, latin-1, cp1252."
    )
    quote: str = Field(default='"', max_length=1, description="Character around CSV fields; empty: quotes are text.")
    escape: str = Field(
        default="", max_length=1, description="Character before a quote in a quoted field; else it is doubled."
    )
    header: bool = Field(
        default=True,
        description="CSV files begin with a line of column names; if false, they are column0, column1, ... in order.",
    )
    decimal: str = Field(default=".", description="Decimal sign of numbers in CSV files: a point or a comma.")
    sheet: str = Field(default="", description="Sheet of an Excel workbook; else the first.")

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        ZoneInfo(value)
        return value

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, value: str) -> str:
        return _one_of(value, ("auto", "parquet", "csv", "xlsx"))

    @field_validator("decimal")
    @classmethod
    def _is_a_decimal_sign(cls, value: str) -> str:
        return _one_of(value, (".", ","))

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str) -> str:
        try:
            codec(value)
        except LookupError:
            raise ValueError(f"{value!r} is not {choose_from(value, ENCODINGS)}") from None
        return value

    def form(self) -> Format:
        """Return the format of the files."""
        return Format(
            kind=self.format,  # type: ignore[arg-type]
            delimiter=self.delimiter,
            encoding=self.encoding,
            quote=self.quote,
            escape=self.escape,
            header=self.header,
            decimal=self.decimal,
            sheet=self.sheet,
        )


class FilesSourceConfig(dg.Config):
    """Parquet, CSV and Excel files as the source of one or more contracted tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["files"] = "files"
    tables: dict[str, FilesTableConfig] = Field(
        description="Name of a contracted table -> its files and how their columns become its columns."
    )
    root: str = Field(default="", description="Folder that relative locations start from; empty: the project's.")
    cache: str = Field(default="var/cache/source", description="Folder for copies of remote files.")
    earliest_day: str = Field(
        default=EARLIEST_DAY.isoformat(),
        description="Rows with a time before this day (UTC) go to quarantine.",
    )

    @field_validator("earliest_day")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        date.fromisoformat(value)
        return value

    def open(self) -> FilesSource:
        """Return the source these settings describe; raises TesseraError if they name an unknown table or column."""
        root = PROJECT / Path(self.root).expanduser()
        for table in self.tables:
            _known(table, CONTRACTS, "stack.yaml maps a table {!r}.")
        earliest = date.fromisoformat(self.earliest_day)
        opened = {
            table: _opened(table, config, earliest, root, root / self.cache) for table, config in self.tables.items()
        }
        return FilesSource(opened, earliest)


def _opened(table: str, config: FilesTableConfig, earliest: date, root: Path, cache: Path) -> FilesTable:
    return FilesTable(
        location=config.location,
        mapping=ColumnMapping(
            CONTRACTS[table], config.columns, config.delivered_on, config.where, config.decimal, earliest
        ),
        form=config.form(),
        timezone=config.timezone,
        root=root,
        cache=cache,
        settings={**config.model_dump(exclude={"location"}), "earliest_day": earliest.isoformat()},
    )


def _known(table: str, tables: Mapping[str, object], what: str) -> None:
    if table not in tables:
        raise TesseraError(what.format(table), expected=choose_from(table, tables), todo="Correct the table's name.")


def _one_of(value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"{value!r} is not {choose_from(value, choices)}")
    return value
