"""Tables in files that users name: Parquet or CSV, by the ending."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from models.errors import TesseraError

_ENDINGS = (".parquet", ".csv")


def write_table(rows: pa.Table, file: Path) -> None:
    """`file` holds `rows`, all of them or, after a crash, nothing new. Lists become text joined by `; ` in CSV.

    Raises:
        TesseraError: another ending, or the folder cannot be written.
    """
    _known_ending(file)
    part = file.with_name(f".{file.name}.part")
    try:
        if file.suffix == ".csv":
            pacsv.write_csv(_flat(rows), part)
        else:
            pq.write_table(rows, part)
        part.replace(file)
    except OSError as error:
        raise TesseraError(
            f"{file} cannot be written: {os.strerror(error.errno) if error.errno else error}.",
            expected="a folder that exists and may be written",
            todo="Correct --out.",
        ) from None


def read_table(file: Path) -> pa.Table:
    """The rows of a Parquet or CSV file.

    Raises:
        TesseraError: no such file, another ending, or not readable as what its ending says.
    """
    _known_ending(file)
    if not file.is_file():
        raise TesseraError(f"There is no file {file}.", expected="a Parquet or CSV file", todo="Correct the path.")
    try:
        return pacsv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise TesseraError(
            f"{file} cannot be read as {file.suffix[1:]}: {error}.",
            expected="a file that is what its ending says",
            todo="Write the file again.",
        ) from None


def _known_ending(file: Path) -> None:
    if file.suffix not in _ENDINGS:
        raise TesseraError(
            f"{file} ends in {file.suffix!r}.", expected=" or ".join(_ENDINGS), todo="Choose another ending."
        )


def _flat(rows: pa.Table) -> pa.Table:
    for place, field in enumerate(rows.schema):
        if pa.types.is_list(field.type):
            texts = [None if items is None else "; ".join(map(str, items)) for items in rows[field.name].to_pylist()]
            rows = rows.set_column(place, field.name, pa.array(texts, pa.string()))
    return rows
