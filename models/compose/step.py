"""The interface of every step, and a function as a step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from opentelemetry import trace

from models.compose.background import Background
from models.compose.batch import Batch
from models.compose.budget import Estimate
from models.compose.cache import keys_of, read, write
from models.compose.call import Call, StepRun
from models.compose.fields import Column, Fields
from models.compose.outcome import Failure, Outcome, failed, put_together
from models.compose.tracing import started_span
from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of

#: Cost of a step that takes next to no time and no money.
FREE = Estimate()
#: Characters of a failure's reason.
_REASON = 300


class Step(ABC):
    """A part of a composition: a leaf, or steps put together.

    Attributes:
        name: unique in a composition.
        takes: fields that it needs; a record may have more.
        gives: fields that it adds.
        estimate: expected cost.
        steps: the steps that it is made of.
    """

    name: str
    takes: Fields
    gives: Fields

    @property
    @abstractmethod
    def estimate(self) -> Estimate:
        """Expected cost."""

    @property
    def answer(self) -> Fields:
        """Fields that a step in its place must give, too: all but those that only name the step that answered."""
        return self.gives

    @property
    def steps(self) -> "tuple[Step, ...]":
        """Steps that it is made of; none of a leaf."""
        return ()

    @property
    def blocking(self) -> bool:
        """True if it waits for others, so that it is worth a thread of its own."""
        return any(step.blocking for step in self.steps)

    @abstractmethod
    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record. Raises nothing that a record or a part could cause."""


#: Takes the columns of `takes` by name, gives those of `gives`.
Function = Callable[..., Mapping[str, Column]]


