"""A source that reads Parquet and CSV files: folders, patterns or URLs, with a column mapping."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import pyarrow as pa
from pydantic import ConfigDict, Field, field_validator

from models.contracts import CONTRACTS, DELIVERED_ON, ORIGINAL
from models.errors import TesseraError, choose_from
from resources.health import Health
from resources.source.locations import expanded, local_files, named
from resources.source.mapping import ColumnMapping
from resources.source.port import ARRIVAL, LATE, Identity, Source
from resources.source.scan import FILE, ROW, Reading, scan, unreadable
from resources.source.units import FreshFile, NewUnit, Slice, Unit, Units, recognise, unit_of

PROJECT = Path(__file__).resolve().parents[2]
_ROWS_AT_ONCE = 65_536
#: Temporary table: the place and the delivery day of each row whose own day cannot be read.
_CARRIED = "tessera_carried"
#: What `read_slices` wants of which file.
_SLICES = pa.schema(
    [
        ("_tessera_of", pa.string()),
        ("_tessera_from", pa.int64()),
        ("_tessera_to", pa.int64()),
        ("_tessera_own", pa.date32()),
        ("_tessera_on", pa.date32()),
        ("_tessera_number", pa.int32()),
    ]
)


@dataclass
class FilesTable:
    """One contracted table in files, opened: what it takes to read any days of it.

    A row whose day cannot be read is delivered on the day of the nearest readable row above it in its file, else on
    the earliest day of the file, so that adding later days to the files changes nothing.

    Args:
        location: where the files are; see `resources.source.locations.local_files`.
        mapping: from their columns to the contract's.
        reading: their format.
        timezone: name of the time zone of times without one.
        root: the folder that relative locations start from.
        cache: folder for copies of remote files and for what does not fit in memory.
        settings: everything above as it was set, but for the places.
    """

    location: str
    mapping: ColumnMapping
    reading: Reading
    timezone: str
    root: Path
    cache: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    _days: dict[tuple[object, ...], tuple[date | None, bool]] = field(default_factory=dict, init=False, repr=False)
    _present: dict[Unit, Path] = field(default_factory=dict, init=False, repr=False)

    def files(self) -> list[Path]:
        """The local files; raises TesseraError if there is none."""
        return local_files(self.location, self.root, self.cache)

    def check(self) -> int:
        """The number of files, after binding the mapping to their columns; raises TesseraError."""
        with self._opened() as (_, files, _types):
            return len(files)

    def first_day(self) -> date | None:
        """The earliest day of delivery; None if no row says when it happened."""
        with self._opened() as (connection, files, _):
            return self._readable_days(connection, files)[0]

    def schema(self) -> pa.Schema:
        """The columns of the contract, then day of delivery and original."""
        return self.mapping.contract.lake_schema().append(pa.field(ORIGINAL, pa.string()))

    def batches(self, first: date, last: date, otherwise: Callable[[], date]) -> Iterator[pa.RecordBatch]:
        """The rows delivered on `first`..`last` by day, file and place; `otherwise()` where a file knows none."""
        with self._opened() as (connection, files, types):
            dated = self._dated(connection, files, otherwise, self.mapping.near(types, first, last))
            found = connection.sql(
                f"SELECT {self.mapping.select()}, tessera_day AS {DELIVERED_ON}, "
                f"{self.mapping.original(types)} AS {ORIGINAL} FROM ({dated}) "
                f"WHERE tessera_day BETWEEN DATE '{first}' AND DATE '{last}' ORDER BY tessera_day, {FILE}, {ROW}"
            )
            for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
                yield batch.cast(self.schema())

    def units(self, known: Sequence[Unit], otherwise: Callable[[], date]) -> Units:
        """The units of the files as they are now; see `Source.units`."""
        present, fresh = self._recognised(known)
        self._present = dict(present)
        if not fresh:
            return Units(list(present), [])
        starts = pa.table(
            {
                "_tessera_of": pa.array([str(file.path) for file in fresh], pa.string()),
                "_tessera_from": pa.array([file.first_row or 0 for file in fresh], pa.int64()),
            }
        )
        with self._opened(sorted({file.path for file in fresh}, key=str)) as (connection, files, _types):
            connection.register("tessera_starts", starts)
            begun = f"JOIN tessera_starts ON {FILE} = _tessera_of AND {ROW} >= _tessera_from"
            places = connection.execute(
                f"SELECT {FILE}, min({ROW}), max({ROW}), count(*) FROM tessera_scan {begun} GROUP BY {FILE}"
            ).fetchall()
            dated = self._dated(connection, files, otherwise)
            days = connection.execute(
                f"SELECT {FILE}, tessera_day, count(*) FROM ({dated}) {begun} GROUP BY {FILE}, tessera_day"
            ).fetchall()
        place_of = {str(file): (first, last, rows) for file, first, last, rows in places}
        new = [
            NewUnit(
                unit_of(file, *place_of.get(str(file.path), (file.first_row or 0, (file.first_row or 0) - 1, 0))),
                {day: rows for of, day, rows in days if of == str(file.path)},
            )
            for file in fresh
        ]
        self._present |= {piece.unit: file.path for piece, file in zip(new, fresh, strict=True)}
        return Units(list(present), sorted(new, key=lambda unit: unit.unit))

    def slice_batches(self, slices: Sequence[Slice], otherwise: Callable[[], date]) -> Iterator[pa.RecordBatch]:
        """The rows of `slices`; see `Source.read_slices`."""
        units = {piece.unit for piece in slices}
        if not units:
            return
        if not units <= self._present.keys():
            self._present |= self._recognised(sorted(units))[0]
        present = {unit: path for unit, path in self._present.items() if unit in units}
        wanted = pa.Table.from_pylist(
            [
                {
                    "_tessera_of": str(present[piece.unit]),
                    "_tessera_from": piece.unit.first_row,
                    "_tessera_to": piece.unit.last_row,
                    "_tessera_own": piece.day,
                    "_tessera_on": piece.delivered_on,
                    "_tessera_number": piece.number,
                }
                for piece in slices
                if piece.unit in present
            ],
            schema=_SLICES,
        )
        if not present:
            return
        with self._opened(sorted(set(present.values()), key=str)) as (connection, files, types):
            connection.register("tessera_slices", wanted)
            days = [piece.day for piece in slices]
            dated = self._dated(connection, files, otherwise, self.mapping.near(types, min(days), max(days)))
            found = connection.sql(
                f"SELECT {self.mapping.select()}, _tessera_on AS {DELIVERED_ON}, "
                f"{self.mapping.original(types)} AS {ORIGINAL}, _tessera_number AS {ARRIVAL}, "
                f"tessera_day <> _tessera_on AS {LATE} FROM ({dated}) JOIN tessera_slices ON {FILE} = _tessera_of "
                f"AND tessera_day = _tessera_own AND {ROW} BETWEEN _tessera_from AND _tessera_to "
                f"ORDER BY _tessera_on, _tessera_number, {FILE}, {ROW}"
            )
            for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
                yield batch.cast(self.slice_schema())

    def slice_schema(self) -> pa.Schema:
        """The columns of `schema()`, then number of arrival and whether the row is late."""
        return self.schema().append(pa.field(ARRIVAL, pa.int32())).append(pa.field(LATE, pa.bool_()))

    def _recognised(self, known: Sequence[Unit]) -> tuple[dict[Unit, Path], list[FreshFile]]:
        files = named(self.location, self.root, self.files())
        grows = {name: name.lower().endswith(".csv") and self.reading.kind != "parquet" for name in files}
        return recognise(files, known, grows=grows)

    def _dated(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: list[Path],
        otherwise: Callable[[], date],
        near: str = "true",
    ) -> str:
        """SQL for the rows, each with its own day as `tessera_day`."""
        if self._readable_days(connection, files)[1]:
            return f"SELECT *, {self.mapping.day()} AS tessera_day FROM ({self._rows()} AND {near})"
        self._carry(connection, otherwise())
        return f"SELECT *, coalesce({self.mapping.day()}, carried_on) AS tessera_day FROM ({self._rows_with_carried()})"

    def _rows(self) -> str:
        return f"SELECT * FROM tessera_scan WHERE ({self.mapping.where or 'true'})"

    def _rows_with_carried(self) -> str:
        return f"SELECT * FROM ({self._rows()}) LEFT JOIN {_CARRIED} USING ({FILE}, {ROW})"

    def _readable_days(self, connection: duckdb.DuckDBPyConnection, files: list[Path]) -> tuple[date | None, bool]:
        """The earliest day that can be read, and whether all can; read once for each state of the files."""
        state = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        if state not in self._days:
            days = f"SELECT {self.mapping.day()} AS day FROM ({self._rows()})"
            found = connection.execute(f"SELECT min(day), count(*) = count(day) FROM ({days})").fetchall()
            self._days[state] = found[0]
        return self._days[state]

    def _carry(self, connection: duckdb.DuckDBPyConnection, otherwise: date) -> None:
        """Makes the table `_CARRIED`."""
        connection.execute(
            f"CREATE TEMP TABLE {_CARRIED} AS SELECT {FILE}, {ROW}, "
            f"coalesce(last_value(day IGNORE NULLS) OVER (PARTITION BY {FILE} ORDER BY {ROW}), "
            f"min(day) OVER (PARTITION BY {FILE}), DATE '{otherwise}') AS carried_on "
            f"FROM (SELECT {FILE}, {ROW}, {self.mapping.day()} AS day FROM ({self._rows()})) QUALIFY day IS NULL"
        )

    @contextmanager
    def _opened(
        self, files: list[Path] | None = None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Path], dict[str, str]]]:
        """A connection with the view `tessera_scan` of `files` (None: all), and the types of its columns.

        One thread, because row numbers of CSV files must follow the file's order.
        """
        files = self.files() if files is None else files
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "temp_directory": str(self.cache),
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            connection.execute(f"SET TimeZone = '{self.timezone}'")
            with _told(files, self.reading):
                connection.execute(f"CREATE TEMP VIEW tessera_scan AS {scan(files, self.reading)}")
                described = connection.execute("DESCRIBE tessera_scan").fetchall()
            types = {str(row[0]): str(row[1]) for row in described}
            connection.execute("CREATE TEMP TABLE tessera_shape AS FROM tessera_scan LIMIT 0")
            self.mapping.check(connection, "tessera_shape", types)
            with _told(files, self.reading):
                yield connection, files, types


class FilesSource(Source):
    """Contracted tables in files. A table without any time (a catalogue) is delivered on the first day of all."""

    def __init__(self, tables: Mapping[str, FilesTable]) -> None:
        for table in tables:
            _known(table, CONTRACTS, "stack.yaml maps a table {!r}.")
        self._tables = dict(tables)

    def tables(self) -> frozenset[str]:
        """The tables that the settings map."""
        return frozenset(self._tables)

    def first_day(self) -> date:
        """The earliest day on which a row of any table was delivered (UTC).

        Raises:
            TesseraError: no row of any table says when it happened.
        """
        days = [day for day in (table.first_day() for table in self._tables.values()) if day is not None]
        if not days:
            raise TesseraError(
                f"No row of {', '.join(sorted(self._tables))} has a readable day.",
                expected="dates or times in the column of the event",
                todo="Check its expression under `columns` in stack.yaml, or give `delivered_on`.",
            )
        return min(days)

    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        """The rows delivered on `first`..`last`, by day, then by file name and place in the file."""
        _known(table, self._tables, "This source has no table {!r}.")
        source = self._tables[table]
        source.check()
        return pa.RecordBatchReader.from_batches(source.schema(), source.batches(first, last, self.first_day))

    def identity(self, table: str) -> Identity:
        """The location as it is meant (links followed), and every setting of the table's mapping and format."""
        source = self._tables[table]
        place = expanded(source.location)
        where = place if "://" in place else str((source.root / Path(place).expanduser()).resolve())
        return Identity({"kind": "files", "location": where}, source.settings)

    def units(self, table: str, known: Sequence[Unit]) -> Units:
        """Files, and what was appended to a CSV file, as units of delivery."""
        _known(table, self._tables, "This source has no table {!r}.")
        return self._tables[table].units(known, self.first_day)

    def read_slices(self, table: str, slices: Sequence[Slice]) -> pa.RecordBatchReader:
        """Rows of present units, delivered as the slices say; slices of units that are gone give none."""
        source = self._tables[table]
        return pa.RecordBatchReader.from_batches(source.slice_schema(), source.slice_batches(slices, self.first_day))

    def original_names(self, table: str) -> Mapping[str, str]:
        """The file's names of the columns that the mapping only renames."""
        return self._tables[table].mapping.original_names()

    def check(self) -> Health:
        """Whether the files are there and have the columns that the mapping names; reads no rows."""
        try:
            counts = {name: table.check() for name, table in sorted(self._tables.items())}
        except TesseraError as error:
            return Health(ok=False, says=error.what, todo=f"Expected {error.expected}. {error.todo}")
        return Health(ok=True, says=", ".join(f"{name}: {count} file(s)" for name, count in counts.items()))


