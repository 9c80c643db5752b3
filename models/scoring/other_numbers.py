"""Numbers beside the score: mean and spread of numbers, empty lists, repeated texts, the width of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.output import OutputColumn

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: What names of numbers begin with; the column follows.
MEAN, SPREAD, EMPTY, REPEATED, WIDTH = "mean_", "spread_", "empty_", "repeated_", "width_"
#: Values below which a mean or a repetition says nothing.
_FEWEST = 20


class ColumnNumbers(Protocol):
    """Numbers of a column, gathered batch by batch in constant memory."""

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the next rows."""
        ...

    def numbers(self) -> dict[str, float]:
        """Return the numbers by name; none of a column that says nothing."""
        ...


def interval_width(columns: Sequence[str]) -> ColumnNumbers:
    """Return the counter of an interval's width, from the first to the last of columns that do not descend."""
    return _Width(columns)


def other_numbers(column: OutputColumn) -> ColumnNumbers:
    """Return the counter of a column's numbers, by its type."""
    if column.type == "float64":
        return _Moments(column.name)
    if column.type == "list<string>":
        return _EmptyLists(column.name)
    return _Repeated(column.name) if column.type == "string" and not column.is_category else _Nothing()


class _Nothing:
    def observe(self, batch: pa.RecordBatch) -> None:
        """Do nothing: shares of its values are counted elsewhere."""

    def numbers(self) -> dict[str, float]:
        return {}


class _Moments:
    def __init__(self, name: str) -> None:
        self._name, self._sums = name, np.zeros(3)

    def observe(self, batch: pa.RecordBatch) -> None:
        values = batch.column(self._name).drop_null().to_numpy(zero_copy_only=False)
        values = values[np.isfinite(values)]
        self._sums += (values.size, values.sum(), (values * values).sum())

    def numbers(self) -> dict[str, float]:
        count, total, squares = self._sums.tolist()
        if count < _FEWEST:
            return {}
        mean = total / count
        return {MEAN + self._name: mean, SPREAD + self._name: max(squares / count - mean * mean, 0.0) ** 0.5}


class _EmptyLists:
    def __init__(self, name: str) -> None:
        self._name, self._rows, self._empty = name, 0, 0

    def observe(self, batch: pa.RecordBatch) -> None:
        lengths = pc.list_value_length(batch.column(self._name))
        self._rows += batch.num_rows
        self._empty += batch.num_rows - (pc.sum(pc.greater(lengths, 0)).as_py() or 0)

    def numbers(self) -> dict[str, float]:
        return {EMPTY + self._name: self._empty / max(self._rows, 1)}


class _Repeated:
    """The most frequent text of each batch: of batches of many rows about the most frequent one of all."""

    def __init__(self, name: str) -> None:
        self._name, self._values, self._most = name, 0, 0

    def observe(self, batch: pa.RecordBatch) -> None:
        texts = batch.column(self._name).drop_null()
        self._values += len(texts)
        self._most += pc.max(pc.value_counts(texts).field("counts")).as_py() or 0 if len(texts) else 0

    def numbers(self) -> dict[str, float]:
        return {REPEATED + self._name: self._most / self._values} if self._values >= _FEWEST else {}


class _Width:
    """Mean distance of an interval's ends, over the mean size of the value between them: of no unit."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns, self._sums = columns, np.zeros(2)

    def observe(self, batch: pa.RecordBatch) -> None:
        first, middle, last = (batch.column(name).to_numpy(zero_copy_only=False) for name in self._ends())
        known = np.isfinite(first) & np.isfinite(middle) & np.isfinite(last)
        self._sums += ((last - first)[known].sum(), np.abs(middle[known]).sum())

    def numbers(self) -> dict[str, float]:
        widths, sizes = self._sums.tolist()
        first, _, last = self._ends()
        return {f"{WIDTH}{first}_{last}": widths / sizes} if sizes > 0 else {}

    def _ends(self) -> tuple[str, str, str]:
        return self._columns[0], self._columns[len(self._columns) // 2], self._columns[-1]
