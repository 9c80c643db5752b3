"""Comparison of each row with the one before it, over batches of any size."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


class RowOrder:
    """Rows that are to ascend by the columns `names`, compared in this order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._last: list[pa.Array] | None = None

    def compare(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array, list[pa.Array]]:
        """For each row: it is above the one before, it equals the one before (NULL for the first); the rows before.

        Columns without NULLs are expected.
        """
        now = [batch.column(name) for name in self._names]
        last = self._last or [pa.nulls(1, column.type) for column in now]
        before = [pa.concat_arrays([old, column[:-1]]) for old, column in zip(last, now, strict=True)]
        above, equal = pc.less(before[-1], now[-1]), pc.equal(before[-1], now[-1])
        for old, column in list(zip(before, now, strict=True))[-2::-1]:
            same = pc.equal(old, column)
            above = pc.or_(pc.less(old, column), pc.and_(same, above))
            equal = pc.and_(same, equal)
        if batch.num_rows:
            self._last = [column[-1:] for column in now]
        return above, equal, before
