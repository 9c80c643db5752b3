"""Steps of which one answers each record, and their answers put together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.compose.batch import Batch, Rows
from models.compose.call import Call
from models.compose.checking import check_covers, check_names, union_of_inputs
from models.compose.fields import Column, Fields, fields
from models.compose.outcome import Failure, Outcome, joined, moved
from models.compose.step import Step


class Alternatives(Step):
    """Steps of which one answers each record. The field `<name>_by` names the step that answered."""

    def __init__(self, name: str, steps: Sequence[Step], decides: Mapping[str, str] | None = None) -> None:
        """Put steps together.

        Args:
            name: of the composition.
            steps: each gives at least the answer of the first.
            decides: fields of the record, with their types, that it looks at itself.

        Raises:
            TesseraError: contracts disagree.
        """
        self.name = name
        self._steps = tuple(steps)
        check_names(self)
        self.takes = fields(f"{name}'s input", decides or {})
        self.takes = union_of_inputs(name, [self, *steps])
        self._answer = steps[0].answer
        for step in steps[1:]:
            check_covers(name, self._answer, step)
        self.gives = self._answer.plus(fields("By", {f"{name}_by": "text"}), f"{name}'s output")

    @property
    def answer(self) -> Fields:
        """Fields of an answer, without the name of the step that gave it."""
        return self._answer

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps, in order."""
        return self._steps

    def answers(self, n: int) -> "Answers":
        """Begin without answers to `n` records."""
        return Answers(self._answer, f"{self.name}_by", n)


class Asked(NamedTuple):
    """Places of the records that a step answered and failed for, and its answers."""

    kept: Rows
    lost: Rows
    batch: Batch


class Answers:
    """Values of each record, from the step that answered last, with notes of what was made good.

    Attributes:
        answered: True where a record has an answer.
        failures: place -> failure of the step that was asked last, where it failed.
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
        self.failures: dict[int, Failure] = {}

    def ask(self, step: Step, places: Rows, batch: Batch, call: Call, *, noted: bool = True) -> Asked:
        """Run a step on the records at `places` of the whole batch, and take its answers, as `take`."""
        part = batch if places.size == self._n else batch.take(places)
        return self.take(step, places, step.run(part, call), noted=noted)

    def take(self, step: Step, places: Rows, found: Outcome, *, noted: bool = True) -> Asked:
        """Take the outcome of a step that was run on the records at `places`.

        Where `noted`, the records that it failed for have a note: another step is to make its failure good.
        """
        lost = {int(places[row]): failure for row, failure in found.failures.items()}
        self.failures.update(lost)
        notes = {place: (failure,) for place, failure in lost.items()} if noted else {}
        self._notes = joined(self._notes, notes, moved(found.notes, places))
        kept = places if found.rows is None else places[found.rows]
        self.put(step.name, kept, found.batch)
        return Asked(kept, np.fromiter(lost, dtype=np.int64, count=len(lost)), found.batch)

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

    def outcome(self) -> Outcome:
        """Return the outcome; a record without an answer has the failure of the step that was asked last."""
        columns = {**self._columns, self._by: self._names}
        if self.answered.all():
            return Outcome(Batch(columns, self._n), self._n, None, {}, self._notes)
        rows = np.flatnonzero(self.answered)
        lost = {int(row): self.failures[int(row)] for row in np.flatnonzero(~self.answered)}
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
