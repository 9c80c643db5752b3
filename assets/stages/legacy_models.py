"""Import of a model that was made elsewhere: the promotion gate of its application, then a version in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assets.stages.champion_refit import Contender, standing
from assets.stages.packaging import Packed, pack, registered
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.gates.closing import failure_of
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.gates.report import GateReport
    from models.training.model import Matrix, Vector
    from models.training.model_package import ModelCard
    from resources.legacy_model.imported import ImportedModel


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
        TesseraError: the application has no task of two classes, or lacks a feature of the contract.
    """
    _check_task(task, model)
    mine = replace(task, features=list(dict.fromkeys(one.feature for one in model.contract.features)))
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        package = Path(place) / "package"
        unsaved = failure_of(lambda: _pack(package, mine, model, golden, as_of))
        report = _report(task, model, Packed(package, unsaved, registry.trusted_packages), registry, as_of)
        parameters = _parameters(model)
        version, report = registered(task, registry, package, parameters, report, _tags(task, model, as_of))
    return Imported(version, report)


def _check_task(task: TrainingTask, model: ImportedModel) -> None:
    if task.kind != "binary":
        raise TesseraError(
            f"{task.app} predicts {task.kind} outcomes.",
            expected="an application of two classes: a contract's output is a probability",
            todo="Import the model for another application.",
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


def _over_split(task: TrainingTask, model: ImportedModel) -> _OverSplit:
    return _OverSplit(model, task.split.encoder.feature_names)


def _pack(package: Path, task: TrainingTask, model: ImportedModel, golden: str, as_of: date) -> None:
    from models.training.golden import GOLDEN
    from models.training.model import Fit

    fit = Fit(model, np.empty(0), np.empty(0, np.int64), {})
    judged = _over_split(task, model)
    pack(package, task, None, fit, model.encoder, _card(task, model, as_of), {GOLDEN: golden}, judged)


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
