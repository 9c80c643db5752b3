"""The next step where one fails, and a fixed answer at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.compose.answers import Alternatives
from models.compose.batch import Batch
from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.checking import check_values
from models.compose.outcome import Outcome
from models.compose.step import Step
from models.errors import TesseraError


class Fallback(Alternatives):
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
        super().__init__(name, steps)
        if default is not None:
            check_values(f"The default of {name}", self.answer, default)
        self._default = default

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
        answers, places = self.answers(batch.n), np.arange(batch.n)
        for step in self._steps:
            places = answers.ask(step, places, batch, call).lost
            if places.size == 0:
                return answers.outcome()
        if self._default is not None:
            columns = {
                name: kind.column([self._default[name]] * places.size) for name, kind in self.answer.types.items()
            }
            answers.put("default", places, Batch(columns, places.size))
        return answers.outcome()
