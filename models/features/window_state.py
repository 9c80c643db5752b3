"""The recent rows of one key, and the windows of `models.features.windows` evaluated over them, one event at a time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Sequence
from math import sqrt

from models.features.windows import MICROS_PER_DAY, Window

#: `known` of a row whose payment is not known to be fraud: later than any moment.
NOT_KNOWN = 2**62


class KeyHistory:
    """Rows of one key, ascending by (moment, id): what its windows can still see, as packed integers.

    Attributes:
        micros: moments, µs since 1970, UTC.
        ids: unique.
        values: what is aggregated, e.g. cents.
        known: from when on the row counts as fraud; `NOT_KNOWN` if it does not.
    """

    __slots__ = ("ids", "known", "micros", "values")

    def __init__(self) -> None:
        self.micros, self.ids, self.values, self.known = (array("q") for _ in range(4))

    @classmethod
    def from_bytes(cls, packed: bytes) -> KeyHistory:
        """The history that `to_bytes` packed."""
        history = cls()
        size = len(packed) // 4
        for at, column in enumerate(history._columns()):
            column.frombytes(packed[at * size : (at + 1) * size])
        return history

    def to_bytes(self) -> bytes:
        """32 bytes per row, in the byte order of this machine."""
        return b"".join(column.tobytes() for column in self._columns())

    def insert(self, micros: int, row_id: int, value: int) -> int:
        """The position of the new row; the caller knows that its id is new."""
        at = self._place(micros, row_id)
        for column, item in zip(self._columns(), (micros, row_id, value, NOT_KNOWN), strict=True):
            column.insert(at, item)
        return at

    def append(self, *columns: bytes) -> None:
        """Adds rows behind the last one, given as the bytes of moments, ids, values and known."""
        for column, packed in zip(self._columns(), columns, strict=True):
            column.frombytes(packed)

    def position(self, micros: int, row_id: int) -> int:
        """Where that row stands.

        Raises:
            KeyError: there is no such row.
        """
        at = self._place(micros, row_id)
        if at == len(self.ids) or (self.micros[at], self.ids[at]) != (micros, row_id):
            raise KeyError(row_id)
        return at

    def drop_before(self, micros: int) -> int:
        """Number of rows dropped: all that happened before `micros`."""
        end = bisect_left(self.micros, micros)
        for column in self._columns():
            del column[:end]
        return end

    def drop_ids(self, ids: Container[int]) -> int:
        """Number of rows dropped: those with these ids."""
        kept = [at for at, row_id in enumerate(self.ids) if row_id not in ids]
        dropped = len(self.ids) - len(kept)
        for column in self._columns() if dropped else ():
            column[:] = array("q", [column[at] for at in kept])
        return dropped

    def ids_between(self, first: int, end: int) -> Sequence[int]:
        """Ids of the rows with a moment in `[first, end)`, ascending."""
        return self.ids[bisect_left(self.micros, first) : bisect_left(self.micros, end)]

    def evaluate(self, windows: Iterable[Window], at: int) -> dict[str, float]:
        """Name -> value of each window at the row in position `at`."""
        return {one.name: self._value(one, at) for one in windows}

    def _value(self, one: Window, at: int) -> float:
        moment = self.micros[at]
        first = bisect_right(self.micros, moment - one.reach_micros)
        end = bisect_right(self.micros, moment - one.delay_days * MICROS_PER_DAY) if one.delay_days else at + 1
        count = end - first
        if one.aggregate == "count":
            return float(count)
        if one.aggregate == "share":
            return float(sum(known <= moment for known in self.known[first:end])) / float(max(count, 1))
        values = self.values[first:end]
        if one.aggregate == "max":
            return max(values) / float(one.scale)
        total = float(sum(values))
        if one.aggregate == "mean":
            return total / count / one.scale
        squares = float(sum(value * value for value in values))
        return sqrt(max(squares - total * total / count, 0.0) / max(count - 1.0, 1.0)) / one.scale

    def _place(self, micros: int, row_id: int) -> int:
        first, end = bisect_left(self.micros, micros), bisect_right(self.micros, micros)
        return bisect_left(self.ids, row_id, first, end)

    def _columns(self) -> tuple[array[int], ...]:
        return self.micros, self.ids, self.values, self.known