class FilesTableConfig(dg.Config):
    """One table in files: where they are, and how their columns become the contract's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    location: str = Field(description="A file, a folder, a glob pattern or a URL; may hold ${NAME:-default}.")
    columns: dict[str, str] = Field(
        default={}, description="Contract column: DuckDB expression over the files' columns; else the same name."
    )
    delivered_on: str = Field(default="", description="Expression for the day of delivery; else the event's UTC day.")
    where: str = Field(default="", description="Condition on the rows that count; else all.")
    timezone: str = Field(default="UTC", description="Time zone of times that name none.")
    format: str = Field(default="auto", description="auto (by file name), parquet or csv.")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Between the fields of a CSV line.")
    encoding: str = Field(default="utf-8", description="Of CSV files: utf-8, utf-16 or latin-1.")

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        ZoneInfo(value)
        return value

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, value: str) -> str:
        return _one_of(value, ("auto", "parquet", "csv"))

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str) -> str:
        return _one_of(value, ("utf-8", "utf-16", "latin-1"))


class FilesSourceConfig(dg.Config):
    """Parquet and CSV files as the source of one or more contracted tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["files"] = "files"
    tables: dict[str, FilesTableConfig] = Field(description="Contracted table: its files.")
    root: str = Field(default="", description="Folder that relative locations start from; empty: the project's.")
    cache: str = Field(default="var/cache/source", description="Folder for copies of remote files.")

    def open(self) -> FilesSource:
        """The source these settings describe; raises TesseraError if they name an unknown table or column."""
        root = PROJECT / Path(self.root).expanduser()
        for table in self.tables:
            _known(table, CONTRACTS, "stack.yaml maps a table {!r}.")
        return FilesSource(
            {table: _opened(table, config, root, root / self.cache) for table, config in self.tables.items()}
        )


def _opened(table: str, config: FilesTableConfig, root: Path, cache: Path) -> FilesTable:
    return FilesTable(
        location=config.location,
        mapping=ColumnMapping(CONTRACTS[table], config.columns, config.delivered_on, config.where),
        reading=Reading(config.format, config.delimiter, config.encoding),
        timezone=config.timezone,
        root=root,
        cache=cache,
        settings=config.model_dump(exclude={"location"}),
    )


def _known(table: str, tables: Mapping[str, object], what: str) -> None:
    if table not in tables:
        raise TesseraError(what.format(table), expected=choose_from(table, tables), todo="Correct the table's name.")


def _one_of(value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"{value!r} is not {choose_from(value, choices)}")
    return value


@contextmanager
def _told(files: Sequence[Path], reading: Reading) -> Iterator[None]:
    """What DuckDB says about a file that it cannot read, as one sentence that names the file."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise unreadable(files, reading, error) from error
