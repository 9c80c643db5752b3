"""Score rows as Parquet files that keep the order in which they were written."""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import TesseraError
from models.publishing import SCORES_SCHEMA
from resources.durability import sync
from resources.sink.port import DamagedScores

#: Number of a row in its attempt, from 0: Delta promises no order of files, this column does.
ROW = pa.field("row", pa.int64(), nullable=False)
FILE_SCHEMA = SCORES_SCHEMA.append(ROW)

_ROW_GROUP_ROWS = 131_072
#: Columns with few different values; ids and scores would fill a dictionary for nothing.
_DICTIONARIES = ["decision", "reasons.list.element", "model_version", "model_package", "feature_version"]


@dataclass(frozen=True)
class AttemptFile:
    """One file of an attempt: `rows` rows, of which the first is number `first_row` of the attempt."""

    path: Path
    first_row: int
    rows: int

    def statistics(self) -> str:
        """Statistics of the file for Delta's log, as JSON."""
        last = self.first_row + self.rows - 1
        limits = {"minValues": {"row": self.first_row}, "maxValues": {"row": last}, "nullCount": {"row": 0}}
        return json.dumps({"numRecords": self.rows, **(limits if self.rows else {})})


def write_files(folder: Path, batches: Iterable[pa.RecordBatch], *, rows_per_file: int) -> list[AttemptFile]:
    """Return new files in `folder` that hold all rows and survive a power failure.

    At least one, even if there are no rows.

    Raises:
        TesseraError: a NULL where `SCORES_SCHEMA` allows none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _numbered(batches, rows_per_file)
    files = [_write_file(folder, list_of) for _, list_of in groupby(pieces, lambda piece: piece[0] // rows_per_file)]
    files = files or [_write_file(folder, iter(()))]
    sync(folder)
    return files


def read_files(files: Iterable[AttemptFile]) -> Iterator[pa.RecordBatch]:
    """All rows (`SCORES_SCHEMA`), by their number.

    Raises:
        TesseraError: a file is gone or broken, or the numbers are not 0, 1, 2...
    """
    following = 0
    for file in sorted(files, key=lambda file: file.first_row):
        for batch in _batches(file.path):
            numbers = batch.column("row")
            if not np.array_equal(numbers.to_numpy(), np.arange(following, following + len(numbers))):
                raise _unreadable(file.path, f"row {following} is not where it belongs")
            yield pa.RecordBatch.from_arrays(batch.columns[: len(SCORES_SCHEMA)], schema=SCORES_SCHEMA)
            following += len(numbers)


def rows_of(path: Path, entity_id: str) -> int:
    """Return number of rows of the entity in a file; row groups whose limits exclude it are not read.

    Raises:
        TesseraError: the file is gone or broken.
    """
    from pyarrow.dataset import dataset, field  # brings pandas, which loading the definitions must not

    try:
        return dataset(path, format="parquet").count_rows(filter=field("entity_id") == entity_id)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error


def _write_file(folder: Path, numbered: Iterator[tuple[int, pa.RecordBatch]]) -> AttemptFile:
    path = folder / f"part-{uuid.uuid4()}.parquet"
    first_row, rows = 0, 0
    dictionaries: Any = _DICTIONARIES  # the stubs know only a bool
    with pq.ParquetWriter(
        path, FILE_SCHEMA, compression="zstd", use_dictionary=dictionaries, write_page_checksum=True
    ) as writer:
        for number, batch in numbered:
            first_row = number - rows
            writer.write_batch(batch, row_group_size=_ROW_GROUP_ROWS)
            rows += batch.num_rows
    sync(path)
    return AttemptFile(path, first_row, rows)


def _numbered(batches: Iterable[pa.RecordBatch], rows_per_file: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield first row number and rows; cut so that none reaches over the end of a file."""
    number = 0
    for batch in batches:
        _refuse_nulls(batch)
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, rows_per_file - number % rows_per_file)
            rows = pa.array(np.arange(number, number + piece.num_rows))
            yield number, pa.RecordBatch.from_arrays([*piece.columns, rows], schema=FILE_SCHEMA)
            number += piece.num_rows
            start += piece.num_rows


def _refuse_nulls(batch: pa.RecordBatch) -> None:
    for field, column in zip(SCORES_SCHEMA, batch.columns, strict=True):
        if column.null_count and not field.nullable:
            raise TesseraError(
                f"{column.null_count} score rows have no {field.name!r}.",
                expected="a value in every row",
                todo="Score the day again; if it happens again, it is a mistake in the scoring code.",
            )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        # Without `pre_buffer` only one row group is held at a time, not the whole file.
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=_ROW_GROUP_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> DamagedScores:
    app, day = path.parts[-4].removeprefix("scores_"), path.parts[-3].removeprefix("day=")
    return DamagedScores(
        f"The scores in {path} cannot be read: {why}.",
        expected="the file as it was written",
        todo=f"Score {day} again: `tessera run {app}_nightly --date {day}` writes its rows once more.",
    )
