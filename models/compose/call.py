"""One call of a composition: its budget, its cache, and a log of the steps that ran."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from models.compose.batch import Batch
from models.compose.budget import Budget, Spending
from models.compose.deadline import within_deadline
from models.compose.fields import Column
from models.compose.outcome import Outcome


class Cache(Protocol):
    """Values that a step of a version gave for a content, by key."""

    def get(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the values of the keys that it holds: field -> value."""
        ...

    def put(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep values by key."""
        ...


class StepRun(NamedTuple):
    """One run of a step.

    Attributes:
        step: its name.
        n: records that it was given.
        failed: records that it gave nothing for.
        cached: records whose values came from the cache.
        start_ms: wall time from the start of the call to its start, ms.
        ms: wall time that it took, ms.
        money_eur: reserved for it, EUR.
        calls: calls to others, reserved for it.
        output: values that it gave, if the call keeps them.
        keys: value of the call's key of each record that it was given, shape `(n,)`, and
        outcome: what became of each of them; both only where the call keeps outputs and names a key.
    """

    step: str
    n: int
    failed: int
    cached: int
    start_ms: float
    ms: float
    money_eur: float
    calls: float
    output: Batch | None = None
    keys: Column | None = None
    outcome: Outcome | None = None


@dataclass
class Call:
    """Context of a request through all steps.

    Attributes:
        spending: what is left of the budget.
        cache: of steps that allow it; None: nothing is kept.
        keep_outputs: whether the log holds the values that each step gave.
        key: field of the records that names each one; no step needs to take it. "": records are not named.
        log: every run of a step, in the order in which they ended.
    """

    spending: Spending
    cache: Cache | None = None
    keep_outputs: bool = False
    key: str = ""
    log: list[StepRun] = field(default_factory=list[StepRun])


def new_call(
    budget: Budget | None = None, *, cache: Cache | None = None, keep_outputs: bool = False, key: str = ""
) -> Call:
    """Start a call with a budget; without one, money and calls have no limit, and time has that of the request."""
    return Call(within_deadline(budget or Budget()).start(), cache, keep_outputs, key)
