"""Steps behind `churn/training_set`, `churn/candidate` and `churn/champion`: learn, judge, put in charge."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets import churn_features
from assets.churn_scoring import APP, DRIFT
from models.errors import TesseraError
from models.settings import ChurnSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.trainer.port import Trainer

if TYPE_CHECKING:
    from models.features.cutoffs import Cutoffs
    from models.gates.evidence import Champion, NoChampion
    from models.gates.report import GateReport
    from models.training.candidates import Candidate
    from models.training.dataset import Split

SERVICE = "churn_v1"
TABLE, AS_OF = "churn_training_set", "as_of"

#: Parts of the hold-out that the gate compares one by one.
SLICES = ("country", "tenure_days", "orders_total")
#: What one number alone knows; the candidate must not be behind it.
BASELINES = {"recency only": "recency_days", "frequency only": "orders_total"}
_GOLDEN, _GOLDEN_ROWS = "golden.json", 50


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows at past cut-offs: `customer_id`, `event_timestamp`, the features, `churned` (int8)."""

    rows: pa.Table
    cutoffs: Cutoffs

    @property
    def churn_rate(self) -> float:
        """Share of rows that churned."""
        return float(np.mean(self.rows["churned"].to_numpy()))

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it."""
        days = [*self.cutoffs.train, self.cutoffs.holdout]
        return {
            "dagster/row_count": self.rows.num_rows,
            "cutoffs": len(self.cutoffs.train),
            "holdout": self.cutoffs.holdout.isoformat(),
            "churn_rate": round(self.churn_rate, 4),
            "days": ", ".join(day.isoformat() for day in days),
        }


def training_set(lake: Lake, engine: Engine, store: FeatureStore, settings: ChurnSettings, as_of: date) -> TrainingSet:
    """The point-in-time training set as of the end of `as_of`, also written to the lake.

    Cut-offs that have no features yet get them (bulk backfill). Labels are mature at `as_of` and count only orders
    delivered by then, so the set is the same whatever is delivered later.
    """
    from models.features.churn import training_cutoffs

    cutoffs = training_cutoffs(
        as_of,
        lake.days("orders")[0],
        horizon_days=settings.horizon_days,
        step_days=settings.cutoff_step_days,
        min_history_days=settings.min_history_days,
        max_cutoffs=settings.max_training_cutoffs,
    )
    days = [*cutoffs.train, cutoffs.holdout]
    churn_features.write_features(lake, engine, settings, churn_features.missing_days(lake, days))
    labelled = _labelled(lake, engine, settings, days, as_of)
    store.apply()
    files = lake.files(churn_features.TABLE, first=days[0], last=days[-1])
    rows = store.historical(SERVICE, labelled, files={churn_features.VIEW: files})
    dated = rows.append_column(AS_OF, pa.array([as_of] * rows.num_rows, pa.date32()))
    lake.replace(TABLE, dated, by=AS_OF, first=as_of, last=as_of)
    # What the lake holds is what is learnt from: it leaves out whoever was forgotten since the features were read.
    written = lake.scan(TABLE, first=as_of, last=as_of).to_table(columns=rows.column_names)
    return TrainingSet(written, cutoffs)


def _labelled(lake: Lake, engine: Engine, settings: ChurnSettings, days: list[date], as_of: date) -> pa.Table:
    from models.features.churn import churn_labels

    table = lake.scan(churn_features.TABLE)
    chosen = pc.field(churn_features.DAY).isin(pa.array(days, pa.date32()))
    entities = table.to_table(columns=["customer_id", "event_timestamp"], filter=chosen)
    tables = {"orders": churn_features.known_by(lake, as_of), "entities": entities}
    labels = engine.query(churn_labels, tables, horizon_days=settings.horizon_days, as_of=as_of).read_all()
    return labels.sort_by([("event_timestamp", "ascending"), ("customer_id", "ascending")])


@dataclass(frozen=True)
class Judged:
    """A candidate, what the gate says of it, and its package in the registry."""

    candidate: Candidate
    report: GateReport
    version: str
    holdout: date

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
            "version": self.version,
            "holdout": self.holdout.isoformat(),
            "against champion": self.says("champion"),
            "gate report": dg.MetadataValue.md(self.report.markdown()),
        }


def judged(
    rows: TrainingSet, trainers: Sequence[Trainer], registry: Registry, settings: ChurnSettings, as_of: date
) -> Judged:
    """The best candidate by cross-validation, judged on the hold-out and registered with the gate's report."""
    from models.training.candidates import choose, fit_candidates
    from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig

    split = _split(rows, settings)
    # The baseline last: of two trainers of one kind the first counts, and the profile may set its own.
    fitters = [*trainers, LogisticRegressionTrainerConfig().open()]
    candidates = fit_candidates(fitters, split.train)
    chosen = choose(candidates)
    trainer = next(fitter for fitter in fitters if fitter.name == chosen.name)
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        package = Path(place) / "package"
        _save(package, chosen, rows, split, settings, as_of)
        report = _gate(split, candidates, chosen, trainer, registry, package, settings)
        version = _register(registry, package, chosen, report, as_of)
    return Judged(chosen, report, version, rows.cutoffs.holdout)


