"""Answers of several steps about the records of one batch, put together."""

from collections.abc import Mapping

import numpy as np

from models.compose.batch import Batch, Rows
from models.compose.fields import Column, Fields
from models.compose.outcome import Failure, Outcome, joined


class Answers:
    """Values of each record, from the step that answered last, with notes of what was made good.

    Attributes:
        answered: True where a record has an answer.
    """

    def __init__(self, gives: Fields, by: str, n: int) -> None:
        """Begin without answers.

        Args:
            gives: fields of an answer.
            by: field that names the step that answered.
            n: number of records.
        """
        self._gives = gives
        self._by = by
        self._n = n
        self._columns: dict[str, Column] = {}
        self._names: Column = np.empty(n, dtype=object)
        self._notes: dict[int, tuple[Failure, ...]] = {}
        self.answered = np.zeros(n, dtype=np.bool_)

    def put(self, step: str, places: Rows, batch: Batch) -> None:
        """Take the answers of a step to the records at `places`."""
        if not places.size:
            return
        if places.size == self._n and not self._columns:
            self._columns = {name: batch.columns[name] for name in self._gives.types}
            self._names[:] = step
        else:
            self._own(batch)
            for name, column in self._columns.items():
                column[places] = batch.columns[name]
            self._names[places] = step
        self.answered[places] = True

    def note(self, notes: Mapping[int, tuple[Failure, ...]]) -> None:
        """Keep failures that another step makes good, or has made good."""
        self._notes = joined(self._notes, notes)

    def outcome(self, failures: Mapping[int, Failure]) -> Outcome:
        """Return the outcome; `failures` say why a record has no answer."""
        columns = {**self._columns, self._by: self._names}
        if self.answered.all():
            return Outcome(Batch(columns, self._n), self._n, None, {}, self._notes)
        rows = np.flatnonzero(self.answered)
        lost = {int(row): failures[int(row)] for row in np.flatnonzero(~self.answered)}
        if not rows.size:
            return Outcome(Batch({}, 0), self._n, rows, lost, self._notes)
        return Outcome(Batch(columns, self._n).take(rows), self._n, rows, lost, self._notes)

    def _own(self, batch: Batch) -> None:
        """Make columns that can be written to: those of a step belong to it."""
        for name, kind in self._gives.types.items():
            column = self._columns.get(name)
            if column is None:
                shape = (self._n, *batch.columns[name].shape[1:])
                dtype = np.dtype(object) if kind.holds_objects else batch.columns[name].dtype
                self._columns[name] = np.zeros(shape, dtype=dtype)
            elif kind.holds_objects and column.dtype.kind != "O":
                self._columns[name] = column.astype(object)
            else:
                self._columns[name] = column.copy()
