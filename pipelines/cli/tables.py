"""Tables for programs: in files that users name (Parquet or CSV, by the ending), and as JSON on standard output.

Spreadsheets run a text cell of a CSV file that begins like a formula (OWASP: CSV injection). Such text gets a `'` in
front; so does text that begins with `'` and then like a formula, and reading takes one `'` away again: what is written
and read once more is the same text. Numbers, times and Parquet files stay as they are.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, cast

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from models.errors import TesseraError
from resources.masking import without_secrets
from resources.privacy import share_as_usual

_WITH_LINE_FEEDS = pacsv.ParseOptions(newlines_in_values=True)
_ENDINGS = (".parquet", ".csv")
#: Beginnings that OWASP names: operators, also in full width, tab, carriage return and line feed.
_FORMULA = "'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"


def check_place(file: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse a file that `write_table` could not write, before work is done for it.

    Raises:
        TesseraError: another ending, no such folder, or the file is one of `inputs`.
    """
    _known_ending(file)
    if not file.absolute().parent.is_dir():
        raise _not_writable(file, "there is no such folder")
    if any(file.exists() and one.exists() and file.samefile(one) for one in inputs):
        raise TesseraError(f"{file} is read, too.", expected="another file for the result", todo="Correct --out.")


def write_table(rows: pa.Table, file: Path, *, as_given: bool = False) -> None:
    """`file` holds `rows`, all of them or, after a crash, nothing new.

    In CSV, lists become text joined by `; `, and what a spreadsheet would take for a formula becomes text.

    Args:
        rows: to write.
        file: a `.parquet` or `.csv` file.
        as_given: leave formulas as they are: ids of the caller's own that are compared again.

    Raises:
        TesseraError: another ending, or the folder cannot be written.
    """
    _known_ending(file)
    part = file.with_name(f".{file.name}.part")
    try:
        if file.suffix == ".csv":
            pacsv.write_csv(_flat(rows) if as_given else _without_formulas(_flat(rows)), part)
        else:
            pq.write_table(rows, part)
        share_as_usual(part)
        part.replace(file)
    except OSError as error:
        raise _not_writable(file, os.strerror(error.errno) if error.errno else str(error)) from None


def _not_writable(file: Path, why: str) -> TesseraError:
    return TesseraError(
        f"{file} cannot be written: {why}.", expected="a folder that exists and may be written", todo="Correct --out."
    )


def read_table(file: Path, ids: Sequence[str] = ()) -> pa.Table:
    """Return rows of a Parquet or CSV file, as `write_table` took them; columns `ids` of CSV are text: `007` stays so.

    Raises:
        TesseraError: no such file, another ending, or not readable as what its ending says.
    """
    _known_ending(file)
    if not file.is_file():
        raise TesseraError(f"There is no file {file}.", expected="a Parquet or CSV file", todo="Correct the path.")
    try:
        return _csv(file, ids) if file.suffix == ".csv" else pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise TesseraError(
            f"{file} cannot be read as {file.suffix[1:]}: {error}.",
            expected="a file that is what its ending says",
            todo="Write the file again.",
        ) from None


def print_json(value: object) -> None:
    """Print one JSON document: tables become lists of objects, times ISO 8601, numbers that are not finite null.

    All other characters than ASCII are escaped, so that no text of others reaches a terminal as a control character.
    """
    click.echo(without_secrets(json.dumps(_plain(value), indent=2, allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, pa.Table):
        return _plain(value.to_pylist())
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("Sequence[object]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date | datetime | time) else value


def _csv(file: Path, ids: Sequence[str]) -> pa.Table:
    types = pacsv.ConvertOptions(column_types=dict.fromkeys(ids, pa.string()))
    return _with_formulas(pacsv.read_csv(file, parse_options=_WITH_LINE_FEEDS, convert_options=types))


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


def _without_formulas(rows: pa.Table) -> pa.Table:
    return _replaced(rows, f"^({_FORMULA})", r"'\1")


def _with_formulas(rows: pa.Table) -> pa.Table:
    return _replaced(rows, f"^'({_FORMULA})", r"\1")


def _replaced(rows: pa.Table, pattern: str, replacement: str) -> pa.Table:
    for place, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.string()))
        if _is_text(rows.schema.field(place).type):
            options = {"pattern": pattern, "replacement": replacement, "max_replacements": 1}
            texts = pc.call_function(
                "replace_substring_regex", [rows[field.name]], pc.ReplaceSubstringOptions(**options)
            )
            rows = rows.set_column(place, field.name, texts)
    return rows


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
