"""Format of a file that somebody exported, found from its bytes: kind, encoding, delimiter."""

import codecs
import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from models.errors import TesseraError
from resources.source.formats import Format, foreign

_DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES, _CHUNK_BYTES = 256 * 1024, 1024 * 1024
_RECORDS = 200
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def sniff(file: Path) -> Format:
    """Format of a Parquet file, an Excel workbook, or a CSV file with a header line.

    Raises:
        TesseraError: it is empty, of another kind, or has a single column.
    """
    name = file.name.lower()
    if name.endswith((".parquet", ".pq")) or _head(file, 4) == b"PAR1":
        return Format(kind="parquet")
    if name.endswith((".xlsx", ".xlsm")):
        return Format(kind="xlsx")
    head = _head(file, _HEAD_BYTES)
    if not head.strip():
        raise _unreadable(file, "it is empty")
    if kind := foreign(head):
        raise _unreadable(file, f"it is {kind}")
    encoding = _encoding(file, head)
    return Format(kind="csv", encoding=encoding, delimiter=_delimiter(file, _text(head, encoding)))


def _head(file: Path, size: int) -> bytes:
    try:
        with _opened(file) as content:
            return content.read(size)
    except (OSError, EOFError) as error:
        raise _unreadable(file, getattr(error, "strerror", None) or str(error)) from error


def _opened(file: Path):
    return gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")


def _encoding(file: Path, head: bytes) -> str:
    """UTF-8 if every byte fits it, UTF-16 by its mark or its zero bytes, else the Western code page of Windows."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    zeros = Counter(place % 2 for place, byte in enumerate(head[:4096]) if byte == 0)
    if zeros:
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _chunks(file: Path) -> Iterator[bytes]:
    with _opened(file) as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _text(head: bytes, encoding: str) -> str:
    """Return the whole lines of the head."""
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    return text if len(head) < _HEAD_BYTES else text[: max(text.rfind("\n"), 0)]


def _delimiter(file: Path, text: str) -> str:
    """Return sign by which most records have as many fields as the first, of several the one that makes the most."""
    best: tuple[float, int, str] = (0.0, 1, "")
    for sign in _DELIMITERS:
        sizes = [len(record) for record in _records(text, sign)]
        if sizes and sizes[0] > 1:
            share = sum(size == sizes[0] for size in sizes) / len(sizes)
            best = max(best, (round(share, 1), sizes[0], sign))
    if not best[2]:
        raise _unreadable(file, "its first line has no two columns with a comma, semicolon, tab or bar between them")
    return best[2]


def _records(text: str, sign: str) -> list[list[str]]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=sign)
    records: list[list[str]] = []
    try:
        for record in reader:
            if record:
                records.append(record)
            if len(records) == _RECORDS:
                break
    except csv.Error:  # this sign makes no records of the text
        return []
    return records


def _unreadable(file: Path, why: str) -> TesseraError:
    return TesseraError(
        f"{str(file)!r} cannot be used as an export of orders: {why}.",
        expected="a CSV file with a header line, an Excel workbook (.xlsx) or a Parquet file",
        todo="Export the orders again, one line for each item, as CSV.",
    )


def settings_of(form: Format) -> dict[str, str]:
    """Return settings of a table that say what the name of the file does not."""
    if form.kind != "csv":
        return {}
    usual = Format()
    return {
        name: value
        for name, value in (("delimiter", form.delimiter), ("encoding", form.encoding))
        if value != getattr(usual, name)
    }
