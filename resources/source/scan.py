"""Files of different formats and columns as views of one shape: each file keeps its own types."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import TesseraError
from resources.duckdb_connection import connect
from resources.source.formats import Format, broken
from resources.source.spool import BEYOND, FILE, INTERNAL, PROBLEM, ROW, TEXT, Spool, header
from resources.source.values import name, text

_KEYED = re.compile(r"([^=/]+)=([^/]*)")
#: Tables of shops have some dozens.
MOST_COLUMNS = 10_000
#: A kilobyte of Parquet may stand for a million rows that are alike; rows with ids of their own take more than a byte.
MOST_ROWS_UNASKED, MOST_ROWS_PER_BYTE = 1_000_000, 5
#: Number of a row among those of its file with the same values in the other columns of the expression that names it.
REPEAT = "_repeat"
#: Names that the views of the files need for themselves.
_RESERVED = re.compile(r"_?tessera_\w*|_repeat|file_row_number", re.IGNORECASE)
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Shape:
    """Files with the same columns of the same types.

    Attributes:
        files: in ascending order.
        is_text: true for CSV files and Excel sheets, whose columns are all texts.
        columns: name and type (DuckDB's for texts, Arrow's for Parquet) of each.
        rows: of each Parquet file, in its footer; texts are counted when they are read.
    """

    files: tuple[Path, ...]
    is_text: bool
    columns: tuple[tuple[str, str], ...]
    rows: tuple[int, ...]

    def only(self, files: Container[Path]) -> "Shape":
        """Return the shape with those of its files that are among `files`."""
        kept = [(file, rows) for file, rows in zip(self.files, self.rows, strict=True) if file in files]
        return replace(self, files=tuple(file for file, _ in kept), rows=tuple(rows for _, rows in kept))


def shapes_of(files: Sequence[Path], form: Format) -> list[Shape]:
    """Return the files by their columns, in the order of the first file of each; empty CSV files have none.

    Raises:
        TesseraError: a file cannot be read.
    """
    found: dict[tuple[bool, tuple[tuple[str, str], ...]], list[tuple[Path, int]]] = {}
    for file in files:
        is_text = form.kind_of(file) != "parquet"
        columns, rows = _of_texts(file, form) if is_text else _of_parquet(file)
        if len(columns) > MOST_COLUMNS:
            raise broken(file, form.kind_of(file), f"it has {len(columns):,} columns, more than {MOST_COLUMNS:,}")
        taken = [column for column, _ in columns if _RESERVED.fullmatch(column)]
        if taken:
            raise broken(
                file, form.kind_of(file), f"the name of its column {taken[0]!r} is taken", "Rename the column."
            )
        if columns:
            found.setdefault((is_text, columns), []).append((file, rows))
    return [
        Shape(tuple(file for file, _ in each), is_text, columns, tuple(rows for _, rows in each))
        for (is_text, columns), each in found.items()
    ]


class Scan:
    """Views over the files of a connection, one for each shape, all with the same columns in the same order.

    A column that the files of a shape do not have is NULL in its view. A folder such as `country=DE` fills a column
    that no file has, if `folder_columns` names it.

    Args:
        shapes: of the files that are read.
        every: of all files of the table.
        folder_columns: names of folders that count.
        same: columns by which rows are alike for the column `REPEAT`: 1 for a row, 2 for the next alike in its file,
            and so on; without any there is no such column.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        every: Sequence[Shape],
        folder_columns: Sequence[str],
        *,
        same: Sequence[str] = (),
    ) -> None:
        self.shapes, self._every, self._folder_columns, self._same = shapes, every, folder_columns, same
        self.columns: dict[str, str] = {}
        #: Columns of bytes, by the columns of their shape.
        self._bytes: defaultdict[object, set[str]] = defaultdict(set)
        for shape in every:
            for column, _ in shape.columns:
                self.columns.setdefault(column.lower(), column)

    def make_empty(self, connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
        """Make the tables `tessera_shape_<n>` without rows; return the types of each one's columns."""
        known = {(shape.is_text, shape.columns): self._own_types(connection, shape) for shape in self._every}
        first = {column: kind for types in reversed(known.values()) for column, kind in types.items()}
        own = [known[shape.is_text, shape.columns] for shape in self.shapes]
        found: list[dict[str, str]] = []
        for number, types in enumerate(own):
            whole = {column: types.get(column, first[column]) for column in self.columns.values()}
            whole |= dict.fromkeys(self._folder_columns, "VARCHAR")
            listed = ", ".join(f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in whole.items())
            internal = ", ".join(f"CAST(NULL AS VARCHAR) AS {column}" for column in INTERNAL if column != ROW)
            internal += f", 0::BIGINT AS {REPEAT}" if self._same else ""
            connection.execute(
                f"CREATE TEMP TABLE tessera_shape_{number} AS SELECT {listed}, {internal}, 0::BIGINT AS {ROW} LIMIT 0"
            )
            found.append(whole)
        return found

    def make_views(
        self, connection: duckdb.DuckDBPyConnection, types: Sequence[Mapping[str, str]], form: Format, spool: Spool
    ) -> int:
        """Make the views `tessera_rows_<n>` of the files' rows; return the number of rows, counted before any SQL.

        Raises:
            TesseraError: a file cannot be read.
        """
        rows = 0
        for number, (shape, kinds) in enumerate(zip(self.shapes, types, strict=True)):
            if shape.is_text:
                read = [spool.texts(file, form) for file in shape.files]
                rows += sum(count for _, count in read)
                source = f"SELECT * FROM read_parquet({_list(path for path, _ in read)}, hive_partitioning=false)"
            else:
                rows += sum(shape.rows)
                source = _parquet(shape.files)
            own = {column.lower() for column, _ in shape.columns}
            columns = [self._column(shape, column, kind, own) for column, kind in kinds.items()]
            internal = ", ".join(INTERNAL)
            if self._same:
                same = ", ".join([FILE, *(name(column) for column in self._same)])
                internal += f", row_number() OVER (PARTITION BY {same} ORDER BY {ROW}) AS {REPEAT}"
            connection.execute(
                f"CREATE TEMP VIEW tessera_rows_{number} AS SELECT {', '.join(columns)}, {internal} FROM ({source})"
            )
        return rows

    def _own_types(self, connection: duckdb.DuckDBPyConnection, shape: Shape) -> dict[str, str]:
        if shape.is_text:
            return {self.columns[column.lower()]: kind for column, kind in shape.columns}
        described = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({_list(shape.files[:1])}, hive_partitioning=false)"
        ).fetchall()
        self._bytes[shape.columns] = {self.columns[str(row[0]).lower()] for row in described if row[1] == "BLOB"}
        kinds = {str(row[0]): "VARCHAR" if row[1] == "BLOB" else str(row[1]) for row in described}
        return {self.columns[column.lower()]: kind for column, kind in kinds.items()}

    def _column(self, shape: Shape, column: str, kind: str, own: set[str]) -> str:
        if column in self._folder_columns:
            value = f"regexp_extract({FILE}, {text(f'/{re.escape(column)}=([^/]*)/')}, 1)"
            decoded = f"coalesce(TRY(url_decode({value})), {value})"
            return f"nullif(nullif({decoded}, ''), {text(_NULL_FOLDER)}) AS {name(column)}"
        if column.lower() not in own:
            return f"CAST(NULL AS {kind}) AS {name(column)}"
        if column in self._bytes[shape.columns]:  # old writers leave out that bytes are a text
            return f"coalesce(TRY(decode({name(column)})), CAST({name(column)} AS VARCHAR)) AS {name(column)}"
        if kind == "VARCHAR":
            return f"CAST({name(column)} AS VARCHAR) AS {name(column)}"
        return f"{name(column)} AS {name(column)}"


