"""Models of the registry, open for requests: a function of named columns, with the types of its inputs and outputs.

The champion answers where no version is asked for. It predicts as the night does: the same columns in the same types.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from assets.stages.followed import Followed
from assets.stages.operation import NotServed, NotThere, WrongRequest
from assets.stages.promotion import Verified, VerifiedComposition, newest_usable
from models.compose.deadline import DeadlinePassed, without_deadline
from models.compose.fields import Column, FieldType
from models.errors import TesseraError, choose_from
from models.gates.closing import failure_of, reason_of
from models.ledger import refusal
from models.tensors import Datatype, Tensor, tensor_of

if TYPE_CHECKING:
    from assets.stages.scoring_task import ComposedScoring, ScoringTask
    from models.scoring.output import OutputColumn, OutputContract, OutputType
    from models.service import ServiceSettings
    from models.settings import Settings
    from models.training.model_package import LoadedModel
    from resources.registry.port import Registry

T = TypeVar("T")
#: Column of each output by name: numbers in the type of its tensor, or objects.
Predicted = Mapping[str, Column]
#: Columns by name, all of the same number of rows -> outputs.
Predictor = Callable[[Mapping[str, Column], int], Predicted]

_SHOWN = 200
_NUMBER, _TEXT = FieldType("number", nullable=True), FieldType("text", nullable=True)
_DATATYPES: Mapping[OutputType, Datatype] = {
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FP32",
    "float64": "FP64",
    "bool": "BOOL",
}


@dataclass(frozen=True)
class OpenModel:
    """One version of a model.

    Attributes:
        version: in the registry.
        platform: kind of the model.
        sha256: of its package.
        inputs: type of each column that it needs.
        outputs: what it gives for each row.
        predict: answers rows; the same row gets the same values, whatever rows it comes with.
        is_local: what it takes is CPU of its thread alone; it waits for no process and no server.
    """

    version: str
    platform: str
    sha256: str
    inputs: Mapping[str, FieldType]
    outputs: Sequence[Tensor]
    predict: Predictor
    is_local: bool = False


class VersionsAsked(Generic[T]):
    """Versions that requests name, each opened when it is first asked for; asked by one thread.

    Args:
        registry: of the versions.
        app: the application.
        opened: opens a version.
        settings: how many are open at one time, where the one that was not asked for longest makes room; and after how
            many seconds an open version is looked up again, since it may have been withdrawn.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        registry: Registry,
        app: str,
        opened: Callable[[str], T],
        settings: ServiceSettings,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._registry, self._app, self._opened = registry, app, opened
        self._most, self._look_seconds, self._clock = settings.open_versions, settings.champion_seconds, clock
        self._open = OrderedDict[str, tuple[float, T]]()

    def at(self, version: str) -> T:
        """Return a version.

        Raises:
            NotThere: there is none of this name.
            NotServed: it may not answer: the gate stopped it, or never evaluated it.
            TesseraError: its files are not the registered ones, or it cannot be used.
        """
        looked_at, found = self._open.pop(version, (float("-inf"), None))
        with without_deadline():
            if self._clock() - looked_at >= self._look_seconds:
                looked_at = self._clock()
                check_served(self._registry, self._app, version)
            if found is None:
                found = self._opened(version)
        self._open[version] = looked_at, found
        while len(self._open) > self._most:
            self._open.popitem(last=False)
        return found


def check_served(registry: Registry, app: str, version: str) -> None:
    """Accept a version that passed the gate, or that was made champion by hand.

    Raises:
        NotThere: there is none of this name.
        NotServed: it may not answer.
    """
    known = {one.version: one for one in registry.versions(app)}
    if version not in known:
        raise NotThere(
            f"{app} has no version {version[:60]!r}.",
            expected=choose_from(version, known),
            todo=f"Name another one, or none for the champion; `tessera models {app}` lists them.",
        )
    ledger = registry.ledger(app)
    if any(entry.to_version == version for entry in ledger):
        return
    if reason := refusal(ledger, version, action="promote", gate=known[version].tags.get("gate", "")):
        raise NotServed(
            f"Version {version} of {app} does not answer: {reason}.",
            expected="a version that passed the gate, or was champion",
            todo=f"Name another one, or none for the champion; `tessera models {app}` lists them.",
        )


