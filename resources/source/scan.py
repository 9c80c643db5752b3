"""Files of different formats and columns as one relation that knows each row's file and place."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from models.errors import TesseraError
from resources.source.locations import PARQUET

FILE, ROW = "_tessera_file", "_tessera_row"
#: The first field of a CSV row beyond the header's columns; such a row cannot be read.
BEYOND = "_beyond_the_header"


@dataclass(frozen=True)
class Reading:
    """How files are read: `kind` is `auto` (by name), `parquet` or `csv`; the rest concerns CSV."""

    kind: str = "auto"
    delimiter: str = ","
    encoding: str = "utf-8"


def scan(files: Sequence[Path], reading: Reading) -> str:
    """SQL for all rows of `files`: the union of their columns by name, then `FILE`, `ROW` (place in it) and `BEYOND`.

    CSV columns are texts, as they stand in the file.

    Raises:
        TesseraError: a CSV file without header, or in another encoding.
    """
    parquet = [file for file in files if _kind(file, reading) == "parquet"]
    parts = [_csv(file, reading) for file in files if _kind(file, reading) == "csv"]
    if parquet:
        names = ", ".join(text(str(file)) for file in parquet)
        parts.insert(
            0,
            f"SELECT * EXCLUDE (file_row_number), file_row_number AS {ROW}, CAST(NULL AS VARCHAR) AS {BEYOND} "
            f"FROM read_parquet([{names}], union_by_name=true, filename='{FILE}', file_row_number=true)",
        )
    return " UNION ALL BY NAME ".join(f"({part})" for part in parts)


def unreadable(files: Sequence[Path], reading: Reading, error: Exception) -> TesseraError:
    """What to tell when DuckDB gave up on `files`: names the first one that cannot be read by itself, if any."""
    for file in files:
        try:
            with duckdb.connect() as connection:
                connection.execute(f"SELECT count(hash(rows)) FROM ({scan([file], reading)}) rows")
        except duckdb.Error as reason:
            return _broken(file, _kind(file, reading), _first_line(reason))
    return TesseraError(
        f"{len(files)} file(s) from {str(files[0])!r} on cannot be read together: {_first_line(error)}.",
        expected="expressions that hold for every row, and columns of one kind in all files",
        todo="Correct `where` or `columns` of the table in stack.yaml, for example with TRY_CAST.",
    )


def name(column: str) -> str:
    """A column's name as SQL."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def _kind(file: Path, reading: Reading) -> str:
    if reading.kind != "auto":
        return reading.kind
    return "parquet" if file.name.lower().endswith(PARQUET) else "csv"


def _csv(file: Path, reading: Reading) -> str:
    columns = ", ".join(f"{text(column)}: 'VARCHAR'" for column in (*_header(file, reading), BEYOND))
    how = (
        f"columns={{{columns}}}, header=true, auto_detect=false, delim={text(reading.delimiter)}, quote='\"', "
        f"escape='\"', encoding={text(reading.encoding)}, null_padding=true, strict_mode=false, parallel=false"
    )
    source = f"read_csv({text(str(file))}, {how})"
    return f"SELECT *, {text(str(file))} AS {FILE}, row_number() OVER () AS {ROW} FROM {source}"


def _header(file: Path, reading: Reading) -> list[str]:
    opened = gzip.open if file.name.lower().endswith(".gz") else open
    encoding = "utf-8-sig" if reading.encoding == "utf-8" else reading.encoding
    try:
        with opened(file, "rt", encoding=encoding, newline="") as lines:
            header = next(csv.reader(lines, delimiter=reading.delimiter), [])
    except (UnicodeDecodeError, OSError) as error:
        raise _broken(file, "csv", str(error)) from error
    if not header or len(set(header)) < len(header):
        raise _broken(file, "csv", f"its first line does not name each column once: {header}")
    return [column or f"column{place}" for place, column in enumerate(header)]


def _broken(file: Path, kind: str, why: str) -> TesseraError:
    return TesseraError(
        f"{str(file)!r} cannot be read as {kind}: {why}.",
        expected="a whole Parquet file" if kind == "parquet" else "a CSV file with a header line",
        todo="Replace the file or move it away"
        + (", or set `format`." if kind == "parquet" else ", or set `format`, `delimiter` or `encoding` of the table."),
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n\n")[0].replace("\n", " ").rstrip(".")
