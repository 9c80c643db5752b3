"""Steps one after the other."""

from collections.abc import Mapping
from collections.abc import Sequence as Steps
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.compose.batch import Batch
from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.checking import agreed, check_names, check_values
from models.compose.fields import Fields
from models.compose.outcome import Failure, Outcome, joined, moved
from models.compose.step import Step
from models.errors import TesseraError, choose_from


@dataclass(frozen=True)
class Soft:
    """A step whose failure stops nothing: its fields then have these defaults, and the record carries a note.

    Attributes:
        step: the step.
        defaults: field -> value, for every field that it gives.
    """

    step: Step
    defaults: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_values(f"The soft step {self.step.name!r}", self.step.gives, self.defaults)


class Sequence(Step):
    """Steps one after the other; each takes fields of the record, and those that earlier steps gave.

    A record that a step fails for goes no further, unless the step is soft. No error becomes an input.
    """

    def __init__(self, name: str, steps: Steps[Step | Soft], *, gives: Steps[str] | None = None) -> None:
        """Put steps together.

        Args:
            name: of the sequence.
            steps: in their order; a bare step is hard.
            gives: fields that it gives; all that its steps give by default.

        Raises:
            TesseraError: a step takes what no earlier one gives in that type, or gives what is already there.
        """
        if not steps:
            raise TesseraError(f"{name} has no steps.", expected="one or more", todo="Name them.")
        self.name = name
        self._edges = [(edge.step, edge.defaults) if isinstance(edge, Soft) else (edge, None) for edge in steps]
        check_names(self)
        self.takes, given = agreed(name, [step for step, _ in self._edges])
        chosen = list(given) if gives is None else list(gives)
        self.gives = _only(name, given, chosen)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps, in order."""
        return tuple(step for step, _ in self._edges)

    @property
    def soft(self) -> frozenset[str]:
        """Names of the steps whose failure stops nothing."""
        return frozenset(step.name for step, defaults in self._edges if defaults is not None)

    @property
    def estimate(self) -> Estimate:
        """Sum over the steps."""
        found = Estimate()
        for step in self.steps:
            found = found.plus(step.estimate)
        return found

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record."""
        record, places = batch, None
        failures: dict[int, Failure] = {}
        notes: dict[int, tuple[Failure, ...]] = {}
        for step, defaults in self._edges:
            found = step.run(record, call)
            if defaults is not None and found.failures:
                found = softened(found, step.gives, defaults)
            if found.notes:
                notes = joined(notes, found.notes if places is None else moved(found.notes, places))
            if found.rows is not None:
                before = np.arange(batch.n) if places is None else places
                failures.update({int(before[row]): failure for row, failure in found.failures.items()})
                record, places = record.take(found.rows), before[found.rows]
            record = record.extended(found.batch)
            if record.n == 0:
                return Outcome(Batch({}, 0), batch.n, np.empty(0, dtype=np.int64), failures, notes)
        return Outcome(record.only(self.gives.types), batch.n, places, failures, notes)


def softened(found: Outcome, gives: Fields, defaults: Mapping[str, Any]) -> Outcome:
    """Return the outcome with defaults where the step failed, and a note of each failure."""
    rows = found.places()
    columns = {}
    for name, kind in gives.types.items():
        column = kind.column([defaults[name]] * found.n)
        if rows.size:
            column[rows] = found.batch[name]
        columns[name] = column
    notes = {row: (failure,) for row, failure in found.failures.items()}
    return Outcome(Batch(columns, found.n), found.n, None, {}, joined(moved(found.notes, np.arange(found.n)), notes))


def _only(name: str, given: Fields, chosen: Steps[str]) -> Fields:
    unknown = [field for field in chosen if field not in given]
    if unknown:
        raise TesseraError(
            f"{name} gives {unknown[0]!r}, which none of its steps gives.",
            expected=choose_from(unknown[0], given.types),
            todo="Correct `gives`.",
        )
    return given.only(chosen)
