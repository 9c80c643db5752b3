"""Cheap steps first, dear ones where a rule asks for them; or one step of several, by a field's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.compose.answers import Alternatives
from models.compose.batch import Batch
from models.compose.budget import Estimate
from models.compose.call import Call
from models.compose.checking import check_covers
from models.compose.fields import Fields, fields
from models.compose.outcome import Failure, Outcome
from models.compose.step import Step
from models.errors import TesseraError


class Escalation(Protocol):
    """A rule that says which answers are not good enough."""

    @property
    def takes(self) -> Fields:
        """Fields of an answer that it looks at."""
        ...

    def escalates(self, place: int, answers: Batch) -> NDArray[np.bool_]:
        """Return True for each answer of the step at `place` (0 is the cheapest) that the next step is to give."""
        ...


@dataclass(frozen=True)
class Below:
    """Escalates where a number of the answer is below a threshold, e.g. its confidence.

    Attributes:
        field: the number.
        thresholds: one for each step but the last.
    """

    field: str
    thresholds: tuple[float, ...]

    @property
    def takes(self) -> Fields:
        """The number."""
        return fields("Escalation", {self.field: "number"})

    def escalates(self, place: int, answers: Batch) -> NDArray[np.bool_]:
        """Return True where the number is below the threshold of the step at `place`."""
        return np.asarray(answers[self.field] < self.thresholds[place])


class Router(Alternatives):
    """Steps of growing cost that give the same fields. The next one is asked where the rule escalates, or one failed.

    Where the dearer step fails (no budget, too late, broken), the cheaper answer is kept, and the record has a note.
    The field `<name>_by` names the step that answered.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        rule: Escalation,
        *,
        shares: Sequence[float] | None = None,
        keeps_cheaper: bool = True,
    ) -> None:
        """Put steps together.

        Args:
            name: of the router.
            steps: the cheapest first; each gives at least the fields of the first.
            rule: says which answers are escalated.
            shares: expected share of records, 0 to 1, that each step but the first is asked for; from a calibration.
            keeps_cheaper: whether the cheaper answer is kept where the dearer step fails; else the record fails.

        Raises:
            TesseraError: contracts disagree, or thresholds or shares are not one for each step but the first.
        """
        if len(steps) < 2:
            raise TesseraError(f"{name} has {len(steps)} step.", expected="two or more", todo="Name a dearer one.")
        super().__init__(name, steps)
        self._rule = rule
        self._keeps_cheaper = keeps_cheaper
        self._shares = _one_for_each(name, "shares", shares, len(steps) - 1) or (1.0,) * (len(steps) - 1)
        _one_for_each(name, "thresholds", getattr(rule, "thresholds", None), len(steps) - 1)
        check_covers(name, rule.takes, steps[0])

    @property
    def rule(self) -> Escalation:
        """The rule that escalates."""
        return self._rule

    @property
    def shares(self) -> tuple[float, ...]:
        """Expected share of records that each step but the first is asked for."""
        return self._shares

    @property
    def estimate(self) -> Estimate:
        """The first step, and each other one for its share."""
        found = self._steps[0].estimate
        for step, share in zip(self._steps[1:], self._shares, strict=True):
            found = found.plus(step.estimate, share)
        return found

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record."""
        first = self._steps[0].run(batch, call)
        if first.rows is None and not self._rule.escalates(0, first.batch).any():
            by = np.full(batch.n, self._steps[0].name, dtype=object)
            columns = {name: first.batch.columns[name] for name in self._answer.types}
            return Outcome(Batch({**columns, f"{self.name}_by": by}, batch.n), batch.n, None, {}, first.notes)
        return self._escalated(batch, call, first)

    def _escalated(self, batch: Batch, call: Call, first: Outcome) -> Outcome:
        """Return the outcome where the cheapest step, which gave `first`, is not good enough for every record."""
        answers, places = self.answers(batch.n), np.arange(batch.n)
        asked = answers.take(self._steps[0], places, first)
        for place, step in enumerate(self._steps[1:]):
            more = self._rule.escalates(place, asked.batch) if asked.kept.size else np.empty(0, dtype=np.bool_)
            places = np.sort(np.concatenate([asked.kept[more], asked.lost]))
            if not self._keeps_cheaper:
                answers.answered[places] = False
            if places.size == 0:
                break
            asked = answers.ask(step, places, batch, call)
        return answers.outcome()


class Switch(Alternatives):
    """One step of several, by the value of a text field. The field `<name>_by` names the step that answered."""

    def __init__(self, name: str, field: str, routes: Mapping[str, Step], *, otherwise: Step | None = None) -> None:
        """Put steps together.

        Args:
            name: of the switch.
            field: text field of the record.
            routes: value -> step; each gives at least the fields of the first.
            otherwise: step for any other value; None: such a record fails.

        Raises:
            TesseraError: contracts disagree.
        """
        if not routes:
            raise TesseraError(f"{name} has no routes.", expected="one or more", todo="Name them.")
        self._field = field
        self._routes = dict(routes)
        self._otherwise = otherwise
        # A step of several routes is listed once.
        super().__init__(name, list(dict.fromkeys(self.routes.values())), {field: "text"})

    @property
    def routes(self) -> Mapping[str, Step]:
        """Value -> step; the step for any other value is under `otherwise`."""
        return {**self._routes, **({"otherwise": self._otherwise} if self._otherwise else {})}

    @property
    def estimate(self) -> Estimate:
        """That of its dearest step."""
        return max((step.estimate for step in self.steps), key=lambda one: (one.row_eur, one.latency_ms(1)))

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record."""
        answers, values = self.answers(batch.n), batch[self._field]
        for value in dict.fromkeys(values):
            places = np.array([row for row, one in enumerate(values) if one == value], dtype=np.int64)
            step = self._routes.get(value, self._otherwise)
            if step is None:
                why = f"{self._field} is {value!r}, for which there is no route"
                answers.failures.update(dict.fromkeys(places.tolist(), Failure(self.name, "missing", why)))
            else:
                answers.ask(step, places, batch, call, noted=False)
        return answers.outcome()


def _one_for_each(name: str, what: str, given: Sequence[float] | None, n: int) -> tuple[float, ...]:
    if given is not None and len(given) != n:
        raise TesseraError(
            f"{name} has {len(given)} {what}.",
            expected=f"{n}: one for each step but {'the last' if what == 'thresholds' else 'the first'}",
            todo=f"Correct its {what}.",
        )
    return tuple(given or ())
