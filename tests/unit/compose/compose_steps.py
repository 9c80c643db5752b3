"""Small steps for the tests of compositions."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.compose.batch import Batch, from_records
from models.compose.budget import Estimate
from models.compose.call import Call, new_call
from models.compose.fields import Column, fields
from models.compose.outcome import Outcome
from models.compose.step import FREE, Leaf, Step

ROW = fields("Row", {"x": "number"})
ANSWER = {"answer": "text", "confidence": "number"}


def number_step(name: str, function: Callable[[Column], Column], *, takes: str = "x", gives: str = "y") -> Leaf:
    """Build a step of one number to another."""
    return Leaf(
        name,
        fields(f"{name}'s input", {takes: "number"}),
        fields(f"{name}'s output", {gives: "number"}),
        lambda **columns: {gives: function(columns[takes])},
    )


def answering(
    name: str,
    confidence: Callable[[Column], Column] = lambda x: x,
    *,
    raises: Callable[[Column], bool] = lambda _: False,
    cost: Estimate = FREE,
    **more: Any,
) -> Leaf:
    """Build a step that answers with its own name, as sure as `confidence` says; it raises where `raises` says so."""

    def answer(x: Column) -> Mapping[str, Column]:
        if raises(x):
            raise ValueError(f"{name} cannot take {x.tolist()}")
        names = np.empty(x.size, dtype=object)
        names[:] = name
        return {"answer": names, "confidence": np.asarray(confidence(x), dtype=np.float64)}

    return Leaf(name, ROW, fields("Answer", ANSWER), answer, cost=cost, **more)


def rows(*values: float) -> Batch:
    """Build records of one number."""
    return from_records([{"x": value} for value in values], ROW)


def answers(step: Step, *values: float, call: Call | None = None) -> tuple[list[Any], Outcome]:
    """Return for each value the record that the step gives, or the kind of its failure; and the whole outcome."""
    found = step.run(rows(*values), call or new_call())
    shown: list[dict[str, Any] | str] = [
        found.failures[row].kind if row in found.failures else "" for row in range(found.n)
    ]
    for place, record in zip(found.places(), found.batch.records(), strict=True):
        shown[int(place)] = record
    return shown, found
