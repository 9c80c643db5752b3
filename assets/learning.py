"""How every application learns: candidates, the choice among them, the gate, the registry, who is in charge.

An application brings a `Lesson`; nothing here knows an application's name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.champions import put_in_charge, verified
from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of
from models.gates.config import GateConfig
from models.ledger import PASSED, STOPPED, passed_by_hand
from models.scoring.config import DriftConfig
from resources.registry.port import Registry
from resources.trainer.port import Trainer

if TYPE_CHECKING:
    from models.features.leakage import Recomputed
    from models.gates.evidence import Champion, NoChampion
    from models.gates.report import GateReport
    from models.training.candidates import Candidate
    from models.training.dataset import Split

#: File of the model package that remembers how its features looked.
DRIFT = "drift.json"


@dataclass(frozen=True)
class Lesson:
    """What an application learns from, and what it is judged by.

    Attributes:
        app: its name, e.g. `churn`.
        service: the feature service that the model reads.
        holdout: the days of the hold-out, in words.
        split: rows to learn from, rows to be judged on.
        features: columns that are learnt from.
        newest: rows as the features looked last: what scores are held against for drift.
        baselines: name -> the one feature that it goes by; the candidate must not be behind it.
        recomputed: features of some past cut-offs, computed again from nothing but what was known then.
        gate: limits.
        drift: limits of drift.
        extras: further files of the model package, from the model that was chosen.
    """

    app: str
    service: str
    holdout: str
    split: Split
    features: Sequence[str]
    newest: pa.Table
    baselines: Mapping[str, str]
    recomputed: Recomputed | None
    gate: GateConfig
    drift: DriftConfig
    extras: Callable[[Candidate], Mapping[str, str]] = lambda _: {}


@dataclass(frozen=True)
class Judged:
    """A candidate, what the gate says of it, and its package in the registry; None if that refused the package."""

    candidate: Candidate
    report: GateReport
    version: str | None
    holdout: str

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers on the hold-out; empty if they could not be computed."""
        return dict(self.report.metrics.get("candidate", {}))

    def says(self, check: str) -> str:
        """The words of one check of the gate."""
        return next((found.says for found in self.report.checks if found.name == check), "")

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it: numbers that plot, the gate report with its curves."""
        return {
            **_shown(self.metrics),
            "kind": self.candidate.name,
            "version": self.version or "not registered",
            "holdout": self.holdout,
            "against champion": self.says("champion"),
            "gate report": dg.MetadataValue.md(self.report.markdown()),
        }


def judged(lesson: Lesson, trainers: Sequence[Trainer], registry: Registry, as_of: date) -> Judged:
    """The best candidate by cross-validation, judged on the hold-out and registered with the gate's report."""
    from models.gates.sufficiency import check_sufficient
    from models.training.candidates import choose, fit_candidates
    from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig

    check_sufficient(lesson.app, lesson.split, lesson.gate)
    # The baseline last: of two trainers of one kind the first counts, and the profile may set its own.
    fitters = [*trainers, LogisticRegressionTrainerConfig().open()]
    candidates = fit_candidates(fitters, lesson.split.train)
    chosen = choose(candidates, lesson.gate.metric)
    trainer = next(fitter for fitter in fitters if fitter.name == chosen.name)
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        package = Path(place) / "package"
        unsaved = failure_of(lambda: _save(package, chosen, lesson, as_of))
        report = _gate(lesson, candidates, chosen, trainer, registry, _Packed(package, unsaved))
        version, report = _registered(lesson, registry, package, chosen, report, as_of)
    return Judged(chosen, report, version, lesson.holdout)


@dataclass(frozen=True)
class _Packed:
    """The folder of a package, and what went wrong when it was saved: a third party's model may fail to be."""

    folder: Path
    unsaved: Exception | None

    @property
    def size_bytes(self) -> int | None:
        """Size of its files; None if it was not saved."""
        from models.training.package import package_bytes

        return None if self.unsaved else package_bytes(self.folder)

    def loads(self) -> int:
        """Number of golden rows that the package, read back, scores as in training; raises if it cannot be used."""
        from models.training.golden import verified_package
        from resources.registry.package_files import safe_files

        if self.unsaved:
            raise self.unsaved
        safe_files(self.folder)
        return verified_package(self.folder)[1]


def decided(lesson: Lesson, judged: Judged, registry: Registry, *, run_id: str, who: str) -> dg.MaterializeResult:
    """The model in charge after the decision: the candidate if the gate passed it, else the one before.

    Raises:
        TesseraError: the gate is closed and no model is in charge.
    """
    from models.evaluation.metrics import METRIC_WORDS

    app, metric = lesson.app, lesson.gate.metric
    standing = registry.champion(app)
    stopped = ", ".join(judged.report.stopped_by)
    named = f"version {judged.version}" if judged.version else "not registered"
    if judged.report.passed and judged.version:
        why = (
            f"{judged.candidate.name} passed the gate: {METRIC_WORDS[metric]} {judged.metrics[metric]:.3f} "
            f"on {judged.holdout}; "
            f"{judged.says('champion')}"
        )
        put_in_charge(
            registry, app, judged.version, action="promote", why=why, who=who, run_id=run_id, metrics=judged.metrics
        )
        return _in_charge(
            app, registry, f"promoted: {len(judged.report.checks)} of {len(judged.report.checks)} checks passed"
        )
    if standing is None:
        raise TesseraError(
            f"The candidate ({named}) was stopped by the gate: {stopped}.",
            expected="a first model that passes every check, since none is in charge",
            todo=f"Read the gate report of {app}/candidate in the UI; limits are settings.{app}.gate in stack.yaml.",
        )
    return _in_charge(app, registry, f"stays: candidate {named} was stopped by {stopped}", judged)