def decided(judged: Judged, registry: Registry, *, run_id: str, who: str) -> dg.MaterializeResult:
    """The model in charge after the decision: the candidate if the gate passed it, else the one before.

    Raises:
        TesseraError: the gate is closed and no model is in charge.
    """
    standing = registry.champion(APP)
    stopped = ", ".join(judged.report.stopped_by)
    if judged.report.passed:
        why = (
            f"{judged.candidate.name} passed the gate: AUC {judged.metrics['auc']:.3f} on {judged.holdout}; "
            f"{judged.says('champion')}"
        )
        registry.set_champion(
            APP, judged.version, action="promote", why=why, who=who, run_id=run_id, metrics=judged.metrics
        )
        return _in_charge(
            registry, f"promoted: {len(judged.report.checks)} of {len(judged.report.checks)} checks passed"
        )
    if standing is None:
        raise TesseraError(
            f"The candidate (version {judged.version}) was stopped by the gate: {stopped}.",
            expected="a first model that passes every check, since none is in charge",
            todo="Read the gate report of churn/candidate in the UI; its limits are settings.churn.gate in stack.yaml.",
        )
    return _in_charge(registry, f"stays: candidate version {judged.version} was stopped by {stopped}", judged)


def kept(registry: Registry) -> dg.MaterializeResult:
    """The model in charge, on a night without training."""
    return _in_charge(registry, "stays: no training was due")


def _in_charge(registry: Registry, verdict: str, refused: Judged | None = None) -> dg.MaterializeResult:
    """The champion's numbers. A refused challenger is worth a warning: the champion goes on.

    They are taken from the ledger alone: most nights train nothing, and need not pay for loading MLflow.
    """
    ledger = registry.ledger(APP)
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
        asset_key=["churn", "champion"],
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
    return dg.MaterializeResult(asset_key=["churn", "champion"], metadata=metadata, check_results=[gate])


def _shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """As many digits as people can use; the registry keeps all of them."""
    return {name: round(value, 4) for name, value in metrics.items()}


def golden_customers(rows: pa.Table) -> list[str]:
    """The customers whose features are the golden set of a model that learnt from this training set (one `as_of`)."""
    if not rows.num_rows:
        return []
    newest = max(rows["event_timestamp"].unique().to_pylist())
    holdout = rows.filter(pc.field("event_timestamp") == newest)
    return sorted(holdout["customer_id"].to_pylist())[:_GOLDEN_ROWS]