class OpenModels:
    """The models of one application; asked by one thread."""

    def __init__(self, task: ScoringTask, registry: Registry, settings: Settings) -> None:
        self._task, self._registry, self.app = task, registry, task.app.name
        own = settings.service
        self._champion = Followed(lambda: registry.champion(self.app), self._newest, look_seconds=own.champion_seconds)
        self._asked = VersionsAsked(
            registry, self.app, lambda version: open_model(task, task.version(registry, version)), own
        )

    def at(self, version: str | None) -> OpenModel:
        """Return a version; the newest champion that can be used where none is named.

        Raises:
            NotThere: there is no such version, or no champion.
            NotServed: the version may not answer.
            TesseraError: the version cannot be used.
        """
        return self._champion.current() if version is None else self._asked.at(version)

    def open_champion(self) -> OpenModel | None:
        """Return the champion if it is open, and need not be looked up again now."""
        return self._champion.current() if self._champion.is_fresh() else None

    def follow(self) -> None:
        """Look the champion up, and open another one, so that no request waits for that.

        Raises:
            TesseraError: it cannot be opened, and none was before.
        """
        self._champion.look()

    def versions(self) -> list[str]:
        """Return the versions that may answer, newest first."""
        ledger = self._registry.ledger(self.app)
        were = {entry.to_version for entry in ledger}
        return [
            one.version
            for one in self._registry.versions(self.app)
            if one.version in were or not refusal(ledger, one.version, action="promote", gate=one.tags.get("gate", ""))
        ]

    def _newest(self) -> OpenModel:
        if self._registry.champion(self.app) is None:
            raise NotThere(
                f"There is no champion of {self.app}.",
                expected="a version that passed the gate",
                todo=f"Run `tessera run {self.app}_nightly`, which trains one.",
            )
        found, _ = newest_usable(self.app, self._task.champions(self._registry))
        return open_model(self._task, found)


def open_model(task: ScoringTask, found: Verified | VerifiedComposition) -> OpenModel:
    """Return a version that was loaded as a function of named columns."""
    if isinstance(found, Verified):
        return _of_package(task, found.version, found.model)
    assert task.composed is not None  # noqa: S101 - for the type checker: only then a version is a composition
    return _of_composition(task.composed, found)


def _of_package(task: ScoringTask, version: str, model: LoadedModel) -> OpenModel:
    from models.training.golden import GOLDEN
    from models.training.model import is_local

    contract, encoder, predict = task.app.contract, model.encoder, task.predict(model)

    def predicted(columns: Mapping[str, Column], rows: int) -> Predicted:
        with np.errstate(over="ignore"):
            matrix = encoder.of_columns(columns, rows)
        if (large := np.isinf(matrix)).any():
            row, column = (int(one[0]) for one in np.nonzero(large))
            raise WrongRequest(
                f"The input {encoder.feature_names[column]!r} has a number that is too large in row {row}.",
                expected="numbers that a float32 holds",
                todo="Correct it.",
            )
        return _payload(_answered(lambda: predict(matrix)), contract)

    inputs = {**dict.fromkeys(encoder.numeric, _NUMBER), **dict.fromkeys(encoder.categories, _TEXT)}
    known = np.array(json.loads(model.extras[GOLDEN])["rows"][:1], dtype=np.float32)
    given = _payload(predict(known), contract)
    outputs = [Tensor(name, _DATATYPES.get(contract.column(name).type, "BYTES")) for name in given]
    return OpenModel(
        version, f"tessera_{model.model.kind}", model.sha256, inputs, outputs, predicted, is_local(model.model)
    )


def _payload(predicted: Mapping[str, Any], contract: OutputContract) -> dict[str, Column]:
    """Return the predicted payload columns in the contract's types."""
    given = [column for column in contract.payload if column.name in predicted]
    return {column.name: _column(predicted[column.name], column) for column in given}


def _column(values: Any, column: OutputColumn) -> Column:
    """Return one of them: numbers, which a table would only be a way round for, or objects."""
    from models.scoring.batch import payload_array

    if column.is_number and isinstance(values, np.ndarray):
        return values.astype(column.type, copy=False)
    made = payload_array(values, column)
    if column.is_number and not made.null_count:
        return made.to_numpy(zero_copy_only=False)
    found = np.empty(len(made), object)
    found[:] = made.to_pylist()
    return found


def _answered(work: Callable[[], T]) -> T:
    """Return what a model gives; a model of a third party can fail on a row in any way."""
    found: list[T] = []
    error = failure_of(lambda: found.append(work()))
    if error is None:
        return found[0]
    if isinstance(error, TesseraError):
        raise error
    raise TesseraError(
        f"The model fails on these rows: {reason_of(error)[:_SHOWN]}.",
        expected="rows that it can answer",
        todo="Look for missing values that it does not take, or ask another version.",
    ) from error


def _of_composition(composed: ComposedScoring, found: VerifiedComposition) -> OpenModel:
    from models.compose.batch import Batch
    from models.compose.call import new_call

    loaded = found.composition
    step = loaded.step

    def predicted(columns: Mapping[str, Column], rows: int) -> Predicted:
        outcome = step.run(Batch(columns, rows), new_call(composed.budget(rows)))
        if outcome.failures:
            place, failure = min(outcome.failures.items())
            if failure.is_late:
                raise DeadlinePassed(f"Row {place} has no answer: {failure}.")
            raise TesseraError(
                f"Row {place} has no answer: {failure}.",
                expected="an answer to each row, within the budget",
                todo="Ask for fewer rows at once, or correct the row.",
            )
        return {name: outcome.batch[name] for name in step.gives}

    outputs = [tensor_of(name, kind) for name, kind in step.gives.types.items()]
    return OpenModel(found.version, "tessera_composition", loaded.sha256, step.takes.types, outputs, predicted)