def kept(app: str, registry: Registry) -> dg.MaterializeResult:
    """The model in charge, on a night without training."""
    return _in_charge(app, registry, "stays: no training was due")


def _in_charge(app: str, registry: Registry, verdict: str, refused: Judged | None = None) -> dg.MaterializeResult:
    """The champion's numbers. A refused challenger is worth a warning: the champion goes on.

    They are taken from the ledger alone: most nights train nothing, and need not pay for loading MLflow.
    """
    ledger = registry.ledger(app)
    standing = ledger[-1]
    version = standing.to_version
    promoted = [entry.metrics for entry in ledger if entry.to_version == version and entry.action == "promote"]
    says = (
        {check.name: f"{'passed' if check.passed else 'FAILED'}: {check.says}" for check in refused.report.checks}
        if refused
        else {}
    )
    gate = dg.AssetCheckResult(
        check_name="gate",
        asset_key=[app, "champion"],
        passed=refused is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict,
        metadata=says,
    )
    metadata = {
        **_shown(promoted[-1] if promoted else {}),
        "version": str(version),
        "in charge since": dg.MetadataValue.timestamp(standing.at),
        "because": standing.why,
        "verdict": verdict,
    }
    if by_hand := passed_by_hand(ledger):
        metadata["by hand"] = by_hand
    return dg.MaterializeResult(asset_key=[app, "champion"], metadata=metadata, check_results=[gate])


def _shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """As many digits as people can use; the registry keeps all of them."""
    return {name: round(value, 4) for name, value in metrics.items()}


def _save(package: Path, chosen: Candidate, lesson: Lesson, as_of: date) -> None:
    from models.scoring.drift import drift_reference
    from models.training.golden import GOLDEN, golden_text
    from models.training.package import ModelCard, save

    split = lesson.split
    card = ModelCard(
        app=lesson.app,
        as_of=as_of,
        label_end=split.label_end,
        train_cutoffs=split.train_cutoffs,
        feature_service=lesson.service,
        feature_version=lesson.service,
        rows=len(split.train),
        positives=int(split.train.labels.sum()),
        parameters=dict(chosen.parameters),
        metrics={name: estimate.mean for name, estimate in chosen.cross_validated.items()},
    )
    drift = drift_reference(lesson.newest, lesson.features, lesson.drift).model_dump_json()
    golden = golden_text(chosen.fit.model, split.holdout.rows)
    extras = {DRIFT: drift, GOLDEN: golden, **lesson.extras(chosen)}
    save(package, chosen.fit.model, split.encoder, card, extras)


def _gate(
    lesson: Lesson,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    trainer: Trainer,
    registry: Registry,
    packed: _Packed,
) -> GateReport:
    from models.evaluation.baselines import single_feature_scores
    from models.gates.evidence import GateEvidence
    from models.gates.gate import run_gate
    from models.training.candidates import shuffled_control

    split = lesson.split
    linear = next(candidate for candidate in candidates if candidate.name == "logistic_regression")
    baselines = single_feature_scores(split, lesson.baselines)
    baselines["logistic_regression"] = linear.fit.model.predict(split.holdout.rows)
    evidence = GateEvidence(
        name=chosen.name,
        model=chosen.fit.model,
        split=split,
        baselines=baselines,
        champion=_standing(lesson.app, registry),
        control=shuffled_control(trainer, split.train),
        size_bytes=packed.size_bytes,
        loads=packed.loads,
        recomputed=lesson.recomputed,
        plain_features=tuple(lesson.baselines.values()),
    )
    return run_gate(evidence, lesson.gate)


def _standing(app: str, registry: Registry) -> Champion | NoChampion:
    from models.gates.evidence import NoChampion, champion_from
    from models.training.package import load

    version = registry.champion(app)
    return NoChampion() if version is None else champion_from(version, load(registry.fetch(app, version)))


def _registered(
    lesson: Lesson, registry: Registry, package: Path, chosen: Candidate, report: GateReport, as_of: date
) -> tuple[str | None, GateReport]:
    """The version, and the report after the version was fetched back, loaded and scored its golden rows.

    No version for a package that the gate's own check could not load, and the registry does not take.
    """
    try:
        version = _register(lesson, registry, package, chosen, report, as_of)
    except TesseraError:
        if "loads" not in report.stopped_by:
            raise
        return None, report
    broken = failure_of(lambda: verified(registry, lesson.app, version))
    if broken is None or "loads" in report.stopped_by:
        return version, report
    report = report.with_failed("loads", reason_of(broken))
    registry.retag(lesson.app, version, {"gate": _verdict(report)})
    return version, report


def _register(
    lesson: Lesson, registry: Registry, package: Path, chosen: Candidate, report: GateReport, as_of: date
) -> str:
    return registry.register(
        lesson.app,
        package,
        parameters=chosen.parameters,
        metrics=report.metrics.get("candidate", {}),
        tags={
            "kind": chosen.name,
            "gate": _verdict(report),
            "as_of": as_of.isoformat(),
            "feature_service": lesson.service,
        },
        report=report.markdown(),
    )


def _verdict(report: GateReport) -> str:
    return PASSED if report.passed else f"{STOPPED} {', '.join(report.stopped_by)}"
