"""From feature columns to the numbers that models are fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import TesseraError, choose_from
from models.training.model import Matrix

# pyarrow has no static types.
# pyright: basic

#: Rows up to which columns are copied together: of so few, what arrow does per column costs more than the values.
_FEW_ROWS = 8
#: Categories that get a column of their own, at most, per string column.
MAX_CATEGORIES = 12
#: Python's types of numeric features; any other type is looked at as a table's.
_NUMBERS = frozenset({float, int, bool, type(None)})


@dataclass(frozen=True)
class Encoder:
    """Encoding of columns as matrix columns; fitted on training rows, stored beside the model.

    Attributes:
        numeric: columns that are taken as float32, NULL as NaN.
        categories: string column -> the values that have a column of their own; any other value gives zeros.
    """

    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, table: pa.Table, features: Sequence[str], *, max_categories: int = MAX_CATEGORIES) -> Encoder:
        """Return the encoder of `features`, whose string columns get their most frequent values, ties by name.

        Raises:
            TesseraError: a feature is missing, or neither number, boolean nor string.
        """
        numeric = tuple(name for name in features if not _is_text(_field(table.schema, name)))
        texts = [name for name in features if name not in numeric]
        return cls(numeric, {name: _most_frequent(table.column(name), max_categories) for name in texts})

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the matrix columns, in order: numeric ones, then `country=DE` and the like."""
        one_hot = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        return (*self.numeric, *one_hot)

    def transform(self, rows: pa.RecordBatch | pa.Table, out: Matrix) -> int:
        """Return number of rows, written to `out[:n]`, which has one column per feature and at least n rows.

        `out` is meant to be reused: nothing of an earlier batch remains in `out[:n]`.

        Raises:
            TesseraError: a column is missing or of another type, or `out` is too small.
        """
        if rows.num_rows > len(out) or out.shape[1] != len(self.feature_names):
            raise TesseraError(
                f"A buffer of shape {out.shape} was given for {rows.num_rows} rows.",
                expected=f"at least that many rows and {len(self.feature_names)} columns",
                todo="This is a mistake in the calling code.",
            )
        n = rows.num_rows
        if 0 < n <= _FEW_ROWS:
            self._copy_few(rows, out[:n])
            return n
        for index, name in enumerate(self.numeric):
            _copy_numbers(rows, name, out[:n, index])
        self._copy_categories(rows, out[:n, len(self.numeric) :])
        return n

    def matrix(self, rows: pa.RecordBatch | pa.Table) -> Matrix:
        """Return a new C-ordered matrix of all rows, shape `(n_rows, n_features)`."""
        out = np.empty((rows.num_rows, len(self.feature_names)), dtype=np.float32)
        self.transform(rows, out)
        return out

    def few(self, rows: Sequence[Mapping[str, Any]]) -> Matrix:
        """Return `matrix` of a few rows that are Python's values by column.

        Raises:
            TesseraError: a column is missing or of another type.
        """
        try:
            numbers = [self._numbers_of(row) for row in rows]
            texts = [[row[name] for name in self.categories] for row in rows]
        except KeyError:
            return self.matrix(pa.Table.from_pylist([dict(row) for row in rows]))
        if not _NUMBERS.issuperset(map(type, chain.from_iterable(numbers))):
            return self.matrix(pa.Table.from_pylist([dict(row) for row in rows]))
        known = np.array(numbers, np.float32).reshape(len(rows), len(self.numeric))
        if not self.categories:
            return known
        out = np.zeros((len(rows), len(self.feature_names)), np.float32)
        out[:, : len(self.numeric)] = known
        for row, values in enumerate(texts):
            self._mark(row, values, out)
        return out

    def of_columns(self, columns: Mapping[str, np.ndarray], rows: int) -> Matrix:
        """Return `matrix` of rows that are columns of numpy.

        Args:
            columns: numbers as float64, NaN where missing; texts as objects, None where missing. Shape `(rows,)`.
            rows: their number.
        """
        out, width = np.empty((rows, len(self.feature_names)), np.float32), len(self.numeric)
        if width:
            out[:, :width] = np.array([columns[name] for name in self.numeric]).T
        out[:, width:] = 0
        if self.categories:
            texts = zip(*(columns[name].tolist() for name in self.categories), strict=True)
            for row, values in enumerate(texts):
                self._mark(row, values, out)
        return out

    def unseen(self, rows: pa.RecordBatch | pa.Table) -> dict[str, int]:
        """Per string column, how many rows hold a value without a column of its own (rare or new; not NULL)."""
        return {
            name: _unseen(_codes(rows, name, values), rows.column(name)) for name, values in self.categories.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the encoder as JSON values."""
        return {"numeric": list(self.numeric), "categories": {k: list(v) for k, v in self.categories.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `to_json` described."""
        return cls(tuple(values["numeric"]), {k: tuple(v) for k, v in values["categories"].items()})

    @cached_property
    def _numbers_of(self) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        if len(self.numeric) > 1:
            return itemgetter(*self.numeric)
        return lambda row: [row[name] for name in self.numeric]

    def _copy_few(self, rows: pa.RecordBatch | pa.Table, out: Matrix) -> None:
        """Do the same as column by column: numbers as one array, texts as Python's."""
        out[:, : len(self.numeric)] = _few_numbers(rows, self.numeric)
        out[:, len(self.numeric) :] = 0
        for name in self.categories:
            _field(rows.schema, name)
        texts = zip(*(rows.column(name).to_pylist() for name in self.categories), strict=True)
        for row, values in enumerate(texts):
            self._mark(row, values, out)

    def _mark(self, row: int, texts: Sequence[Any], out: Matrix) -> None:
        """Set the columns of a row's texts, one for each of `categories`, in a row that is 0 there."""
        start = len(self.numeric)
        for text, places in zip(texts, self._places.values(), strict=True):
            if text in places:
                out[row, start + places[text]] = 1
            start += len(places)

    @cached_property
    def _places(self) -> Mapping[str, Mapping[str, int]]:
        return {name: {value: at for at, value in enumerate(values)} for name, values in self.categories.items()}

    def _copy_categories(self, rows: pa.RecordBatch | pa.Table, out: Matrix) -> None:
        out[:] = 0
        start = 0
        for name, values in self.categories.items():
            codes = _codes(rows, name, values)
            known = np.flatnonzero(codes >= 0)
            out[known, start + codes[known]] = 1
            start += len(values)


def positions(column: pa.Array | pa.ChunkedArray, values: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """Return the index of each text in `values` (int32); NULL where it is missing, or NULL itself."""
    options = pc.SetLookupOptions(value_set=pa.array(values, pa.string()))
    return pc.call_function("index_in", [column.cast(pa.string())], options)


def _field(schema: pa.Schema, name: str) -> pa.Field:
    if name not in schema.names:
        raise TesseraError(
            f"The rows have no column {name!r}.",
            expected=choose_from(name, schema.names),
            todo="Recompute the features of these days, or train a model on the features that exist.",
        )
    return schema.field(name)


def _is_text(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return True
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return False
    raise TesseraError(
        f"The feature {field.name!r} has the type {field.type}.",
        expected="a number, a boolean or a string",
        todo="Turn it into one of these where the feature is defined, in models/features/.",
    )


def _most_frequent(column: pa.ChunkedArray, limit: int) -> tuple[str, ...]:
    counts = column.cast(pa.string()).drop_null().value_counts().to_pylist()
    ranked = sorted(counts, key=lambda pair: (-pair["counts"], pair["values"]))
    return tuple(pair["values"] for pair in ranked[:limit])


def _copy_numbers(rows: pa.RecordBatch | pa.Table, name: str, out: Matrix) -> None:
    column = _numbers(rows, name)
    out[:] = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)


def _numbers(rows: pa.RecordBatch | pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    try:
        column = rows.column(name)
    except KeyError:
        column = None
    if column is not None and pa.types.is_float64(column.type):
        return column
    if column is None or _is_text(_field(rows.schema, name)):
        _field(rows.schema, name)
        raise TesseraError(
            f"The feature {name!r} is text.", expected="numbers, as in training", todo="Check the feature view's types."
        )
    return column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column


def _few_numbers(rows: pa.RecordBatch | pa.Table, names: Sequence[str]) -> np.ndarray:
    """Return numeric columns as one matrix of float64, which holds what float32 will; NULL is NaN."""
    try:
        return _together(rows.select(names))
    except (KeyError, pa.ArrowTypeError):  # a column is missing, is no number, or is a flag
        columns = [_numbers(rows, name).cast(pa.float64(), safe=False) for name in names]
        return _together(pa.table(columns, names=list(names)))


def _together(columns: pa.RecordBatch | pa.Table) -> np.ndarray:
    if not columns.num_columns:
        return np.empty((columns.num_rows, 0))
    parts = columns.to_batches() if isinstance(columns, pa.Table) else [columns]
    if len(parts) > 1:
        parts = columns.combine_chunks().to_batches()
    return parts[0].to_tensor(null_to_nan=True).to_numpy().astype(np.float64)


def _codes(rows: pa.RecordBatch | pa.Table, name: str, values: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Position of each row's value in `values`; -1 for any other."""
    _field(rows.schema, name)
    filled = pc.fill_null(positions(rows.column(name), values), -1)
    return filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False)


def _unseen(codes: np.ndarray[Any, np.dtype[np.int32]], column: pa.Array | pa.ChunkedArray) -> int:
    return int((codes < 0).sum()) - column.null_count
