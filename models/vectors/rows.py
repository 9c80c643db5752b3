"""Rows of a vector index: checked against its description, and as stores hold them."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import RefusedValue, choose_from
from models.vectors.bm25 import Bm25, SparseVector
from models.vectors.exact import AS_GOOD_AS_1, normalised
from models.vectors.spec import ROW_COLUMNS, IndexSpec, Metric, PayloadType
from models.vectors.values import GREATEST_INTEGER, is_storable

_TIMESTAMP = pa.timestamp("us", "UTC")
_ARROW: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "document": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": _TIMESTAMP,
    "texts": pa.list_(pa.string()),
}
#: Of arrays in this machine's order of bytes.
_FLOAT32 = np.dtype(np.float32)
#: An id, and a text that filters read, must fit into an index of Postgres.
_LONGEST = 1000


def row_schema(spec: IndexSpec) -> pa.Schema:
    """Return the columns of rows as an index gives them back."""
    payload = [(name, _ARROW[kind]) for name, kind in spec.payload.items()]
    vector = pa.list_(pa.float32(), spec.space.dimension)
    fixed = [pa.field("id", pa.string(), False), pa.field("vector", vector, False)]
    return pa.schema([*fixed, ("subject", pa.string()), ("digest", pa.string()), *payload])


def stored_schema(spec: IndexSpec) -> pa.Schema:
    """Return the columns of rows as stores hold them: with BM25 weights, timestamps as µs since 1970."""
    fields = [pa.field(one.name, pa.int64()) if one.type == _TIMESTAMP else one for one in row_schema(spec)]
    return pa.schema([*fields, ("terms", pa.list_(pa.uint32())), ("weights", pa.list_(pa.float32()))])


def given_back(stored: pa.Table, spec: IndexSpec) -> pa.Table:
    """Return rows of a store as `row_schema` says."""
    return stored.select(row_schema(spec).names).cast(row_schema(spec))


def stored_rows(rows: pa.Table, spec: IndexSpec, bm25: Bm25 | None) -> pa.Table:
    """Return the rows as stores hold them, ascending by id.

    Args:
        rows: columns `id`, `vector`, and as the index has them `text` (not null), `subject`, `digest` and the payload;
            columns that may be null may be missing.
        spec: of the index.
        bm25: its statistics; None if it has no lexical search.

    Raises:
        RefusedValue: a column is missing or unknown, an id is there twice, or a value is not of its column's type.
    """
    _check_columns(rows, spec, bm25)
    columns: dict[str, Any] = {
        "id": _ids(rows["id"]),
        "subject": _texts(rows, "subject"),
        "digest": _texts(rows, "digest"),
    }
    vectors = checked_vectors(rows["vector"], spec.space.dimension, spec.space.metric)
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), spec.space.dimension)
    for name, kind in spec.payload.items():
        columns[name] = _payload(rows, name, kind)
    columns |= _lexical(rows, bm25)
    schema = stored_schema(spec)
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema).sort_by("id")


def checked_vectors(column: Any, dimension: int, metric: Metric, what: str = "Row") -> NDArray[np.float32]:
    """Return vectors as rows of a matrix, at length 1 for cosine.

    Args:
        column: an Arrow column of lists, a matrix, or a sequence of vectors.
        dimension: numbers per vector.
        metric: of the index.
        what: the vectors are of, for messages.

    Raises:
        RefusedValue: a vector is missing, of another dimension, not finite, or zero where the metric is cosine.
    """
    matrix = _matrix(column, dimension, what)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        at = int(np.flatnonzero(~finite)[0])
        raise _refused(f"{what} {at} has a vector with a number that is not finite.", "finite float32 numbers")
    if metric != "cosine":
        return matrix
    zero = ~matrix.any(axis=1)
    if zero.any():
        at = int(np.flatnonzero(zero)[0])
        raise _refused(f"{what} {at} has a vector of zeros, which has no cosine.", "a vector that is not zero")
    return normalised(matrix)


def checked_queries(vectors: Any, dimension: int, metric: Metric) -> list[list[float]]:
    """Return query vectors as `checked_vectors` does, but as lists, which the engines take.

    Raises:
        RefusedValue: as `checked_vectors`.
    """
    if isinstance(vectors, np.ndarray) and vectors.dtype is _FLOAT32 and vectors.shape == (1, dimension):
        one = _checked_one(vectors, metric)
        if one is not None:
            return [one]
    return checked_vectors(vectors, dimension, metric, "Query").tolist()


def _checked_one(vector: NDArray[np.float32], metric: Metric) -> list[float] | None:
    """Return what `checked_vectors` makes of one vector, in a tenth of its time; None if it may have to be refused.

    Between two searches numpy's dot product takes 75 us, and Python's hypotenuse 10; a second list would take 15.
    """
    numbers: list[float] = vector[0].tolist()
    length = math.hypot(*numbers)
    if not 0 < length < math.inf:
        return None
    if metric != "cosine" or abs(length - 1) < AS_GOOD_AS_1:
        return numbers
    return (vector[0].astype(np.float64) / length).astype(np.float32).tolist()


def sparse_vectors(stored: pa.Table) -> list[SparseVector]:
    """Return the BM25 weights of each row."""
    terms, weights = stored["terms"].combine_chunks(), stored["weights"].combine_chunks()
    limits = terms.offsets.to_numpy()
    numbers, values = terms.values.to_numpy(), weights.values.to_numpy()
    return [SparseVector(numbers[a:z], values[a:z]) for a, z in pairwise(limits)]


def vectors_of(rows: pa.Table) -> NDArray[np.float32]:
    """Return the column `vector` as rows of a matrix."""
    column = rows["vector"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)


def _matrix(column: Any, dimension: int, what: str) -> NDArray[np.float32]:
    if isinstance(column, np.ndarray):
        matrix = column[None, :] if column.ndim == 1 else column
    elif isinstance(column, pa.ChunkedArray | pa.Array):
        matrix = _of_arrow(column, dimension, what)
    else:
        vectors = [*column]
        _require_dimension((len(one) for one in vectors), dimension, what)
        matrix = np.array(vectors, np.float32).reshape(len(vectors), dimension)
    if matrix.ndim != 2 or matrix.shape[1] != dimension:
        raise _refused(f"{what}s have {matrix.shape[-1]} numbers per vector.", f"{dimension}, as the index has")
    return np.ascontiguousarray(matrix, np.float32)


def _of_arrow(column: pa.ChunkedArray | pa.Array, dimension: int, what: str) -> NDArray[np.float32]:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(whole.type, pa.FixedSizeListType | pa.ListType | pa.LargeListType):
        raise _refused(f"The column `vector` is of type {whole.type}.", "lists of numbers")
    if whole.null_count:
        at = int(np.flatnonzero(whole.is_null().to_numpy(zero_copy_only=False))[0])
        raise _refused(f"{what} {at} has no vector.", "a vector in each row")
    _require_dimension(pc.list_value_length(whole).to_pylist(), dimension, what)
    flat = whole.flatten()
    if flat.null_count:
        raise _refused("A vector has a number that is missing.", "finite float32 numbers")
    return flat.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).reshape(len(whole), dimension)


def _require_dimension(lengths: Iterable[int], dimension: int, what: str) -> None:
    for at, length in enumerate(lengths):
        if length != dimension:
            raise _refused(f"{what} {at} has a vector of {length} numbers.", f"{dimension}, as the index has")


def _check_columns(rows: pa.Table, spec: IndexSpec, bm25: Bm25 | None) -> None:
    known = {*ROW_COLUMNS, *spec.payload}
    for name in rows.schema.names:
        if name not in known:
            raise _refused(f"The rows have a column {name!r}.", choose_from(name, known))
    wanted = ["id", "vector", *(["text"] if bm25 is not None else [])]
    for name in wanted:
        if name not in rows.schema.names:
            raise _refused(f"The rows have no column {name!r}.", f"the columns {', '.join(wanted)}")
    if not spec.subject and "subject" in rows.schema.names and rows["subject"].null_count < len(rows):
        raise _refused(
            "The rows have subjects, and the index does not say of which entity.", "an index whose `subject` is named"
        )


def _ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    ids = _cast(column, pa.string(), "id")
    if ids.null_count or (len(ids) and pc.min(pc.utf8_length(ids)).as_py() == 0):
        raise _refused("A row has no id.", "an id of at least one character in each row")
    _require_texts(ids, "id", _LONGEST)
    counts = ids.value_counts()
    twice = [entry["values"] for entry in counts.to_pylist() if entry["counts"] > 1] if len(counts) < len(ids) else []
    if twice:
        raise _refused(f"{len(twice)} ids are there twice, e.g. {twice[0]!r}.", "one row per id")
    return ids


def _texts(rows: pa.Table, name: str) -> Any:
    if name not in rows.schema.names:
        return pa.nulls(len(rows), pa.string())
    texts = _cast(rows[name], pa.string(), name)
    _require_texts(texts, name, _LONGEST)
    return texts


def _payload(rows: pa.Table, name: str, kind: PayloadType) -> Any:
    if name not in rows.schema.names:
        return pa.nulls(len(rows), _ARROW[kind])
    values = _cast(rows[name], _ARROW[kind], name)
    if kind in ("text", "document", "texts"):
        flat = pc.list_flatten(values) if kind == "texts" else values
        if kind == "texts" and flat.null_count:
            raise _refused(f"A row lacks one of the texts of {name!r}.", "lists without missing texts")
        _require_texts(flat, name, None if kind == "document" else _LONGEST)
    if kind == "float" and pc.all(pc.is_finite(values)).as_py() is False:
        raise _refused(f"{name!r} has a number that is not finite.", "finite numbers, or null")
    limits = pc.min_max(values).as_py() if kind == "integer" else {"min": None, "max": None}
    if any(abs(limit) > GREATEST_INTEGER for limit in limits.values() if limit is not None):
        raise _refused(f"{name!r} has a number beyond 2^53.", "whole numbers between -2^53 and 2^53, or type text")
    return values


def _lexical(rows: pa.Table, bm25: Bm25 | None) -> dict[str, Any]:
    if bm25 is None:
        empty = [[]] * len(rows)
        return {"terms": pa.array(empty, pa.list_(pa.uint32())), "weights": pa.array(empty, pa.list_(pa.float32()))}
    texts = _cast(rows["text"], pa.string(), "text")
    if texts.null_count:
        raise _refused(
            "A row has no text, and the index is searched by words.", "a text in each row, '' if it has none"
        )
    found = [bm25.document(text) for text in texts.to_pylist()]
    limits = pa.array(np.cumsum([0, *map(len, found)]), pa.int32())
    terms = np.concatenate([one.terms for one in found]) if found else np.empty(0, np.uint32)
    weights = np.concatenate([one.weights for one in found]) if found else np.empty(0, np.float32)
    return {
        "terms": pa.ListArray.from_arrays(limits, pa.array(terms)),
        "weights": pa.ListArray.from_arrays(limits, pa.array(weights)),
    }


def _require_texts(texts: Any, name: str, longest: int | None) -> None:
    if longest is not None and len(texts) and (pc.max(pc.utf8_length(texts)).as_py() or 0) > longest:
        raise _refused(f"{name!r} has a text of more than {longest} characters.", "shorter ones, or type document")
    for text in texts.to_pylist():
        if text is not None and not is_storable(text):
            raise _refused(f"{name!r} has a text with a zero character: {text!r}.", "texts without zero characters")


def _cast(column: Any, wanted: pa.DataType, name: str) -> Any:
    found = column.type.value_type if isinstance(column.type, pa.DictionaryType) else column.type
    if not _may_become(found, wanted):
        raise _refused(f"The column {name!r} is of type {column.type}.", f"{wanted}")
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise _refused(f"The column {name!r} has a value that is no {wanted}: {error}.", f"{wanted}") from error


def _may_become(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Return True if no value changes its meaning: text stays text, numbers stay numbers."""
    if pa.types.is_null(found):
        return True
    if wanted == pa.string():
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    if wanted == pa.int64():
        return pa.types.is_integer(found)
    if wanted == pa.float64():
        return pa.types.is_floating(found) or pa.types.is_integer(found)
    if wanted == pa.bool_():
        return pa.types.is_boolean(found)
    if wanted == _TIMESTAMP:
        return pa.types.is_timestamp(found) and found.tz is not None
    return isinstance(found, pa.ListType | pa.LargeListType) and _may_become(found.value_type, pa.string())


def _column(values: Any, wanted: pa.DataType) -> Any:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole.cast(wanted)


def _refused(what: str, expected: str) -> RefusedValue:
    return RefusedValue(what, expected=expected, todo="Correct the rows that the index is built from.")
