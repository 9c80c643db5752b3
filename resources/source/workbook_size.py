"""Limits of an Excel workbook, before it is read: a small file can stand for more than any memory holds.

The reader holds a whole sheet, with every cell from the first to the last one, empty ones too; where it runs out of
memory, the process ends without a word. A workbook is a ZIP archive: its parts are unpacked here in blocks, and what
their directory says of their size is not believed.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from pathlib import Path

from models.errors import TesseraError
from resources.source.formats import broken

MOST_BYTES, MOST_CELLS = 512 * 2**20, 32_000_000
_BLOCK_BYTES, _OVERLAP_BYTES = 2**20, 64
#: Place of a cell (`r="XFD1048576"`) or a row (`r="7"`).
_PLACE = re.compile(rb"\br\s*=\s*[\"']\s*([A-Za-z]{0,4})(\d{1,9})")
_TODO = "Save the sheet as CSV, or remove what stands far from the table."


def check_size(file: Path) -> None:
    """Return if the workbook can be read in bounded memory, or if it is none (the reader says so better).

    Raises:
        TesseraError: its parts are larger than `MOST_BYTES` unpacked, or a sheet spans more than `MOST_CELLS` cells.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            left = MOST_BYTES
            for part in archive.infolist():
                left -= _checked_bytes(file, archive, part, left)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError):
        return


def _checked_bytes(file: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo, left: int) -> int:
    """Return the unpacked size of a part."""
    size = rows = columns = 0
    kept = b""
    for block in _blocks(archive, part, left + 1):
        size += len(block)
        if size > left:
            raise _too_large(file, f"it is larger than {MOST_BYTES >> 20} MB unpacked")
        text = kept + block
        for letters, row in _PLACE.findall(text):
            rows, columns = max(rows, int(row)), max(columns, _number(letters))
        if rows * columns > MOST_CELLS:
            raise _too_large(file, f"a sheet spans {rows:,} rows and {columns:,} columns")
        kept = text[-_OVERLAP_BYTES:]
    return size


def _blocks(archive: zipfile.ZipFile, part: zipfile.ZipInfo, most: int) -> Iterator[bytes]:
    told = copy(part)
    told.file_size = most
    told.CRC = None  # type: ignore[assignment] - Python then compares no checksum
    with archive.open(told) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _number(letters: bytes) -> int:
    """Number of a column: A is 1, XFD is 16,384."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _too_large(file: Path, why: str) -> TesseraError:
    return broken(file, "xlsx", f"{why}, more than is read ({MOST_CELLS:,} cells, {MOST_BYTES >> 20} MB)", _TODO)
