"""Chosen columns of one file as texts: for commands that read a file which is no table of a contract."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import TesseraError, choose_from
from resources.source.csv_records import Record, records
from resources.source.csv_text import lines_of
from resources.source.excel import sheet_records
from resources.source.formats import Format, broken
from resources.source.sniffing import sniff


def text_columns(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns `names` of a CSV, Excel or Parquet file, one text per row; other columns are not read.

    Encoding, delimiter and compression of a CSV file are found from its bytes.

    Raises:
        TesseraError: no such file, a damaged one, a column is missing, or a row has no value in one of them.
    """
    if not file.is_file():
        raise TesseraError(
            f"There is no file {str(file)!r}.", expected="a CSV or Parquet file", todo="Correct the path."
        )
    form = sniff(file)
    if form.kind == "parquet":
        return _of_parquet(file, names)
    if form.kind == "xlsx":
        return _of_records(file, form, sheet_records(file, form), names)
    with lines_of(file, form) as lines:
        return _of_records(file, form, records(lines, form), names)


def _of_parquet(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    try:
        parquet = pq.ParquetFile(file)
        places = _places(file, parquet.schema_arrow.names, names)
        table = parquet.read([parquet.schema_arrow.names[place] for place in places])
    except (pa.ArrowException, OSError) as error:
        raise broken(file, "parquet", str(error).rstrip(".")) from error
    found = {name: _as_texts(column) for name, column in zip(names, table.columns, strict=True)}
    for number, row in enumerate(zip(*found.values(), strict=True), 1):
        _refuse_empty(file, f"row {number}", names, row)
    return found


def _as_texts(column: Any) -> list[str]:
    """Return values as texts; a missing one is empty."""
    values = column.to_pylist()
    return ["" if value is None else str(value) for value in values]


def _of_records(file: Path, form: Format, found: Iterator[Record], names: Sequence[str]) -> dict[str, list[str]]:
    header = next(found, None)
    places = _places(file, [field.strip() for field in header.fields] if header else [], names)
    columns: dict[str, list[str]] = {name: [] for name in names}
    for record in found:
        if record.problem:
            raise broken(file, "csv" if form.kind != "xlsx" else "xlsx", f"line {record.number}: {record.problem}")
        row = [record.fields[place] if place < len(record.fields) else "" for place in places]
        _refuse_empty(file, f"line {record.number}", names, row)
        for name, value in zip(names, row, strict=True):
            columns[name].append(value)
    return columns


def _places(file: Path, header: Sequence[str], names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in header:
            raise TesseraError(
                f"{str(file)!r} has no column {name!r}.",
                expected=f"the columns {', '.join(names)}; it has {choose_from(name, header)}",
                todo="Rename the column, and run the command again.",
            )
    return [list(header).index(name) for name in names]


def _refuse_empty(file: Path, where: str, names: Sequence[str], row: Sequence[str]) -> None:
    for name, value in zip(names, row, strict=True):
        if not value.strip():
            raise TesseraError(
                f"{str(file)!r} has no {name} in {where}.",
                expected=f"a value in {' and '.join(names)} of each row",
                todo="Fill it in, or leave the row out.",
            )
