"""Chosen columns of one file as texts: for commands that read a file which is no table of a contract."""

import math
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

_CORRECT_THE_LINE = (
    "Correct the line: texts with delimiters, quotes or line ends stand between quotes, a quote in them is doubled. "
    "Texts of any length and content can be given as Parquet."
)


def text_columns(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns `names` of a CSV, Excel or Parquet file, one text per row; other columns are not read.

    Encoding, delimiter and compression of a CSV file are found from its bytes.

    Raises:
        TesseraError: no such file, a damaged one, a column is missing, or a row has no value in one of them.
    """
    _refuse_absent(file)
    form = sniff(file)
    if form.kind == "parquet":
        return _of_parquet(file, names)
    if form.kind == "xlsx":
        return _of_records(file, form, sheet_records(file, form), names)
    try:
        with lines_of(file, form) as lines:
            return _of_records(file, form, records(lines, form), names)
    except TesseraError as error:
        if "Set `encoding" not in error.todo:
            raise
        raise TesseraError(error.what, expected=error.expected, todo="Save the file as UTF-8.") from error


def column_names(file: Path) -> list[str]:
    """Return the names of the columns of a CSV, Excel or Parquet file.

    Raises:
        TesseraError: no such file, or a damaged one.
    """
    _refuse_absent(file)
    form = sniff(file)
    if form.kind == "parquet":
        try:
            return list(pq.ParquetFile(file).schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise broken(file, "parquet", str(error).rstrip(".")) from error
    if form.kind == "xlsx":
        return _header(sheet_records(file, form))
    with lines_of(file, form) as lines:
        return _header(records(lines, form))


def _header(found: Iterator[Record]) -> list[str]:
    header = next(found, None)
    return [field.strip() for field in header.fields] if header else []


def _refuse_absent(file: Path) -> None:
    if not file.is_file():
        raise TesseraError(
            f"There is no file {str(file)!r}.", expected="a CSV or Parquet file", todo="Correct the path."
        )


def _of_parquet(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    try:
        parquet = pq.ParquetFile(file)
        _places(file, parquet.schema_arrow.names, names)
        table = parquet.read(list(names))
    except (pa.ArrowException, OSError) as error:
        raise broken(file, "parquet", str(error).rstrip(".")) from error
    found = {name: _as_texts(file, name, table[name]) for name in names}
    for number, row in enumerate(zip(*found.values(), strict=True), 1):
        _refuse_empty(file, f"row {number}", names, row)
    return found


def _as_texts(file: Path, name: str, column: Any) -> list[str]:
    """Return values as texts, as a CSV file would have them; a missing one is empty.

    Whole numbers of a column of floats are written without a point: integers become floats where one is missing.

    Raises:
        TesseraError: values are lists or records, or bytes that are no UTF-8.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind):
        raise _not_texts(file, name, str(kind))
    try:
        values = (column.cast(pa.string()) if _is_bytes(kind) else column).to_pylist()
    except pa.ArrowInvalid:
        raise _not_texts(file, name, f"{kind}, and not in UTF-8") from None
    return ["" if value is None else _as_text(value) for value in values]


def _is_bytes(kind: Any) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _as_text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.0f}" if value.is_integer() else str(value)
    return str(value)


def _not_texts(file: Path, name: str, kind: str) -> TesseraError:
    return TesseraError(
        f"The column {name!r} of {str(file)!r} is of the type {kind}.",
        expected="texts or numbers, one in each row",
        todo="Write the column as texts.",
    )


def _of_records(file: Path, form: Format, found: Iterator[Record], names: Sequence[str]) -> dict[str, list[str]]:
    places = _places(file, _header(found), names)
    columns: dict[str, list[str]] = {name: [] for name in names}
    for record in found:
        if record.problem:
            kind = "csv" if form.kind != "xlsx" else "xlsx"
            raise broken(file, kind, f"line {record.number}: {record.problem}", _CORRECT_THE_LINE)
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
        if list(header).count(name) > 1:
            raise TesseraError(
                f"{str(file)!r} has {list(header).count(name)} columns {name!r}.",
                expected="one",
                todo="Rename or drop the others.",
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