@dataclass(frozen=True, eq=False)
class Leaf(Step):
    """A function as a step.

    Attributes:
        function: called with a column for each field of `takes` (and with `call=` where `wants_call`).
        cost: expected cost.
        version: of the function and all that it reads; a part of the cache's key.
        cached: whether equal content of an equal version gives equal values, so that they can be kept.
        waits: whether it waits for others (a network): it runs in a thread of its own and is given up when it is late.
        timeout_ms: wall time after which it is given up, ms; for `waits` only. None: the deadline of the call.
        wants_call: whether the function takes the call, e.g. to settle what it spent.
    """

    name: str
    takes: Fields
    gives: Fields
    function: Function
    cost: Estimate = FREE
    version: str = ""
    cached: bool = False
    waits: bool = False
    timeout_ms: float | None = None
    wants_call: bool = False

    def __post_init__(self) -> None:
        if self.cached and not self.version:
            raise TesseraError(
                f"Step {self.name!r} is cached and has no version.",
                expected="a version that changes with the function and all that it reads",
                todo="Give it one, e.g. the digest of its model.",
            )

    @property
    def estimate(self) -> Estimate:
        """Expected cost."""
        return self.cost

    @property
    def blocking(self) -> bool:
        """True if it waits for others."""
        return self.waits

    def run(self, batch: Batch, call: Call) -> Outcome:
        """Return the outcome of each record; values of the cache cost nothing."""
        span = started_span(self.name)
        if span is None:
            return self._logged(batch, call)[0]
        with trace.use_span(span, end_on_exit=True):
            found, run = self._logged(batch, call)
            numbers = {"records": run.n, "failed": run.failed, "cached": run.cached, "calls": run.calls}
            for name, value in (numbers | {"money_eur": run.money_eur}).items():
                span.set_attribute(f"tessera.{name}", value)
            if run.failed:
                span.set_status(trace.StatusCode.ERROR, str(next(iter(found.failures.values()))))
            return found

    def _logged(self, batch: Batch, call: Call) -> tuple[Outcome, StepRun]:
        begin = call.spending.elapsed_ms()
        if self.cached and call.cache is not None:
            found, paid, cached = self._with_cache(batch, call)
        else:
            (found, paid), cached = self._within_budget(batch, call), 0
        took = call.spending.elapsed_ms() - begin
        output = found.batch if call.keep_outputs else None
        money, calls = paid * self.cost.row_eur, paid * self.cost.row_calls
        named = (batch.columns.get(call.key), found) if call.keep_outputs and call.key else (None, None)
        run = StepRun(self.name, batch.n, len(found.failures), cached, begin, took, money, calls, output, *named)
        call.log.append(run)
        return found, run

    def _with_cache(self, batch: Batch, call: Call) -> tuple[Outcome, int, int]:
        """Return the outcome, and how many records were paid for and how many came from the cache."""
        cache = call.cache
        assert cache is not None  # noqa: S101 - for the type checker
        keys = keys_of(f"{self.name}\0{self.version}", batch, self.takes)
        known = read(cache, keys, self.gives)
        missing = np.array([row for row, key in enumerate(keys) if key not in known], dtype=np.int64)
        if missing.size == 0:
            return Outcome(_filled(keys, known, self.gives), batch.n), 0, batch.n
        # A content that comes twice is asked for once.
        first = {keys[row]: row for row in reversed(missing)}
        asked = np.array(sorted(first.values()), dtype=np.int64)
        found, paid = self._within_budget(batch.take(asked), call)
        fresh = dict(zip((keys[row] for row in asked[found.places()]), found.batch.records(), strict=True))
        write(cache, fresh)
        known = {**known, **fresh}
        failures = {keys[int(asked[place])]: failure for place, failure in found.failures.items()}
        rows = np.array([row for row, key in enumerate(keys) if key in known], dtype=np.int64)
        lost = {row: failures[key] for row, key in enumerate(keys) if key not in known}
        values = _filled([keys[row] for row in rows], known, self.gives)
        return Outcome(values, batch.n, rows if lost else None, lost), paid, batch.n - missing.size

    def _within_budget(self, batch: Batch, call: Call) -> tuple[Outcome, int]:
        """Return the outcome, and how many records were paid for."""
        why = call.spending.refusal(self.cost, batch.n)
        if why:
            return failed(batch.n, Failure(self.name, "refused", why)), 0
        paid = call.spending.reserve(self.cost, batch.n)
        if paid == batch.n:
            return self._checked(batch, call), paid
        refused = Failure(self.name, "refused", call.spending.shortage(self.cost))
        if paid == 0:
            return failed(batch.n, refused), 0
        found = self._checked(batch.take(np.arange(paid)), call)
        failures = {**found.failures, **dict.fromkeys(range(paid, batch.n), refused)}
        return Outcome(found.batch, batch.n, found.places(), failures), paid

    def _checked(self, batch: Batch, call: Call) -> Outcome:
        values, failure = self._values(batch, call)
        if failure is None:
            return kept(self.name, self.gives, values, batch.n)
        if failure.kind == "raised" and batch.n > 1 and not (self.cost.row_eur or self.cost.row_calls):
            return self._halves(batch, call)
        return failed(batch.n, failure)

    def _halves(self, batch: Batch, call: Call) -> Outcome:
        """Run each half by itself: one record that the function cannot take costs no other one its answer."""
        middle = batch.n // 2
        rows = np.arange(batch.n)
        return put_together([(part, self._checked(batch.take(part), call)) for part in (rows[:middle], rows[middle:])])

    def _values(self, batch: Batch, call: Call) -> tuple[Mapping[str, Column], Failure | None]:
        arguments: dict[str, Any] = {name: batch.columns[name] for name in self.takes.types}
        if self.wants_call:
            arguments["call"] = call
        found: list[Any] = []
        error = failure_of(lambda: found.append(self._called(arguments, call)))
        if self.waits and isinstance(error, TimeoutError):
            return {}, Failure(self.name, "late", str(error))
        if error is not None:
            return {}, Failure(self.name, "raised", reason_of(error)[:_REASON])
        if not isinstance(found[0], Mapping):
            return {}, Failure(self.name, "garbage", f"it gave a {type(found[0]).__name__} instead of columns")
        return found[0], None

    def _called(self, arguments: Mapping[str, Any], call: Call) -> Any:
        if not self.waits:
            return self.function(**arguments)
        limits = [limit for limit in (self.timeout_ms, call.spending.remaining_ms()) if limit is not None]
        return Background(lambda: self.function(**arguments)).result(min(limits) / 1000 if limits else None)


def kept(step: str, gives: Fields, values: Mapping[str, Column], n: int) -> Outcome:
    """Return the values that are those of the contract; each other record fails as garbage of `step`."""
    bad = None
    for name, kind in gives.types.items():
        problem = kind.problem(values[name], n) if name in values else "is missing"
        if problem:
            return failed(n, Failure(step, "garbage", f"{name!r}, which is {kind}, {problem}"))
        wrong = kind.wrong(values[name])
        if wrong is not None:
            bad = wrong if bad is None else bad | wrong
    whole = Batch({name: values[name] for name in gives.types}, n)
    if bad is None:
        return Outcome(whole, n)
    rows = np.flatnonzero(~bad)
    failure = Failure(step, "garbage", f"a value is missing or of another type than {gives.name}")
    return Outcome(whole.take(rows), n, rows, {int(row): failure for row in np.flatnonzero(bad)})


def _filled(keys: list[str], known: Mapping[str, Mapping[str, Any]], gives: Fields) -> Batch:
    columns = {name: kind.column([known[key][name] for key in keys]) for name, kind in gives.types.items()}
    return Batch(columns, len(keys))
