"""Import of a model that was made elsewhere: the promotion gate of its application, then a version in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.stages.champion_refit import Contender, standing
from assets.stages.packaging import Packed, pack, registered
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.gates.closing import failure_of
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.gates.report import GateReport
    from models.training.intervals import Intervals
    from models.training.model import Matrix, Vector
    from models.training.model_package import ModelCard
    from resources.legacy_model.imported import ImportedModel, ImportedNumbers

#: Outputs of a contract by what an application predicts.
_OUTPUTS = {
    "binary": "`output: {is: probability}` or `{is: log_odds}`",
    "regression": "`output: {is: number}`",
}
#: Parts of the range of predictions that have intervals of their own.
_PARTS, _ROWS_OF_A_PART = 10, 200


@dataclass(frozen=True)
class Imported:
    """The version of an imported model, None if the registry took none, and what the gate says of it."""

    version: str | None
    report: GateReport


def register_imported(
    task: TrainingTask, model: ImportedModel, golden: str, registry: Registry, as_of: date
) -> Imported:
    """Evaluate a model on the hold-out of its application's training task, and register it with the gate's report.

    Args:
        task: rows and limits.
        model: whose golden rows were checked.
        golden: the golden set of its package.
        registry: holds the champion that it is compared with, and takes the version.
        as_of: day whose training rows these are.

    Raises:
        TesseraError: the model predicts another kind of outcome than the application, or reads a feature that it lacks.
    """
    _check_task(task, model)
    model = _with_intervals(task, model) if model.contract.output.is_number else model
    mine = replace(task, features=list(dict.fromkeys(one.feature for one in model.contract.features)))
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        package = Path(place) / "package"
        unsaved = failure_of(lambda: _pack(package, mine, model, golden, as_of))
        report = _report(task, model, Packed(package, unsaved, registry.trusted_packages), registry, as_of)
        parameters = _parameters(model)
        version, report = registered(task, registry, package, parameters, report, _tags(task, model, as_of))
    return Imported(version, report)


def _check_task(task: TrainingTask, model: ImportedModel) -> None:
    found = "regression" if model.contract.output.is_number else "binary"
    if task.kind != found:
        raise TesseraError(
            f"{task.app} predicts {task.kind} outcomes, and the contract's output is a {model.contract.output.kind}.",
            expected=_OUTPUTS.get(task.kind, "an application of two classes, or one that predicts a number"),
            todo="Correct `output` in the contract, or import the model for another application.",
        )
    model.contract.check_features(list(task.features))
    encoder = task.split.encoder
    for one in model.contract.features:
        is_text = one.feature in encoder.categories
        if is_text != bool(one.categories):
            raise TesseraError(
                f"The input {one.name!r} takes {one.feature!r} as {'a text' if one.categories else 'a number'}, which "
                f"is {'text' if is_text else 'a number'}.",
                expected="`equals` or `type: text` for texts, neither for numbers",
                todo="Correct the contract.",
            )


def _with_intervals(task: TrainingTask, model: ImportedModel) -> ImportedNumbers:
    """Return the model with intervals of its errors on the hold-out: it may have been trained on all other rows.

    Raises:
        TesseraError: the hold-out has one entity, or none.
    """
    if (entities := np.unique(task.split.holdout.groups).size) < 2:
        raise TesseraError(
            f"The hold-out of {task.app} ({task.holdout}) has {entities} entities: intervals cannot be checked on it.",
            expected="two at least; the gate asks for more",
            todo=f"Ingest more history, and run `tessera run {task.app}_nightly`.",
        )
    return model.with_intervals(_intervals(task, model, np.ones(len(task.split.holdout), bool)))


def _intervals(task: TrainingTask, model: ImportedModel, chosen: NDArray[np.bool_]) -> Intervals:
    """Return intervals of the errors on these rows of the hold-out."""
    from models.gates.config import RegressionGateConfig
    from models.training.intervals import fit_intervals, on_scale

    gate, held = task.gate, task.split.holdout
    assert isinstance(gate, RegressionGateConfig)  # noqa: S101 - for the type checker: the task is a regression
    judged, labels = _OverSplit(model, task.split.encoder.feature_names), held.labels[chosen]
    predicted = judged.predict(held.rows[chosen])
    target = "log1p" if min(float(predicted.min()), float(labels.min())) >= 0 else "identity"
    parts = max(1, min(_PARTS, int(chosen.sum()) // _ROWS_OF_A_PART))
    share = (gate.min_coverage + gate.max_coverage) / 2
    return fit_intervals(target, on_scale(target, predicted), labels, share=share, parts=parts)


class _OverSplit:
    """The imported model over the matrix of the task's split, as the gate has it."""

    kind = "imported"

    def __init__(self, model: ImportedModel, columns: tuple[str, ...]) -> None:
        self._model = model
        at = {name: place for place, name in enumerate(columns)}
        #: A value that no training row of the application has is a column of zeros, as the night would make it.
        self._places = [at.get(name, -1) for name in model.encoder.feature_names]

    def predict(self, rows: Matrix) -> Vector:
        return self._model.predict(self._matrix(rows))

    def raw(self, rows: Matrix) -> Vector:
        return self._model.raw(self._matrix(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        return self._model.contributions(self._matrix(rows))

    def save(self, folder: Path) -> Mapping[str, object]:
        return self._model.save(folder)

    def clock(self) -> float:
        return self._model.clock()

    def _matrix(self, rows: Matrix) -> Matrix:
        out = np.zeros((len(rows), len(self._places)), np.float32)
        for place, column in enumerate(self._places):
            if column >= 0:
                out[:, place] = rows[:, column]
        return out


class _NumbersOverSplit(_OverSplit):
    """The same of a model of numbers: for the gate, intervals of each half of the hold-out are those of the other."""

    def __init__(self, task: TrainingTask, model: ImportedNumbers) -> None:
        super().__init__(model, task.split.encoder.feature_names)
        self._numbers, self._held = model, task.split.holdout.rows
        half = np.unique(task.split.holdout.groups, return_inverse=True)[1] % 2 == 0
        self._ends = np.empty((2, len(half)))
        for chosen in (half, ~half):
            other = model.with_intervals(_intervals(task, model, ~chosen))
            self._ends[:, chosen] = other.interval(self._matrix(self._held[chosen]))

    def interval(self, rows: Matrix) -> tuple[Vector, Vector]:
        if np.array_equal(rows, self._held, equal_nan=True):
            return self._ends[0], self._ends[1]
        return self._numbers.interval(self._matrix(rows))


def _over_split(task: TrainingTask, model: ImportedModel) -> _OverSplit:
    from resources.legacy_model.imported import ImportedNumbers

    if isinstance(model, ImportedNumbers):
        return _NumbersOverSplit(task, model)
    return _OverSplit(model, task.split.encoder.feature_names)


def _pack(package: Path, task: TrainingTask, model: ImportedModel, golden: str, as_of: date) -> None:
    from models.training.golden import GOLDEN
    from models.training.model import Fit

    fit = Fit(model, np.empty(0), np.empty(0, np.int64), {})
    judged = _over_split(task, model)
    extras = {**task.refit_extras(model, model.encoder), GOLDEN: golden}
    pack(package, task, None, fit, model.encoder, _card(task, model, as_of), extras, judged)


def _card(task: TrainingTask, model: ImportedModel, as_of: date) -> ModelCard:
    from models.training.model_package import ModelCard

    until = model.contract.trained_until
    return ModelCard(
        app=task.app,
        as_of=as_of,
        label_end=until,
        train_cutoffs=(),
        feature_service=task.service,
        feature_version=task.service,
        rows=0,
        labels={},
        parameters=_parameters(model),
        metrics={},
    )


def _parameters(model: ImportedModel) -> dict[str, str]:
    contract = model.contract
    runs = contract.runs or {}
    return {
        "adapter": str(runs.get("kind", "")),
        "inputs": ", ".join(contract.names),
        "origin": contract.origin,
        "licence": contract.licence,
        "trained_until": contract.trained_until.isoformat(),
        "tolerance": f"{contract.golden.tolerance:g}",
    }


def _tags(task: TrainingTask, model: ImportedModel, as_of: date) -> dict[str, str]:
    parameters = _parameters(model)
    shown = {name: parameters[name] for name in ("origin", "licence", "trained_until")}
    kind = f"imported {parameters['adapter']}"
    return {"kind": kind, "as_of": as_of.isoformat(), "feature_service": task.service, **shown}


def _report(task: TrainingTask, model: ImportedModel, packed: Packed, registry: Registry, as_of: date) -> GateReport:
    """Ask the gate. The trained baseline's control shows whether the evaluation leaks: this model is not trained."""
    from models.gates.evidence import GateEvidence
    from models.gates.gate import run_gate
    from models.training.candidates import fit_candidates, shuffled_control
    from resources.stack.recipes import trainers_of

    split, kind = task.split, task.task
    (default,) = trainers_of([task.baseline_trainer])
    trainer = default.knowing(task.columns(split.encoder))
    (baseline,) = fit_candidates([trainer], split.train, kind)
    baselines = {name: kind.by_feature(split, feature) for name, feature in task.baselines.items()}
    baselines[baseline.name] = baseline.fit.model.predict(split.holdout.rows)
    evidence = GateEvidence(
        name=f"imported {(model.contract.runs or {}).get('kind', '')} ({model.contract.origin})",
        model=_over_split(task, model),
        split=split,
        baselines=baselines,
        champion=standing(task, [Contender(trainer, baseline)], registry, as_of).champion,
        control=shuffled_control(trainer, split.train, kind),
        size_bytes=packed.size_bytes,
        loads=packed.loads,
        recomputed=task.recomputed,
        plain_features=tuple(task.baselines.values()),
        trained_baseline=baseline.name,
        trained_until=model.contract.trained_until,
    )
    return run_gate(evidence, task.gate, kind, picture=task.picture)
