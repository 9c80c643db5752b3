"""Models as packages: saved, read back, registered, and fetched from the registry before anything counts on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.stages.promotion import verified
from assets.stages.training_task import DRIFT, TrainingTask
from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of
from models.ledger import PASSED, STOPPED
from models.tracing import current_traceparent, note, span, trace_id_of
from resources.account import current_account
from resources.registry.port import Registry
from resources.trainer.port import Trainer

if TYPE_CHECKING:
    from models.gates.report import GateReport
    from models.training.children import ChildFacts
    from models.training.encoding import Encoder
    from models.training.model import Fit, FittedModel
    from models.training.model_package import ModelCard

#: Tags of a version, also of MLflow's run: the trace (`tessera trace ID`) and the Dagster run that made it.
TRACE_ID, RUN_ID = "trace_id", "dagster_run_id"


@dataclass(frozen=True)
class Packed:
    """The folder of a package, and what went wrong when it was saved: a third party's model may fail to be.

    `trusted`: packages of third parties whose loaders may run.
    """

    folder: Path
    unsaved: Exception | None
    trusted: Collection[str] = ()

    @property
    def size_bytes(self) -> int | None:
        """Size of its files; None if it was not saved."""
        from models.training.model_package import package_bytes

        return None if self.unsaved else package_bytes(self.folder)

    def loads(self) -> int:
        """Return number of golden rows that the package, read back, scores as in training.

        Raises if it cannot be used.
        """
        from models.training.golden import verified_package
        from models.training.package_files import safe_files

        if self.unsaved:
            raise self.unsaved
        safe_files(self.folder, self.trusted)
        return verified_package(self.folder, self.trusted)[1]


def pack(
    folder: Path,
    task: TrainingTask,
    trainer: Trainer | None,
    fit: Fit,
    encoder: Encoder,
    card: ModelCard,
    extras: Mapping[str, str],
    judged: FittedModel | None = None,
) -> None:
    """`folder` holds the package of a fitted model.

    Card, golden set of hold-out rows, references of features and scores, recipe. `judged`: the evaluated model that it
    is a refit of; None: it is that model.
    """
    from models.scoring.drift import drift_reference
    from models.training.golden import GOLDEN, golden_text
    from models.training.model_package import save
    from models.training.recipe import RECIPE

    files = {
        DRIFT: drift_reference(task.newest, task.features, task.drift, task.history).model_dump_json(),
        GOLDEN: golden_text(fit.model, encoder.matrix(task.split.holdout_table)),
        **_labels_file(task),
        **_scores_file(task, judged or fit.model, fit.model, encoder),
        **extras,
    }
    if trainer is not None and trainer.recipe is not None:
        files[RECIPE] = trainer.recipe.model_copy(update={"chosen": dict(fit.notes)}).model_dump_json()
    save(folder, fit.model, encoder, card, files, _children(task, judged or fit.model, card))


def _children(task: TrainingTask, judged: FittedModel, card: ModelCard) -> Mapping[str, ChildFacts]:
    """Return what is known of a merge's models: their training set, the evaluated ones' quality on the hold-out."""
    from models.training.children import ChildFacts, member_name
    from models.training.model import members_of

    metric, held = task.task.metric(task.gate.metric), task.split.holdout
    rows: dict[str, str | int] = {"as_of": str(card.as_of), "rows": card.rows, "label_end": str(card.label_end)}
    return {
        member_name(place, member.kind): ChildFacts(
            trained_on=rows,
            metrics={f"holdout_{metric.name}": metric.value(held.labels, member.predict(held.rows), held.groups)},
        )
        for place, member in enumerate(members_of(judged))
    }


def _labels_file(task: TrainingTask) -> Mapping[str, str]:
    """Labels of the task's rows and the features' relation to them; no file for rows that cannot be measured."""
    from models.gates.label_record import LABEL_RECORD, label_record

    made = dict[str, str]()
    failure_of(lambda: made.update({LABEL_RECORD: label_record(task.split).model_dump_json()}))
    return made


def _scores_file(task: TrainingTask, judged: FittedModel, serving: FittedModel, encoder: Encoder) -> Mapping[str, str]:
    """Scores and quality of the evaluated model on the hold-out; no file for predictions that cannot be measured."""
    from models.gates.config import BinaryGateConfig
    from models.scoring.score_reference import SCORES, importances, score_reference
    from models.training.model import IntervalModel

    held, gate, made = task.split.holdout, task.gate, dict[str, str]()

    def reference() -> None:
        metric = task.task.metric(gate.metric)
        max_ece = gate.max_ece if isinstance(gate, BinaryGateConfig) else None
        interval = judged.interval(held.rows) if isinstance(judged, IntervalModel) else None
        found = score_reference(
            held.labels, judged.predict(held.rows), held.groups, metric, max_ece=max_ece, interval=interval
        )
        rows = encoder.matrix(task.split.holdout_table)
        used = importances(serving, rows, encoder.feature_names)
        made[SCORES] = found.model_copy(update={"importances": used}).model_dump_json()

    failure_of(reference)  # the gate says what is wrong with such predictions
    return made


def register_version(
    registry: Registry,
    app: str,
    package: Path,
    *,
    parameters: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    report: str,
) -> str:
    """Return the new version of a package, as `Registry.register`: its tags name the run and the trace that made it.

    The trace has a span that names the version.
    """
    origin = {TRACE_ID: trace_id_of(current_traceparent()), RUN_ID: current_account().run_id}
    known = {name: value for name, value in origin.items() if value}
    with span("register version", {"tessera.app": app}):
        version = registry.register(
            app, package, parameters=parameters, metrics=metrics, tags={**tags, **known}, report=report
        )
        note(model_version=version)
    return version


def registered(
    task: TrainingTask,
    registry: Registry,
    package: Path,
    parameters: Mapping[str, str],
    report: GateReport,
    tags: Mapping[str, str],
) -> tuple[str | None, GateReport]:
    """Return the version, and the report after the version was fetched back, loaded and scored its golden rows.

    No version for a package that the gate's own check could not load, and the registry does not take.
    """
    from models.training.children import children_tag

    try:
        version = register_version(
            registry,
            task.app,
            package,
            parameters=parameters,
            metrics=report.metrics.get("candidate", {}),
            tags={**tags, **children_tag(package), "gate": _verdict(report)},
            report=report.markdown(),
        )
    except TesseraError:
        if "loads" not in report.stopped_by:
            raise
        return None, report
    broken = failure_of(lambda: verified(registry, task.app, version))
    if broken is None or "loads" in report.stopped_by:
        return version, report
    report = report.with_failed("loads", reason_of(broken))
    registry.retag(task.app, version, {"gate": _verdict(report)})
    return version, report


def _verdict(report: GateReport) -> str:
    return PASSED if report.passed else f"{STOPPED} {', '.join(report.stopped_by)}"
