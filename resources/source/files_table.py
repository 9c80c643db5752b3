"""One contracted table in files: every record of theirs is delivered, left out by `where`, or its file is refused."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from models.contracts import DELIVERED_ON, ORIGINAL
from resources.duckdb_connection import connect_shared
from resources.source.counts import FileCounts, KeptCounts, counts_of
from resources.source.days import carry_days, own_days
from resources.source.excel import other_sheets
from resources.source.facts import Facts, read_facts
from resources.source.formats import Format
from resources.source.inventory import unread_files
from resources.source.locations import local_files, named
from resources.source.mapping import Bound, ColumnMapping
from resources.source.port import ARRIVAL, LATE, Holdings, UnreadFile
from resources.source.scan import REPEAT, Scan, Shape, differing_types, folder_columns, shapes_of, unreadable
from resources.source.spool import FILE, INTERNAL, PROBLEM, ROW, Spool
from resources.source.units import FreshFile, NewUnit, Slice, Unit, Units, recognise, unit_of
from resources.source.values import name

_ROWS_AT_ONCE = 65_536
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
_State = tuple[tuple[str, int, int], ...]


@dataclass
class FilesTable:
    """One contracted table in files, opened: what it takes to read any days of it.

    A row whose day cannot be read is delivered on the day of the nearest readable row above it in its file, else on
    the earliest day of the file, so that adding later days to the files changes nothing.

    Args:
        location: where the files are; see `resources.source.locations.local_files`.
        mapping: from their columns to the contract's.
        form: their format.
        timezone: name of the time zone of times without one.
        root: the folder that relative locations start from.
        cache: folder for copies of remote files and for what does not fit in memory.
        settings: everything above as it was set, but for the places.
    """

    location: str
    mapping: ColumnMapping
    form: Format
    timezone: str
    root: Path
    cache: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    _spool: Spool = field(init=False, repr=False)
    _shapes: dict[_State, list[Shape]] = field(default_factory=dict, init=False, repr=False)
    _present: dict[Unit, Path] = field(default_factory=dict, init=False, repr=False)
    _facts: dict[_State, Facts] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._spool = Spool(self.cache)

    def files(self) -> list[Path]:
        """Return the local files; raises TesseraError if there is none."""
        return local_files(self.location, self.root, self.cache)

    def check(self) -> Holdings:
        """Files and oddities, after binding the mapping to the files' columns; reads no rows; raises TesseraError."""
        files = self.files()
        with self._connected(files) as (connection, shapes):
            self._bound(connection, shapes)
        return Holdings(files=len(files), unread=self._unread(files), notes=tuple(self._notes(files, shapes)))

    def holdings(self) -> Holdings:
        """All that the files hold, counted before it is parsed; files that did not change are not parsed again.

        Raises:
            TesseraError: a file cannot be read.
        """
        files = self.files()
        kept = KeptCounts(self.cache, repr((self.location, self.root, self.mapping, self.form, self.timezone)))
        counts = kept.of(files, self._counts)
        notes = self._notes(files, self._all_shapes())
        for column in sorted({column for each in counts.values() for column in each.written_as_floats}):
            written = sorted(file for file, each in counts.items() if column in each.written_as_floats)
            more = f" and {len(written) - 1} more files" if len(written) > 1 else ""
            notes.append(f"{column} is written like 103.0 in {written[0].name}{more}: read as 103")
        rows = sum(each.rows for each in counts.values())
        excluded = rows - sum(each.counted for each in counts.values())
        return Holdings(rows, excluded, len(files), self._unread(files), tuple(notes))

    def _counts(self, files: list[Path]) -> dict[Path, FileCounts]:
        with self._connected(files) as (connection, shapes):
            facts, bounds = self._read_facts(connection, files, shapes)
            return counts_of(connection, bounds, files, facts.written_as_floats)

    def first_day(self) -> date | None:
        """Return the earliest day of delivery; None if no row says when it happened."""
        files = self.files()
        with self._connected(files) as (connection, shapes):
            return self._read_facts(connection, files, shapes)[0].first_day

    def rows(self) -> int:
        """Return the number of rows in all files."""
        files = self.files()
        with self._connected(files) as (connection, shapes):
            return self._read_facts(connection, files, shapes)[0].rows

    def days(self) -> tuple[date, date] | None:
        """Return the first and the last day of delivery; None if no row says when it happened."""
        with self._dated(self.files(), _today) as (connection, parts):
            days = " UNION ALL ".join(f"SELECT tessera_day FROM ({dated})" for _, dated in parts)
            found = connection.execute(f"SELECT min(tessera_day), max(tessera_day) FROM ({days})").fetchall()[0]
        return (found[0], found[1]) if self.first_day() else None

    def sample(self, rows: int) -> pa.Table:
        """About `rows` rows, spread evenly over all files, as `batches` delivers them; always the same ones."""
        with self._dated(self.files(), _today) as (connection, parts):
            total = max(facts.rows for facts in self._facts.values())
            chosen = f"hash({FILE}, {ROW}) % {max(total, 1)} < {rows}"
            parts_sql = " UNION ALL ".join(
                f"SELECT {bound.select()}, tessera_day AS {DELIVERED_ON}, {bound.original()} AS {ORIGINAL}, "
                f"{FILE}, {ROW} FROM ({dated}) WHERE {chosen}"
                for bound, dated in parts
            )
            if not parts:
                return self.schema().empty_table()
            batches = list(_in_order(connection, parts_sql, self.schema(), f"{FILE}, {ROW}"))
        return pa.Table.from_batches(batches, self.schema())

    def raw(self, rows: int) -> pa.Table:
        """Return the first `rows` rows as they are in the files with the most columns; texts where files hold texts."""
        with self._connected(self.files()) as (connection, shapes):
            if not shapes:
                return pa.table({})
            shape = max(shapes, key=lambda each: len(each.columns))
            scan = Scan([shape], [shape], [])
            scan.make_views(connection, scan.make_empty(connection), self.form, self._spool)
            found = connection.sql(
                f"SELECT * EXCLUDE ({', '.join(INTERNAL)}) FROM tessera_rows_0 WHERE {PROBLEM} IS NULL "
                f"ORDER BY {FILE}, {ROW} LIMIT {rows}"
            )
            return found.to_arrow_table()

    def schema(self) -> pa.Schema:
        """Return the columns of the contract, then day of delivery and original."""
        return self.mapping.contract.lake_schema().append(pa.field(ORIGINAL, pa.string()))

    def batches(self, first: date, last: date, otherwise: Callable[[], date]) -> Iterator[pa.RecordBatch]:
        """Yield the rows delivered on `first`..`last` by day, file and place; `otherwise()` where a file knows none."""
        with self._dated(self.files(), otherwise, first, last) as (connection, parts):
            if not parts:
                return
            rows = " UNION ALL ".join(
                f"SELECT {bound.select()}, tessera_day AS {DELIVERED_ON}, {bound.original()} AS {ORIGINAL}, "
                f"{FILE}, {ROW} FROM ({dated}) WHERE tessera_day BETWEEN DATE '{first}' AND DATE '{last}'"
                for bound, dated in parts
            )
            yield from _in_order(connection, rows, self.schema(), f"{DELIVERED_ON}, {FILE}, {ROW}")

    def units(self, known: Sequence[Unit], otherwise: Callable[[], date]) -> Units:
        """Return the units of the files as they are now; see `Source.units`."""
        present, fresh = self._recognised(known)
        self._present = dict(present)
        if not fresh:
            return Units(sorted(present), [])
        starts = pa.table(
            {
                "_tessera_of": pa.array([str(file.path) for file in fresh], pa.string()),
                "_tessera_from": pa.array([file.first_row or 0 for file in fresh], pa.int64()),
            }
        )
        begun = f"JOIN tessera_starts ON {FILE} = _tessera_of AND {ROW} >= _tessera_from"
        places: list[tuple[str, int, int, int]] = []
        days: list[tuple[str, date, int]] = []
        with self._dated(sorted({file.path for file in fresh}, key=str), otherwise) as (connection, parts):
            connection.register("tessera_starts", starts)
            for number, (_, dated) in enumerate(parts):
                places += connection.execute(
                    f"SELECT {FILE}, min({ROW}), max({ROW}), count(*) FROM tessera_rows_{number} {begun} "
                    f"GROUP BY {FILE}"
                ).fetchall()
                days += connection.execute(
                    f"SELECT {FILE}, tessera_day, count(*) FROM ({dated}) {begun} GROUP BY {FILE}, tessera_day"
                ).fetchall()
        place_of = {file: (first, last, rows) for file, first, last, rows in places}
        new = [
            NewUnit(
                unit_of(file, *place_of.get(str(file.path), (file.first_row or 0, (file.first_row or 0) - 1, 0))),
                {day: rows for of, day, rows in days if of == str(file.path)},
            )
            for file in fresh
        ]
        self._present |= {piece.unit: file.path for piece, file in zip(new, fresh, strict=True)}
        return Units(sorted(present), sorted(new, key=lambda unit: unit.unit))

    def slice_batches(self, slices: Sequence[Slice], otherwise: Callable[[], date]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `slices`; see `Source.read_slices`."""
        units = {piece.unit for piece in slices}
        if not units <= self._present.keys():
            self._present |= self._recognised(sorted(units))[0]
        present = {unit: path for unit, path in self._present.items() if unit in units}
        if not present:
            return
        days = [piece.day for piece in slices]
        files = sorted(set(present.values()), key=str)
        with self._dated(files, otherwise, min(days), max(days)) as (connection, parts):
            connection.register("tessera_slices", _wanted(slices, present))
            rows = " UNION ALL ".join(
                f"SELECT {bound.select()}, _tessera_on AS {DELIVERED_ON}, {bound.original()} AS {ORIGINAL}, "
                f"_tessera_number AS {ARRIVAL}, tessera_day <> _tessera_on AS {LATE}, {FILE}, {ROW} "
                f"FROM ({dated}) JOIN tessera_slices ON {FILE} = _tessera_of "
                f"AND tessera_day = _tessera_own AND {ROW} BETWEEN _tessera_from AND _tessera_to"
                for bound, dated in parts
            )
            if rows:
                order = f"{DELIVERED_ON}, {ARRIVAL}, {FILE}, {ROW}"
                yield from _in_order(connection, rows, self.slice_schema(), order)

    def slice_schema(self) -> pa.Schema:
        """Return the columns of `schema()`, then number of arrival and whether the row is late."""
        return self.schema().append(pa.field(ARRIVAL, pa.int32())).append(pa.field(LATE, pa.bool_()))

    def _recognised(self, known: Sequence[Unit]) -> tuple[dict[Unit, Path], list[FreshFile]]:
        files = named(self.location, self.root, self.files())
        grows = {name: name.lower().endswith(".csv") and self.form.kind_of(files[name]) == "csv" for name in files}
        return recognise(files, known, grows=grows)

    @contextmanager
    def _dated(
        self, files: list[Path], otherwise: Callable[[], date], first: date | None = None, last: date | None = None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[tuple[Bound, str]]]]:
        """Yield a connection with the views of `files`, and per shape SQL for its rows, their day as `tessera_day`.

        Where `first` and `last` are given, rows of other days may be missing.
        """
        with self._connected(files) as (connection, shapes):
            facts, bounds = self._read_facts(connection, files, shapes)
            if bounds and not facts.all_readable:
                carry_days(connection, bounds, otherwise())
            yield connection, [(bound, own_days(n, bound, facts, first, last)) for n, bound in enumerate(bounds)]

    def _unread(self, files: Sequence[Path]) -> tuple[UnreadFile, ...]:
        return tuple(unread_files(self.location, self.root, files))

    def _notes(self, files: Sequence[Path], shapes: Sequence[Shape]) -> list[str]:
        sheets = [
            f"sheet {sheet!r} of {file.name} is not read"
            for file in files
            if self.form.kind_of(file) == "xlsx"
            for sheet in other_sheets(file, self.form)
        ]
        return [*differing_types(shapes), *sheets]

    @contextmanager
    def _connected(self, files: list[Path]) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Shape]]]:
        """Provide a connection in the time zone of the files, and `files` by their columns."""
        shapes = [shape for each in self._all_shapes() if (shape := each.only(files)).files]
        with connect_shared(threads=1, temp_directory=str(self.cache)) as connection:
            connection.execute(f"SET TimeZone = '{self.timezone}'")
            try:
                yield connection, shapes
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise unreadable(shapes, error) from error

    def _all_shapes(self) -> list[Shape]:
        """All files by their columns: a column that only other files have is NULL in the files that are read."""
        files = self.files()
        state = _state(files)
        if state not in self._shapes:
            self._shapes = {state: shapes_of(files, self.form)}
        return self._shapes[state]

    def _bound(self, connection: duckdb.DuckDBPyConnection, shapes: list[Shape]) -> tuple[Scan, list[Bound]]:
        every = self._all_shapes()
        columns = {column.lower(): column for shape in every for column, _ in shape.columns}
        paths = [file for shape in every for file in shape.files]
        folders = [column for column in folder_columns(paths, columns) if self.mapping.names(column)]
        same = [] if REPEAT in columns else self.mapping.named_beside(REPEAT, columns.values())
        scan = Scan(shapes, every, folders, same=same)
        types = scan.make_empty(connection)
        return scan, [self.mapping.bind(connection, f"tessera_shape_{n}", each) for n, each in enumerate(types)]

    def _read_facts(
        self, connection: duckdb.DuckDBPyConnection, files: list[Path], shapes: list[Shape]
    ) -> tuple[Facts, list[Bound]]:
        """Return the facts, read once for each state of the files, and the mapping over each shape, its views made."""
        scan, bounds = self._bound(connection, shapes)
        rows = scan.make_views(connection, [bound.types for bound in bounds], self.form, self._spool)
        state = _state(files)
        if state not in self._facts:
            self._facts[state] = read_facts(connection, shapes, bounds, rows)
        facts = self._facts[state]
        return facts, [
            replace(bound, zones=zones, written_as_floats=facts.written_as_floats)
            for bound, zones in zip(bounds, facts.zones, strict=True)
        ]


def _state(files: Sequence[Path]) -> _State:
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _in_order(
    connection: duckdb.DuckDBPyConnection, rows: str, schema: pa.Schema, order: str
) -> Iterator[pa.RecordBatch]:
    columns = ", ".join(name(column) for column in schema.names)
    found = connection.sql(f"SELECT {columns} FROM ({rows}) ORDER BY {order}")
    for batch in found.to_arrow_reader(_ROWS_AT_ONCE):
        yield batch.cast(schema)


def _wanted(slices: Sequence[Slice], present: Mapping[Unit, Path]) -> pa.Table:
    """Return the slices of units that are present, as a table to join with."""
    rows = [
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
    ]
    return pa.Table.from_pylist(rows, schema=_SLICES)


def _today() -> date:
    return datetime.now(UTC).date()
