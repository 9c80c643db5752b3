"""CSV files as lines of text: decompressed, decoded, and refused by name where that cannot be right."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from models.errors import TesseraError
from resources.source.formats import Format, broken, codec, foreign

_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 65_536
_BLOCK_BYTES = 2**20
#: Longer lines are refused with their file.
MOST_CHARACTERS = 16 * 2**20


@contextmanager
def lines_of(file: Path, form: Format) -> Iterator[Iterator[str]]:
    """Provide the lines of a CSV file, each with its end (LF, CR LF or CR), without byte order mark.

    Raises:
        TesseraError: no CSV file, another encoding than the settings say, or a damaged archive.
    """
    try:
        head = _head(file)
        encoding = _checked_encoding(file, head, codec(form.encoding))
        with opened(file) as stream, io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
            yield _without_mark(_bounded(text, file))
    except UnicodeDecodeError as error:
        raise _misread(file, form.encoding, error) from error
    except (OSError, EOFError, zlib.error) as error:
        raise broken(file, "csv", f"{error}".rstrip(".") or type(error).__name__) from error


def _bounded(text: io.TextIOWrapper, file: Path) -> Iterator[str]:
    """Yield the lines; a file without line ends, or one that unpacks to a single line, would fill the memory.

    Raises:
        TesseraError: a line is longer than any record.
    """
    for line in iter(partial(text.readline, MOST_CHARACTERS), ""):
        if len(line) == MOST_CHARACTERS:
            raise broken(file, "csv", f"it has a line of more than {MOST_CHARACTERS:,} characters")
        yield line


def _without_mark(text: Iterator[str]) -> Iterator[str]:
    for first in text:
        yield first.removeprefix("\ufeff")
        break
    yield from text


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """Provide the bytes of a file, decompressed if they are gzip's, whatever the file is called."""
    with file.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.open(raw, "rb") as unpacked:
            yield io.BufferedReader(unpacked)  # type: ignore[arg-type]


def _head(file: Path) -> bytes:
    with opened(file) as stream:
        head = stream.read(_HEAD_BYTES)
    if kind := foreign(head):
        raise broken(file, "csv", f"it is {kind}")
    return head


def _checked_encoding(file: Path, head: bytes, encoding: str) -> str:
    """Name of the encoding to decode with; raises TesseraError where the bytes contradict the settings."""
    likely = likely_encoding(head)
    wide = encoding[: len("utf-16")]
    if wide in ("utf-16", "utf-32") and head:
        if not likely.startswith(wide):
            raise _other_encoding(file, encoding, likely or "utf-8")
        if encoding != wide and likely != wide and likely != encoding:
            raise _other_encoding(file, encoding, likely)
        return likely if encoding == wide else encoding
    if likely and likely not in ("utf-8", encoding):
        raise _other_encoding(file, encoding, likely)
    if encoding == "utf-8":
        return "utf-8-sig"
    if not encoding.startswith("utf") and _is_utf8(file):
        raise _other_encoding(file, encoding, "utf-8")
    return encoding


def likely_encoding(head: bytes) -> str:
    """Encoding that the first bytes of a file show by their mark or zero bytes, else an empty text."""
    return _marked(head) or _wide(head)


def _marked(head: bytes) -> str:
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins like that of UTF-16
        return "utf-32"
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def _wide(head: bytes) -> str:
    """UTF-32, or UTF-16 of either order, where three or two of four bytes of the first line are zero, else nothing."""
    first = head[: max(head.find(b"\n"), 0) or 512]
    even, odd = first[::2].count(0), first[1::2].count(0)
    if min(even, odd) * 4 >= len(first) > 0 and (even + odd) * 8 >= 5 * len(first):
        return "utf-32-le" if first[::4].count(0) < first[3::4].count(0) else "utf-32-be"
    if not first or max(even, odd) * 4 < len(first):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_utf8(file: Path) -> bool:
    """Return True if the file is UTF-8 and more than ASCII: text in another encoding is never so by chance."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    ascii_only = True
    with opened(file) as stream:
        try:
            while block := stream.read(_BLOCK_BYTES):
                ascii_only = ascii_only and block.isascii()
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return not ascii_only


def _other_encoding(file: Path, encoding: str, likely: str) -> TesseraError:
    return broken(file, "csv", f"it is not {encoding}, but most likely {likely}", f"Set `encoding: {likely}`.")


def _misread(file: Path, encoding: str, error: UnicodeDecodeError) -> TesseraError:
    number, line = _undecodable(file, error.encoding)
    likely = next((name for name in ("utf-8", "cp1252", "latin-1") if _decodes(line, name)), "latin-1")
    where = f"line {number} is not {encoding}, but most likely {likely}" if line else f"it is not {encoding}"
    return broken(file, "csv", where, f"Set `encoding: {likely}` (or the one that the file was written in).")


def _undecodable(file: Path, encoding: str) -> tuple[int, bytes]:
    """Return number and bytes of the first line that cannot be decoded; (0, b"") where lines cannot be separated."""
    if encoding.startswith(("utf-16", "utf-32")):
        return 0, b""
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            if not _decodes(line, encoding):
                return number, line
    return 0, b""


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