def folder_columns(files: Sequence[Path], columns: Mapping[str, str]) -> list[str]:
    """Columns that only the names of folders have, e.g. `country` of `country=DE/part-0.parquet`."""
    found = {match[1]: None for file in files for part in file.parts[:-1] if (match := _KEYED.fullmatch(part))}
    return [column for column in found if column.lower() not in columns]


def differing_types(shapes: Sequence[Shape]) -> list[str]:
    """Return a sentence for each column that has not the same type in all Parquet files, with a file of each type."""
    seen: dict[str, dict[str, list[Path]]] = {}
    for shape in shapes:
        for column, kind in shape.columns if not shape.is_text else ():
            seen.setdefault(column.lower(), {}).setdefault(kind, []).extend(shape.files)
    return [
        f"column {column!r} is " + ", but ".join(_where(kind, files) for kind, files in kinds.items())
        for column, kinds in seen.items()
        if len(kinds) > 1
    ]


def unreadable(shapes: Sequence[Shape], error: Exception) -> TesseraError:
    """Build the error for a failed DuckDB scan: names the first Parquet file that cannot be read by itself, if any."""
    for file in (file for shape in shapes if not shape.is_text for file in shape.files):
        try:
            with connect() as connection:
                connection.execute(f"SELECT count(hash(rows)) FROM ({_parquet([file])}) rows")
        except duckdb.Error as reason:
            return broken(file, "parquet", _first_line(reason))
    first = shapes[0].files[0] if shapes else ""
    return TesseraError(
        f"{sum(len(shape.files) for shape in shapes)} file(s) from {str(first)!r} on cannot be read together: "
        f"{_first_line(error)}.",
        expected="expressions that hold for every row, and columns of one kind in all files",
        todo="Correct `where` or `columns` of the table in stack.yaml, for example with TRY_CAST.",
    )


def _of_texts(file: Path, form: Format) -> tuple[tuple[tuple[str, str], ...], int]:
    return tuple((column, "VARCHAR") for column in header(file, form)), 0


def _of_parquet(file: Path) -> tuple[tuple[tuple[str, str], ...], int]:
    try:
        with pq.ParquetFile(file) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
        size = file.stat().st_size
    except (pa.ArrowException, OSError) as error:
        raise broken(file, "parquet", _first_line(error)) from error
    if rows > MOST_ROWS_UNASKED and rows > MOST_ROWS_PER_BYTE * size:
        says = f"{rows:,} rows in {size:,} bytes, more than {MOST_ROWS_PER_BYTE} a byte, are copies of each other"
        raise broken(file, "parquet", says)
    columns = tuple((field.name, str(field.type)) for field in schema)
    if len({column.lower() for column, _ in columns}) < len(columns):
        raise broken(file, "parquet", f"two of its columns have one name: {', '.join(name for name, _ in columns)}")
    return columns, rows


def _parquet(files: Sequence[Path]) -> str:
    nothing = ", ".join(f"CAST(NULL AS VARCHAR) AS {column}" for column in (BEYOND, PROBLEM, TEXT))
    return (
        f"SELECT * EXCLUDE (file_row_number), file_row_number AS {ROW}, {nothing} FROM read_parquet({_list(files)}, "
        f"union_by_name=true, filename='{FILE}', file_row_number=true, hive_partitioning=false)"
    )


def _list(files: "Sequence[Path] | object") -> str:
    return f"[{', '.join(text(str(file)) for file in files)}]"  # type: ignore[attr-defined]


def _where(kind: str, files: Sequence[Path]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{kind} in {files[0].name}{more}"


def _first_line(error: Exception) -> str:
    return str(error).split("\n\n")[0].replace("\n", " ").rstrip(".")
