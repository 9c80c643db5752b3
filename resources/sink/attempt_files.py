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

from models.scoring.output import KEY_METADATA
from resources.durability import sync
from resources.sink.port import DamagedScores, require_complete

#: Number of a row in its attempt, from 0: Delta promises no order of files, this column does.
ROW = pa.field("row", pa.int64(), nullable=False)
_ROW_GROUP_ROWS = 131_072


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


def write_files(folder: Path, rows: pa.RecordBatchReader, *, rows_per_file: int) -> list[AttemptFile]:
    """New files in `folder` that hold all rows and survive a power failure; at least one, even if there are no rows.

    Raises:
        TesseraError: a NULL where the schema allows none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    schema = rows.schema
    pieces = groupby(_numbered(rows, rows_per_file), lambda piece: piece[0] // rows_per_file)
    files = [_write_file(folder, schema, list_of) for _, list_of in pieces]
    files = files or [_write_file(folder, schema, iter(()))]
    sync(folder)
    return files


def schema_of(file: AttemptFile) -> pa.Schema:
    """Columns of a file's score rows, without the number of the row.

    Raises:
        DamagedScores: the file is gone or broken.
    """
    try:
        schema = pq.read_schema(file.path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file.path, str(error)) from error
    return pa.schema([field for field in schema if field.name != ROW.name])


def read_files(files: Iterable[AttemptFile]) -> Iterator[pa.RecordBatch]:
    """All rows, by their number.

    Raises:
        TesseraError: a file is gone or broken, or the numbers are not 0, 1, 2...
    """
    following = 0
    for file in sorted(files, key=lambda file: file.first_row):
        for batch in _batches(file.path):
            numbers = batch.column("row")
            if not np.array_equal(numbers.to_numpy(), np.arange(following, following + len(numbers))):
                raise _unreadable(file.path, f"row {following} is not where it belongs")
            yield batch.select(batch.schema.names[:-1])
            following += len(numbers)


def rows_of(path: Path, column: str, id: str) -> int:
    """Number of rows of a file whose `column` is `id`; row groups whose limits exclude it are not read.

    Raises:
        TesseraError: the file is gone or broken.
    """
    from pyarrow.dataset import dataset, field  # brings pandas, which loading the definitions must not

    try:
        rows = dataset(path, format="parquet")
        return rows.count_rows(filter=field(column) == id) if column in rows.schema.names else 0
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error


def _write_file(folder: Path, schema: pa.Schema, numbered: Iterator[tuple[int, pa.RecordBatch]]) -> AttemptFile:
    path = folder / f"part-{uuid.uuid4()}.parquet"
    first_row, rows = 0, 0
    dictionaries: Any = _dictionaries(schema)  # the stubs know only a bool
    with pq.ParquetWriter(
        path, schema.append(ROW), compression="zstd", use_dictionary=dictionaries, write_page_checksum=True
    ) as writer:
        for number, batch in numbered:
            first_row = number - rows
            writer.write_batch(batch, row_group_size=_ROW_GROUP_ROWS)
            rows += batch.num_rows
    sync(path)
    return AttemptFile(path, first_row, rows)


def _dictionaries(schema: pa.Schema) -> list[str]:
    """Columns with few different values; ids and numbers would fill a dictionary for nothing."""
    keys = {field.name for field in schema if KEY_METADATA.items() <= (field.metadata or {}).items()}
    texts = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in keys]
    lists = [field for field in schema if pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type)]
    return [*texts, *(f"{field.name}.list.element" for field in lists)]


def _numbered(rows: pa.RecordBatchReader, rows_per_file: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Number of the first row, and rows with their numbers; cut so that none reaches over the end of a file."""
    schema, number = rows.schema.append(ROW), 0
    for batch in rows:
        require_complete(batch, rows.schema)
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, rows_per_file - number % rows_per_file)
            numbers = pa.array(np.arange(number, number + piece.num_rows))
            yield number, pa.RecordBatch.from_arrays([*piece.columns, numbers], schema=schema)
            number += piece.num_rows
            start += piece.num_rows


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
