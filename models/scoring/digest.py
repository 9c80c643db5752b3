"""Digest of score rows: the same rows in the same order give the same digits, however they are batched."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.output import UNHASHED_COLUMNS

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


class RowsDigest:
    """sha256 over canonical bytes of rows of any output contract, fed batch by batch.

    Each column is hashed on its own, in the order of the schema: numbers, booleans, dates (days) and timestamps (µs) as
    little-endian bytes, strings as int32 lengths and UTF-8 bytes, lists as int32 lengths (-1: NULL) and their values;
    the digest is the hash of the columns' hashes. A NULL of a column that allows NULL is marked in front. Names are
    left out, and so is the registry's version number: equal rows of one model have one digest in every registry. This
    is rule `models.publishing.DIGEST_RULE`. No rows have one digest, whatever their columns.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._places: list[int] = []
        self._hashes: list[tuple[hashlib._Hash, hashlib._Hash, hashlib._Hash]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        if not batch.num_rows:
            return
        if not self._hashes:
            self._places = [at for at, name in enumerate(batch.schema.names) if name not in UNHASHED_COLUMNS]
            self._hashes = [(hashlib.sha256(), hashlib.sha256(), hashlib.sha256()) for _ in self._places]
        self.rows += batch.num_rows
        for (lengths, values, outer), place in zip(self._hashes, self._places, strict=True):
            column = batch.column(place)
            if pa.types.is_list(column.type):
                outer.update(_lengths(pc.list_value_length(column)))
                column = column.flatten()
            elif not pa.types.is_string(column.type) and batch.schema.field(place).nullable:
                outer.update(column.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
            if pa.types.is_string(column.type):
                lengths.update(_lengths(pc.binary_length(column)))
                values.update(_text(column))
            else:
                values.update(_numbers(column))

    def hexdigest(self) -> str:
        """64 hex digits for all rows so far."""
        whole = hashlib.sha256()
        for hashes in self._hashes:
            for part in hashes:
                whole.update(part.digest())
        return whole.hexdigest()


def _numbers(column: pa.Array) -> memoryview:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    values = (column.fill_null(0) if column.null_count else column).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data.cast("B")


def _lengths(lengths: pa.Array) -> bytes:
    return np.ascontiguousarray(pc.fill_null(lengths, -1).to_numpy(zero_copy_only=False), dtype="<i4").tobytes()


def _text(column: pa.Array) -> memoryview | bytes:
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return b""
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return memoryview(data)[int(ends[0]) : int(ends[1])]
