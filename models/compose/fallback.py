"""The next step where one fails, and a fixed answer at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.compose.answers import Answers
from models.compose.batch import Batch
from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.checking import check_covers, check_names, check_values, union_of_inputs
from models.compose.fields import Fields, fields
from models.compose.outcome import Failure, Outcome, moved
from models.compose.step import Step
from models.errors import TesseraError


class Fallback(Step):
    """Steps that give the same fields; each is asked for the records that those before it failed for.

    A record that was not answered by the first step has a note. The field `<name>_by` names the step that answered.
    """

    def __init__(self, name: str, steps: Sequence[Step], *, default: Mapping[str, Any] | None = None) -> None:
        """Put steps together.

        Args:
            name: of the fallback.
            steps: the best first; each gives at least the fields of the first.
            default: answer where all fail, answered by `default`; None: the record fails.

        Raises:
            TesseraError: contracts disagree.
        """
        if len(steps) + (default is not None) < 2:
            raise TesseraError(
                f"{name} has nothing to fall back to.",
                expected="a second step or a default",
                todo="Name one.",
            )
        self.name = name
        self._steps = tuple(steps)
        if default is not None:
            check_values(f"The default of {name}", steps[0].answer, default)
        self._default = default
        check_names(self)
        self.takes = union_of_inputs(name, steps)
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
        """Its steps, the best first."""
        return self._steps

    @property
    def default(self) -> Mapping[str, Any] | None:
        """Answer where all fail."""
        return self._default

    @property
    def estimate(self) -> Estimate:
        """That of the first step: the others are for failures."""
        return self._steps[0].estimate

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record."""
        answers = Answers(self._answer, f"{self.name}_by", batch.n)
        failures: dict[int, Failure] = {}
        places = np.arange(batch.n)
        for step in self._steps:
            found = step.run(batch if places.size == batch.n else batch.take(places), call)
            lost = {int(places[row]): failure for row, failure in found.failures.items()}
            failures.update(lost)
            answers.note({row: (failure,) for row, failure in lost.items()})
            kept = places if found.rows is None else places[found.rows]
            answers.note(moved(found.notes, places))
            answers.put(step.name, kept, found.batch)
            places = np.fromiter(lost, dtype=np.int64, count=len(lost))
            if places.size == 0:
                return answers.outcome(failures)
        if self._default is not None:
            columns = {
                name: kind.column([self._default[name]] * places.size) for name, kind in self._answer.types.items()
            }
            answers.put("default", places, Batch(columns, places.size))
        return answers.outcome(failures)
