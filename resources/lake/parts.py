"""Rows of a table, split into one Parquet file for each day, named by their content.

`deltalake.write_deltalake` shuffles record batches inside a partition (measured with 1.6.6: 30 batches of 10,000 rows
came back out of order), so that sums of floats over a day could differ between two runs. Files written here keep the
order of the rows, and equal rows give equal bytes, which is how a write that changes nothing is recognised.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from models.errors import TesseraError

#: Rows are held back until they fill this many bytes, so that a day split over many batches becomes one file.
BUFFER_BYTES = 128 * 2**20
ROW_GROUP_ROWS = 131_072
_NONE: Mapping[date, int] = {}


@dataclass(frozen=True)
class Part:
    """One Parquet file of one day. `path` is relative to the table, `size` in bytes."""

    day: date
    path: str
    size: int
    digest: str
    rows: int


def digest_of(path: str) -> str:
    """Return the digest in the name of a part; the whole path for a file that another writer made."""
    pieces = path.rpartition("/")[2].split("-")
    return pieces[2] if len(pieces) == 4 else path


def is_intact(files: pa_fs.FileSystem, path: str, size: int) -> bool:
    """Return True if the file has its size and, if its name holds a digest, that digest: 1 ms for 2 MB."""
    try:
        with files.open_input_stream(path) as stream:
            content = stream.read()
    except OSError:
        return False
    digest = digest_of(path)
    return len(content) == size and (digest == path or hashlib.sha256(content).hexdigest().startswith(digest))


def write_parts(
    files: pa_fs.FileSystem,
    rows: pa.RecordBatchReader,
    *,
    by: str,
    first: date,
    last: date,
    behind: Mapping[date, int] = _NONE,
) -> dict[date, list[Part]]:
    """Return the files written for each day, in the order of the rows; nothing refers to them yet.

    Holds at most `BUFFER_BYTES` and one batch in memory.

    Args:
        files: of the table.
        rows: of the days `first` to `last`.
        by: the date column.
        first: first day.
        last: last day.
        behind: parts of each day that come before those that are written now.

    Raises:
        TesseraError: a row is outside `first`..`last`.
    """
    parts: dict[date, list[Part]] = {}
    for table in _buffered(rows):
        _refuse_outside(table[by], first, last)
        for day, of_day in _by_day(table, by):
            standing = parts.setdefault(day, [])
            number = behind.get(day, 0) + len(standing)
            standing.append(write_part(files, of_day, f"{by}={day.isoformat()}", day, number))
    return parts


def _buffered(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in rows:
        held.append(batch)
        if sum(b.nbytes for b in held) >= BUFFER_BYTES:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _refuse_outside(days: pa.ChunkedArray, first: date, last: date) -> None:
    if days.null_count:
        raise TesseraError(
            f"{days.null_count} rows have no day.",
            expected=f"a day between {first} and {last} in every row",
            todo="Fill the partition column before writing.",
        )
    least, most = (limit.as_py() for limit in _limits(days))
    if least is not None and (least < first or most > last):
        raise TesseraError(
            f"Rows of {least} to {most} were given.",
            expected=f"only rows of the days being replaced, {first} to {last}",
            todo="Filter the rows, or name all the days they belong to.",
        )


def _by_day(table: pa.Table, by: str) -> Iterator[tuple[date, pa.Table]]:
    days = table[by].cast(pa.int32()).to_numpy()
    if (np.diff(days) < 0).any():
        order = np.argsort(days, kind="stable")
        table, days = table.take(order), days[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(days)) + 1, [len(days)]])
    data = table.drop_columns([by])
    for start, end in pairwise(starts):
        if end > start:
            yield table[by][int(start)].as_py(), data.slice(int(start), int(end - start))


def number_of(path: str, otherwise: int) -> int:
    """Return the number in the name of a part, which orders the parts of a day.

    `otherwise` where another writer made it.
    """
    pieces = path.rpartition("/")[2].split("-")
    return int(pieces[1]) if len(pieces) == 4 else otherwise


def write_part(files: pa_fs.FileSystem, rows: pa.Table, folder: str, day: date, number: int) -> Part:
    """One file of a day with `rows` (without the partition column); `number` orders the files of the day."""
    rows = rows.combine_chunks()
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS, write_page_checksum=True)
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:32]
    # Never the name of an older file: what a vacuum is about to remove must not come back into use.
    path = f"{folder}/part-{number:05d}-{digest}-{secrets.token_hex(4)}.parquet"
    files.create_dir(folder, recursive=True)
    with files.open_output_stream(path) as stream:
        stream.write(content)
    return Part(day, path, content.size, digest, rows.num_rows)


def _limits(column: pa.ChunkedArray) -> tuple[pa.Scalar, pa.Scalar]:
    limits = pc.min_max(column)  # pyright: ignore[reportAttributeAccessIssue] - pyarrow makes its kernels at run time
    return limits["min"], limits["max"]
