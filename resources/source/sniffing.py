"""Format of an exported file, found from its bytes: kind, encoding, delimiter."""

import codecs
import csv
import zlib
from collections.abc import Iterator
from pathlib import Path

from models.errors import TesseraError
from resources.source.csv_text import likely_encoding, opened
from resources.source.formats import Format, foreign

_DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES, _CHUNK_BYTES = 256 * 1024, 1024 * 1024
_RECORDS = 200


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
    if not head.strip(b"\0"):
        raise _unreadable(file, "it holds zero bytes only")
    if kind := foreign(head):
        raise _unreadable(file, f"it is {kind}")
    encoding = _encoding(file, head)
    return Format(kind="csv", encoding=encoding, delimiter=_delimiter(file, _text(head, encoding)))


def _head(file: Path, size: int) -> bytes:
    try:
        with opened(file) as content:
            return content.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(file, getattr(error, "strerror", None) or str(error)) from error


def _encoding(file: Path, head: bytes) -> str:
    """UTF-8 if every byte fits it, UTF-16 or UTF-32 by mark or zero bytes, else the Western code page of Windows."""
    if likely := likely_encoding(head):
        return likely
    decoder, encoding, lines = codecs.getincrementaldecoder("utf-8")(), "utf-8", 1
    for chunk in _chunks(file):
        if (zero := chunk.find(0)) >= 0:
            line = lines + chunk.count(b"\n", 0, zero)
            raise _unreadable(file, f"line {line} holds zero bytes")
        lines += chunk.count(b"\n")
        encoding = encoding if _fits(decoder, chunk) else "cp1252"
    return encoding if _fits(decoder, b"", final=True) else "cp1252"


def _fits(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(file: Path) -> Iterator[bytes]:
    with opened(file) as content:
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
        f"{str(file)!r} cannot be read as a table: {why}.",
        expected="a CSV file with a header line, an Excel workbook (.xlsx) or a Parquet file",
        todo="Export it again as CSV, with one line for each row.",
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
