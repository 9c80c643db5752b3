"""Settings of a file format, and what the first bytes of a file say about it."""

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import TesseraError
from resources.source.locations import EXCEL, PARQUET

Kind = Literal["parquet", "csv", "xlsx"]

#: Encodings of CSV files that can be set; other spellings of Python's (`latin1`, `UTF8`) name them too.
ENCODINGS = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
    *("latin-1", "iso8859-2", "iso8859-15"),
    *(f"cp125{number}" for number in range(8)),
    *("cp437", "cp850", "mac-roman", "koi8-r", "shift_jis", "cp932", "euc_jp", "euc_kr", "gb18030", "gbk", "big5"),
)

#: First bytes of files that are no CSV, whatever their names say.
_SIGNATURES = (
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"%PDF", "a PDF"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x1f\x8b", "compressed with gzip twice"),  # once is undone before
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"SQLite format 3", "a SQLite database"),
    (b"ARROW1", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
)
_TEXTS = ((b"<", "HTML or XML"), (b'{"', "JSON"), (b"[{", "JSON"), (b"{\n", "JSON"), (b"[\n", "JSON"))


@dataclass(frozen=True)
class Format:
    """File format options. `kind` is `auto` (by name), `parquet`, `csv` or `xlsx`.

    Attributes:
        delimiter: between the fields of a CSV line.
        encoding: of CSV files, one of `ENCODINGS`.
        quote: around a CSV field that holds a delimiter, a quote or the end of a line; empty: quotes are text.
        escape: before a quote inside a quoted CSV field; empty: quotes inside are doubled.
        header: true if the first CSV line names the columns; else they are `column0`, `column1`, ...
        decimal: sign between the whole and the fraction of numbers that are texts.
        sheet: name of the sheet of an Excel workbook; empty: the first one.
    """

    kind: Literal["auto", "parquet", "csv", "xlsx"] = "auto"
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    escape: str = ""
    header: bool = True
    decimal: str = "."
    sheet: str = ""

    def kind_of(self, file: Path) -> Kind:
        """Kind of a file, by its name unless the settings say it."""
        if self.kind != "auto":
            return self.kind
        name = file.name.lower()
        return "parquet" if name.endswith(PARQUET) else "xlsx" if name.endswith(EXCEL) else "csv"


def codec(encoding: str) -> str:
    """Python's name of an encoding, e.g. `cp1252` for `Windows-1252`.

    Raises:
        LookupError: it is none of `ENCODINGS`.
    """
    name = codecs.lookup(encoding).name
    if name not in {codecs.lookup(each).name for each in ENCODINGS}:
        raise LookupError(f"unknown encoding: {encoding}")
    return name


def foreign(head: bytes) -> str:
    """Kind of file that starts with these bytes where it is certainly no CSV, else an empty text."""
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return next((kind for start, kind in _TEXTS if text.startswith(start)), "")


def broken(file: Path, kind: Kind, why: str, todo: str = "") -> TesseraError:
    """Return the error that refuses a whole file, by name."""
    expected = {"parquet": "a whole Parquet file", "csv": "a CSV file with a header line", "xlsx": "an Excel workbook"}
    settings = {"parquet": "`format`", "csv": "`format`, `delimiter` or `encoding`", "xlsx": "`format` or `sheet`"}
    return TesseraError(
        f"{str(file)!r} cannot be read as {kind}: {why}.",
        expected=expected[kind],
        todo=todo or f"Replace the file or move it away, or set {settings[kind]} of the table.",
    )
