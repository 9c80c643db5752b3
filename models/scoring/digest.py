"""A fingerprint of score rows: the same rows in the same order give the same digits, however they are batched."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.publishing import SCORES_SCHEMA, UNHASHED_COLUMNS

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


#: Places of the columns that are hashed.
_HASHED = [place for place, name in enumerate(SCORES_SCHEMA.names) if name not in UNHASHED_COLUMNS]


class RowsDigest:
    """sha256 over canonical bytes of rows of `SCORES_SCHEMA`, fed batch by batch.

    Each column is hashed on its own: floats as little-endian IEEE 754, strings as int32 lengths and UTF-8 bytes,
    lists as int32 lengths (-1: NULL) and their strings; the digest is the hash of the columns' hashes in order. The
    registry's version number is left out, so equal rows of one model have one digest in every registry: this is rule
    `models.publishing.DIGEST_RULE`.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._hashes = [(hashlib.sha256(), hashlib.sha256(), hashlib.sha256()) for _ in _HASHED]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        self.rows += batch.num_rows
        columns = (batch.column(place) for place in _HASHED)
        for (lengths, values, outer), column in zip(self._hashes, columns, strict=True):
            if pa.types.is_list(column.type):
                outer.update(_lengths(pc.list_value_length(column)))
                column = column.flatten()
            if pa.types.is_floating(column.type):
                values.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False), dtype="<f4").data)
            else:
                lengths.update(_lengths(pc.binary_length(column)))
                values.update(_text(column))

    def hexdigest(self) -> str:
        """64 hex digits for all rows so far."""
        whole = hashlib.sha256()
        for hashes in self._hashes:
            for part in hashes:
                whole.update(part.digest())
        return whole.hexdigest()


def _lengths(lengths: pa.Array) -> bytes:
    return np.ascontiguousarray(pc.fill_null(lengths, -1).to_numpy(zero_copy_only=False), dtype="<i4").tobytes()


def _text(column: pa.Array) -> memoryview | bytes:
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return b""
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return memoryview(data)[int(ends[0]) : int(ends[1])]