def golden_scores(package: Path) -> int:
    """Number of golden rows that the model in `package` scores exactly as it did when it was trained.

    Raises:
        TesseraError: any score differs.
    """
    from models.training.package import load

    loaded = load(package)
    golden = json.loads(loaded.extras[_GOLDEN])
    rows = np.array(golden["rows"], dtype=np.float32)
    scores = loaded.model.predict(rows)
    if not np.allclose(scores, golden["scores"], rtol=0, atol=1e-6):
        worst = float(np.abs(scores - np.array(golden["scores"])).max())
        raise TesseraError(
            f"The model scores its golden set differently than when it was trained (by up to {worst:.2g}).",
            expected="the same scores to 1e-6",
            todo="Compare the library versions in its manifest.json with those installed; train again.",
        )
    return len(rows)


def _split(rows: TrainingSet, settings: ChurnSettings) -> Split:
    from models.features.churn import CATEGORIES, FEATURES
    from models.training.dataset import split

    return split(
        rows.rows,
        features=[*FEATURES, *CATEGORIES],
        holdout=rows.cutoffs.holdout,
        horizon_days=settings.horizon_days,
        slice_by=SLICES,
    )


def _save(
    package: Path, chosen: Candidate, rows: TrainingSet, split: Split, settings: ChurnSettings, as_of: date
) -> None:
    from models.training.package import ModelCard, save

    card = ModelCard(
        app=APP,
        as_of=as_of,
        label_end=split.label_end,
        train_cutoffs=split.train_cutoffs,
        feature_service=SERVICE,
        feature_version=SERVICE,
        rows=len(split.train),
        positives=int(split.train.labels.sum()),
        parameters=dict(chosen.parameters),
        metrics={name: estimate.mean for name, estimate in chosen.cross_validated.items()},
    )
    extras = {DRIFT: _reference(rows, settings), _GOLDEN: _golden(chosen, split)}
    save(package, chosen.fit.model, split.encoder, card, extras)


def _reference(rows: TrainingSet, settings: ChurnSettings) -> str:
    """How the features looked at the newest cut-off that was learnt from or judged on: what a night is held against."""
    from models.features.churn import CATEGORIES, FEATURES
    from models.features.cutoffs import cutoff_moment
    from models.scoring.drift import drift_reference

    newest = rows.rows.filter(pc.field("event_timestamp") == cutoff_moment(rows.cutoffs.holdout))
    return drift_reference(newest, [*FEATURES, *CATEGORIES], settings.drift).model_dump_json()


def _golden(chosen: Candidate, split: Split) -> str:
    rows = split.holdout.rows[:_GOLDEN_ROWS]
    return json.dumps({"rows": rows.astype(float).tolist(), "scores": chosen.fit.model.predict(rows).tolist()})


def _gate(
    split: Split,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    trainer: Trainer,
    registry: Registry,
    package: Path,
    settings: ChurnSettings,
) -> GateReport:
    from models.evaluation.baselines import single_feature_scores
    from models.gates.evidence import GateEvidence
    from models.gates.gate import run_gate
    from models.training.candidates import shuffled_control
    from models.training.package import package_bytes

    linear = next(candidate for candidate in candidates if candidate.name == "logistic_regression")
    baselines = single_feature_scores(split, BASELINES)
    baselines["logistic_regression"] = linear.fit.model.predict(split.holdout.rows)
    evidence = GateEvidence(
        name=chosen.name,
        model=chosen.fit.model,
        split=split,
        baselines=baselines,
        champion=_standing(registry),
        control=shuffled_control(trainer, split.train),
        size_bytes=package_bytes(package),
    )
    return run_gate(evidence, settings.gate)


def _standing(registry: Registry) -> Champion | NoChampion:
    from models.gates.evidence import NoChampion, champion_from
    from models.training.package import load

    version = registry.champion(APP)
    return NoChampion() if version is None else champion_from(version, load(registry.fetch(APP, version)))


def _register(registry: Registry, package: Path, chosen: Candidate, report: GateReport, as_of: date) -> str:
    gate = "passed" if report.passed else f"stopped by {', '.join(report.stopped_by)}"
    return registry.register(
        APP,
        package,
        parameters=chosen.parameters,
        metrics=report.metrics.get("candidate", {}),
        tags={"kind": chosen.name, "gate": gate, "as_of": as_of.isoformat(), "feature_service": SERVICE},
        report=report.markdown(),
    )
