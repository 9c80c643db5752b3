"""Rows of vector indexes to Postgres and back; vectors as bytes, so that each number stays as it is."""

# ruff: noqa: S608 - the SQL is made of checked names and of constants.

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from typing_extensions import override

from models.vectors.rows import sparse_vectors, stored_schema, vectors_of
from models.vectors.spec import IndexSpec
from resources.vectors.pgvector_sql import VersionTables

if TYPE_CHECKING:
    from psycopg import Connection

_INTEGER, _REAL = 23, 700  # numbers of types, as Postgres has them since ever
_HEAD = 4


class Vector:
    """A vector as a value of a query."""

    def __init__(self, numbers: NDArray[np.float32]) -> None:
        self.content = _vector(numbers)


class _VectorDumper(Dumper):
    """Sends a vector as its bytes; its type, whose number differs between databases, follows from the statement."""

    format = Format.BINARY

    @override
    def dump(self, obj: Vector) -> bytes:
        return obj.content


psycopg.adapters.register_dumper(Vector, _VectorDumper)


def copy(connection: Connection, tables: VersionTables, rows: pa.Table, spec: IndexSpec) -> None:
    """Write rows (`models.vectors.rows.stored_schema`) that are not there."""
    vectors, words = vectors_of(rows), sparse_vectors(rows)
    columns = ", ".join(tables.copied)
    with (
        connection.cursor() as cursor,
        cursor.copy(cast("Any", f"COPY {tables.rows} ({columns}) FROM STDIN (FORMAT BINARY)")) as written,
    ):
        written.set_types(tables.copied_types)
        for at, row in enumerate(rows.select(["id", "subject", "digest", *spec.payload]).to_pylist()):
            fixed = [row.pop("id"), row.pop("subject"), row.pop("digest"), _vector(vectors[at])]
            terms, weights = _array(words[at].terms, _INTEGER, ">i4"), _array(words[at].weights, _REAL, ">f4")
            written.write_row([*fixed, *row.values(), terms, weights])


def read(tables: VersionTables) -> str:
    """Return the query that reads all rows, for `table`."""
    columns = ["id", "vector_send(vector)", "subject", "digest", *tables.fields]
    return f"SELECT {', '.join(columns)} FROM {tables.rows} ORDER BY id"


def table(found: Sequence[Any], spec: IndexSpec) -> pa.Table:
    """Return rows of the query as `models.vectors.rows.stored_schema` says, without words."""
    columns = [list(column) for column in zip(*found, strict=True)]
    numbers = np.frombuffer(b"".join(one[_HEAD:] for one in columns[1]), ">f4").astype(np.float32)
    columns[1] = pa.FixedSizeListArray.from_arrays(pa.array(numbers), spec.space.dimension)
    schema = pa.schema([*stored_schema(spec)][:-2])
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)


def _vector(numbers: NDArray[np.float32]) -> bytes:
    return struct.pack(">hh", len(numbers), 0) + numbers.astype(">f4").tobytes()


def _array(values: NDArray[Any], kind: int, dtype: str) -> bytes:
    if not len(values):
        return struct.pack(">iii", 0, 0, kind)
    elements = np.empty(len(values), [("length", ">i4"), ("value", dtype)])
    elements["length"], elements["value"] = 4, values
    return struct.pack(">iiiii", 1, 0, kind, len(values), 1) + elements.tobytes()
