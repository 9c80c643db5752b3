"""The recent rows of one key, and the windows of `models.features.windows` evaluated over them, one event at a time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Sequence
from math import sqrt
from struct import pack, unpack_from

from models.features.windows import MICROS_PER_DAY, Window

#: `known` of a row about which nothing was said: later than any statement.
NOT_KNOWN = 2**62
_INT = 8  # bytes


class KeyHistory:
    """Rows of one key, ascending by (moment, id): what its windows can still see, as packed integers.

    Attributes:
        micros: moments, µs since 1970, UTC.
        ids: unique.
        values: what is aggregated, e.g. cents.
        known: the earliest statement about the row (`models.features.label_history`); `NOT_KNOWN` if there is none.
        later_micros: moments of rows of which more was said, once for each later statement.
        later_ids: ids of these rows.
        later_known: the later statements, ascending by (moment, id, statement).
    """

    __slots__ = ("ids", "known", "later_ids", "later_known", "later_micros", "micros", "values")

    def __init__(self) -> None:
        self.micros, self.ids, self.values, self.known = (array("q") for _ in range(4))
        self.later_micros, self.later_ids, self.later_known = (array("q") for _ in range(3))

    @classmethod
    def from_bytes(cls, packed: bytes) -> KeyHistory:
        """Return the history that `to_bytes` packed."""
        history = cls()
        (later,) = unpack_from("=q", packed, len(packed) - _INT)
        rows = (len(packed) - _INT * (1 + 3 * later)) // (4 * _INT)
        start = 0
        for columns, count in ((history._columns(), rows), (history._later(), later)):
            for column in columns:
                column.frombytes(packed[start : start + count * _INT])
                start += count * _INT
        return history

    def to_bytes(self) -> bytes:
        """32 bytes per row, 24 per later statement, and 8, in the byte order of this machine; moments first."""
        columns = b"".join(column.tobytes() for column in (*self._columns(), *self._later()))
        return columns + pack("=q", len(self.later_ids))

    def insert(self, micros: int, row_id: int, value: int) -> int:
        """Return the position of the new row; the caller knows that its id is new."""
        at = self._place(micros, row_id)
        for column, item in zip(self._columns(), (micros, row_id, value, NOT_KNOWN), strict=True):
            column.insert(at, item)
        return at

    def append(self, *columns: bytes) -> None:
        """Add rows behind the last one, given as the bytes of moments, ids, values and known."""
        for column, packed in zip(self._columns(), columns, strict=True):
            column.frombytes(packed)

    def append_later(self, *columns: bytes) -> None:
        """Add later statements behind the last one, given as the bytes of moments, ids and statements."""
        for column, packed in zip(self._later(), columns, strict=True):
            column.frombytes(packed)

    def add_statement(self, at: int, said: int) -> bool:
        """Add a statement about the row in position `at`; False if it is there already."""
        if said in self._statements(at):
            return False
        said, self.known[at] = sorted((said, self.known[at]))[::-1]
        if said != NOT_KNOWN:
            row = self.micros[at], self.ids[at]
            place = bisect_left(self._rows_of_later(), (*row, said))
            for column, item in zip(self._later(), (*row, said), strict=True):
                column.insert(place, item)
        return True

    def changed_by(self, at: int, said: int) -> tuple[int, int]:
        """Moments (µs, the second excluded) between which a statement would change the label of the row `at`."""
        known = self._statements(at)
        place = bisect_left(known, said)
        before = known[place - 1] & 1 if place else 0
        end = known[place] >> 1 if place < len(known) else NOT_KNOWN
        return (0, 0) if said in known or before == said & 1 else (said >> 1, end)

    def position(self, micros: int, row_id: int) -> int:
        """Return the position of that row.

        Raises:
            KeyError: there is no such row.
        """
        at = self._place(micros, row_id)
        if at == len(self.ids) or (self.micros[at], self.ids[at]) != (micros, row_id):
            raise KeyError(row_id)
        return at

    def drop_before(self, micros: int) -> int:
        """Return number of rows dropped: all that happened before `micros`."""
        end = bisect_left(self.micros, micros)
        for column in self._columns():
            del column[:end]
        later_end = bisect_left(self.later_micros, micros)
        for column in self._later():
            del column[:later_end]
        return end

    def drop_ids(self, ids: Container[int]) -> int:
        """Return number of rows dropped: those with these ids."""
        kept = [at for at, row_id in enumerate(self.ids) if row_id not in ids]
        dropped = len(self.ids) - len(kept)
        later = [at for at, row_id in enumerate(self.later_ids) if row_id not in ids]
        for columns, places in ((self._columns(), kept), (self._later(), later)) if dropped else ():
            for column in columns:
                column[:] = array("q", [column[at] for at in places])
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
            return float(self._frauds(first, end, moment)) / float(max(count, 1))
        values = self.values[first:end]
        if one.aggregate == "max":
            return max(values) / float(one.scale)
        total = float(sum(values))
        if one.aggregate == "mean":
            return total / count / one.scale
        squares = float(sum(value * value for value in values))
        return sqrt(max(squares - total * total / count, 0.0) / max(count - 1.0, 1.0)) / one.scale

    def _frauds(self, first: int, end: int, moment: int) -> int:
        """Return number of the rows in positions `[first, end)` that were known to be fraud at a moment."""
        last = 2 * moment + 1
        frauds = sum(known & 1 for known in self.known[first:end] if known <= last)
        if self.later_ids and first < end:
            start = bisect_left(self.later_micros, self.micros[first])
            stop = bisect_right(self.later_micros, self.micros[end - 1])
            rows = dict.fromkeys(zip(self.later_micros[start:stop], self.later_ids[start:stop], strict=True))
            places = (self.position(*row) for row in rows)
            frauds += sum(self._correction(at, last) for at in places if first <= at < end)
        return frauds

    def _correction(self, at: int, last: int) -> int:
        """Return the label of row `at` by the statements up to `last`, minus the label of its first statement."""
        if self.known[at] > last:
            return 0
        return (max(one for one in self._statements(at) if one <= last) & 1) - (self.known[at] & 1)

    def _statements(self, at: int) -> list[int]:
        """Return the statements about the row in position `at`, ascending."""
        if self.known[at] == NOT_KNOWN:
            return []
        row = self.micros[at], self.ids[at]
        first = bisect_left(self.later_micros, row[0])
        end = bisect_right(self.later_micros, row[0])
        later = zip(self.later_ids[first:end], self.later_known[first:end], strict=True)
        return [self.known[at], *(said for row_id, said in later if row_id == row[1])]

    def _rows_of_later(self) -> list[tuple[int, ...]]:
        return list(zip(*self._later(), strict=True))

    def _place(self, micros: int, row_id: int) -> int:
        first, end = bisect_left(self.micros, micros), bisect_right(self.micros, micros)
        return bisect_left(self.ids, row_id, first, end)

    def _columns(self) -> tuple[array[int], ...]:
        return self.micros, self.ids, self.values, self.known

    def _later(self) -> tuple[array[int], ...]:
        return self.later_micros, self.later_ids, self.later_known
