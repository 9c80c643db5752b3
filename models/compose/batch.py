"""Records as columns: the one form in which steps take and give them, be it one record or a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.compose.fields import Column, Fields, FieldType
from models.errors import TesseraError, choose_from

# pyarrow has no static types.
# pyright: basic

Rows = NDArray[np.int64]

_ARROW: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "number": pa.float64(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


class Batch:
    """Columns of equal length. Steps read them and never change them in place.

    Attributes:
        columns: name -> numpy array with a row for each record.
        n: number of records.
    """

    __slots__ = ("columns", "n")

    def __init__(self, columns: Mapping[str, Column], n: int) -> None:
        self.columns = columns
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, field: str) -> Column:
        return self.columns[field]

    def take(self, rows: Rows) -> "Batch":
        """Return some of the records, in the order of `rows`."""
        return Batch({name: column[rows] for name, column in self.columns.items()}, rows.size)

    def extended(self, other: "Batch") -> "Batch":
        """Return the records with the columns of `other` added; a column of both is that of `other`."""
        return Batch({**self.columns, **other.columns}, self.n)

    def only(self, names: Iterable[str]) -> "Batch":
        """Return some of the columns."""
        return Batch({name: self.columns[name] for name in names}, self.n)

    def records(self) -> list[dict[str, Any]]:
        """Return each record as a dictionary of Python values, None where one is missing."""
        values = {name: _values(column) for name, column in self.columns.items()}
        return [{name: values[name][row] for name in values} for row in range(self.n)]

    def to_arrow(self, contract: Fields) -> pa.Table:
        """Return the fields of a contract as a table.

        A record (`record`) becomes JSON text.
        """
        return pa.table({name: _arrow(self.columns[name], contract[name]) for name in contract})


def from_records(records: Sequence[Mapping[str, Any]], contract: Fields) -> Batch:
    """Return records as a batch; a value that its contract does not allow is refused.

    Raises:
        TesseraError: a field is missing, or a value is of another type.
    """
    columns: dict[str, Column] = {}
    for name, kind in contract.types.items():
        values = [record.get(name) for record in records]
        try:
            columns[name] = kind.column(values)
        except (TypeError, ValueError, OverflowError) as error:
            raise _no_column(contract, name, str(error)) from error
    return checked(Batch(columns, len(records)), contract)


def from_arrow(table: pa.Table | pa.RecordBatch, contract: Fields) -> Batch:
    """Return the fields of a contract from a table, numbers without a copy where Arrow allows it.

    Raises:
        TesseraError: a column is missing, or a value is of another type.
    """
    columns: dict[str, Column] = {}
    for name, kind in contract.types.items():
        if name not in table.schema.names:
            raise TesseraError(
                f"The table has no column {name!r}, which {contract.name} has as {kind}.",
                expected=choose_from(name, table.schema.names),
                todo="Rename the column, or give it in the query.",
            )
        try:
            columns[name] = _from_arrow(table.column(name), kind)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise _no_column(contract, name, str(error)) from error
    return checked(Batch(columns, table.num_rows), contract)


def checked(batch: Batch, contract: Fields) -> Batch:
    """Return the batch, of which every value is one of the contract.

    Raises:
        TesseraError: a column has another type, or a value is missing or of another type.
    """
    for name, kind in contract.types.items():
        problem = kind.problem(batch.columns.get(name), batch.n)
        if problem:
            raise _no_column(contract, name, problem)
        wrong = kind.wrong(batch.columns[name])
        if wrong is not None:
            row = int(np.argmax(wrong))
            raise _no_column(contract, name, f"record {row} has {batch.columns[name][row]!r}")
    return batch


def _no_column(contract: Fields, name: str, why: str) -> TesseraError:
    return TesseraError(
        f"Field {name!r} of {contract.name} is not {contract[name]}: {why}.",
        expected=f"{name}: {contract[name]}",
        todo="Correct the record.",
    )


def _values(column: Column) -> list[Any]:
    if column.dtype == object or column.dtype.kind in "bi":
        return column.tolist()
    if column.dtype.kind == "M":
        return [None if np.isnat(one) else one.item() for one in column]
    if column.ndim == 2:
        return [None if np.isnan(row[:1]).any() else row for row in column]
    return [None if one != one else one for one in column.tolist()]


def _arrow(column: Column, kind: FieldType) -> pa.Array:
    if kind.name == "vector":
        missing = np.isnan(column).any(axis=1)
        flat = pa.array(np.ascontiguousarray(column).ravel(), pa.float32())
        return pa.FixedSizeListArray.from_arrays(flat, kind.width, mask=pa.array(missing))
    if kind.name == "record":
        import json

        texts = [None if one is None else json.dumps(one, sort_keys=True, default=str) for one in column]
        return pa.array(texts, pa.string())
    if kind.name == "number":
        return pa.array(column, pa.float64(), from_pandas=True)
    return pa.array(column, _ARROW[kind.name])


def _from_arrow(column: pa.ChunkedArray | pa.Array, kind: FieldType) -> Column:
    if kind.name == "vector":
        return _vectors(column, kind.width)
    if kind.holds_objects or kind.name == "record":
        return kind.column(column.to_pylist())
    if kind.name == "timestamp":
        return column.cast(_ARROW["timestamp"]).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    found = column.cast(_ARROW[kind.name])
    if kind.name != "number" and found.null_count:
        raise ValueError(f"{found.null_count} values are missing")
    return found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()


def _vectors(column: pa.ChunkedArray | pa.Array, width: int) -> Column:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        return FieldType("vector", width).column(whole.to_pylist())
    return whole.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(len(whole), width)
