"""Steps behind `churn/scores` and `churn/publication`: score, write an attempt, audit what was written, publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets import churn_features
from assets.learning import DRIFT
from models.errors import TesseraError
from models.ledger import passed_by_hand
from models.publishing import Degradation, Publication, attempt_of
from models.settings import ChurnSettings
from resources.lake.port import Lake
from resources.notifier.port import Notifier
from resources.registry.port import Registry
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.scoring.audit import AuditReport, EarlierScores
    from models.scoring.drift import DriftReport
    from models.training.encoding import Encoder
    from models.training.package import LoadedModel

APP = "churn"
_ENTITY = "customer_id"
_RUNGS: tuple[Degradation, ...] = ("fresh", "stale_features", "last_good_scores")


@dataclass(frozen=True)
class Rung:
    """Where the scores of a day come from."""

    degradation: Degradation
    features_of: date
    earlier: Publication | None = None


def rung(lake: Lake, sink: Sink, day: date, worst: Degradation, max_stale_days: int) -> Rung:
    """The best source of scores for `day`, no worse than `worst`: its features, older ones, else the last good scores.

    Raises:
        TesseraError: there is none.
    """
    allowed = _RUNGS[: _RUNGS.index(worst) + 1]
    known = [d for d in lake.days(churn_features.TABLE) if d <= day]
    if day in known:
        return Rung("fresh", day)
    if "stale_features" in allowed and known and day - known[-1] <= timedelta(days=max_stale_days):
        return Rung("stale_features", known[-1])
    earlier = sink.last_published(APP, day) if "last_good_scores" in allowed else None
    if earlier is not None:
        return Rung("last_good_scores", earlier.features_of, earlier)
    raise TesseraError(
        f"There are no features of {day}, and nothing older that may stand in for them.",
        expected=f"features of {day}, or as fallback features up to {max_stale_days} days old or any published scores",
        todo=f"Run `tessera run churn_nightly --date {day}`.",
    )


@dataclass(frozen=True)
class Scored:
    """An attempt in the sink, what the audit says of it, and the publication that waits for it."""

    draft: Publication
    audit: AuditReport
    drift: DriftReport | None

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it: numbers that plot, the drift of each feature as a table."""
        shown: dict[str, Any] = {
            "dagster/row_count": self.draft.rows,
            "contacts": self.audit.contacts,
            **{name: round(value, 4) for name, value in self.audit.metrics.items()},
            "model_version": self.draft.model_version,
            "degradation": self.draft.degradation,
            "features_of": self.draft.features_of.isoformat(),
            "attempt": self.draft.attempt,
        }
        if self.drift is None:
            return shown
        most = self.drift.features[0]
        return {
            **shown,
            "max_psi": round(most.psi, 4),
            "max_psi_feature": most.feature,
            "drift": _drift_table(self.drift),
        }

    def checks(self) -> list[dg.AssetCheckResult]:
        """The audit, which blocks publishing, and drift, which only warns."""
        failed = [check for check in self.audit.checks if not check.passed]
        audit = dg.AssetCheckResult(
            check_name="audit",
            passed=self.audit.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description="; ".join(f"{check.name}: {check.says}" for check in failed) or "every check passed",
            metadata={check.name: check.says for check in self.audit.checks},
        )
        drifted = [row.feature for row in self.drift.features if row.drifted] if self.drift else []
        drift = dg.AssetCheckResult(
            check_name="drift",
            passed=not drifted,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"drifted: {', '.join(drifted)}" if drifted else "no feature drifted",
        )
        return [audit, drift]


def score(
    lake: Lake, registry: Registry, sink: Sink, settings: ChurnSettings, day: date, worst: Degradation, *, run_id: str
) -> Scored:
    """The scores of `day`, written as an attempt and audited as they were read back.

    The attempt is named by the digest of its rows, so the same rows are always the same attempt.

    Raises:
        TesseraError: no rung of the ladder holds, or there is no champion.
    """
    from models.scoring.batch import Scorer, scored
    from models.scoring.drift import DriftMeter, DriftReference

    source = rung(lake, sink, day, worst, settings.max_stale_days)
    if source.earlier is not None:
        return _again(source.earlier, sink, settings, day, run_id)
    version, loaded = _champion(registry)
    scorer = Scorer(loaded.model, loaded.encoder, version, loaded.card.feature_version, _ENTITY)
    meter = DriftMeter(DriftReference.model_validate_json(loaded.extras[DRIFT]), settings.drift)
    batches = meter.watch(_feature_batches(lake, source.features_of, loaded.encoder, settings.scoring.batch_rows))
    with scored(batches, scorer, settings.scoring) as rows:
        attempt = attempt_of(_digest(rows.reader()))
        sink.write_attempt(APP, day, attempt, rows.reader())
        counts = {"scored": rows.rows, "contacts": rows.contacts, "explained": rows.explained}
    made = _Made(day, attempt, source, version, loaded.card.feature_version, counts)
    report = _audited(lake, sink, settings, made)
    why = passed_by_hand(registry.ledger(APP))
    return Scored(_draft(made, report, lake, run_id, why), report, meter.report())


@dataclass(frozen=True)
class _Made:
    """An attempt that was written: what it was made of."""

    day: date
    attempt: str
    source: Rung
    model_version: str
    feature_version: str
    counts: dict[str, int]


def _draft(made: _Made, report: AuditReport, lake: Lake, run_id: str, why: str) -> Publication:
    return Publication(
        app=APP,
        day=made.day,
        attempt=made.attempt,
        degradation=made.source.degradation,
        model_version=made.model_version,
        feature_version=made.feature_version,
        features_of=made.source.features_of,
        rows=report.rows,
        digest=report.digest,
        inputs={table: lake.version(table) for table in ("orders", churn_features.TABLE)},
        counts=made.counts,
        metrics=report.metrics,
        run_id=run_id,
        published_at=datetime.now(UTC),
        why=why,
    )


@dataclass(frozen=True)
class Published:
    """What stands published, and whether this run put it there."""

    publication: Publication
    verdict: str

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it: the publication record."""
        standing = self.publication
        return {
            "dagster/row_count": standing.rows,
            "verdict": self.verdict,
            "degradation": standing.degradation,
            "model_version": standing.model_version,
            "digest": standing.digest,
            "published_by_run": standing.run_id,
            "why": standing.why,
            "publication": dg.MetadataValue.json(standing.model_dump(mode="json")),
        }


def publish(draft: Publication, sink: Sink, notifier: Notifier) -> Published:
    """What stands published for the draft's day afterwards; degraded scores are told to people."""
    standing = sink.publish(draft)
    if standing.run_id != draft.run_id:
        return Published(standing, f"identical to what run {standing.run_id[:8]} published: nothing changed")
    if standing.degradation == "fresh":
        return Published(standing, f"published, {standing.rows:,} rows")
    words = f"published, degraded: {standing.degradation} of {standing.features_of}"
    notifier.notify(
        "warning",
        f"{standing.app} {standing.day}: {standing.degradation}",
        f"The nightly job did not publish fresh scores. {words}. Repair it and run {standing.app}_nightly again.",
        {"app": standing.app, "day": standing.day.isoformat(), "run_id": standing.run_id},
    )
    return Published(standing, words)


def _champion(registry: Registry) -> tuple[str, LoadedModel]:
    from models.training.package import load

    version = registry.champion(APP)
    if version is None:
        raise TesseraError(
            "No model of churn is in charge.", expected="a champion", todo="Run `tessera run churn_training`."
        )
    return version, load(registry.fetch(APP, version))


def _feature_batches(lake: Lake, day: date, encoder: Encoder, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The day's feature rows as they were written: in ascending order of the entity."""
    from models.scoring.feature_files import feature_batches

    columns = [_ENTITY, *encoder.numeric, *encoder.categories]
    return feature_batches(lake.files(churn_features.TABLE, first=day, last=day), columns, batch_rows=batch_rows)


def _digest(rows: pa.RecordBatchReader) -> str:
    from models.scoring.digest import RowsDigest

    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
    return digest.hexdigest()


def _audited(lake: Lake, sink: Sink, settings: ChurnSettings, made: _Made) -> AuditReport:
    from models.scoring.audit import Expected, audit

    scope = lake.scan(churn_features.TABLE, first=made.source.features_of, last=made.source.features_of)
    entities = (batch.column(0) for batch in scope.to_batches(columns=[_ENTITY]))
    return audit(
        sink.read_attempt(APP, made.day, made.attempt),
        Expected(entities, made.model_version, made.feature_version),
        scoring=settings.scoring,
        limits=settings.audit,
        earlier=_earlier(sink, made.day, settings.audit.max_earlier_days),
    )


def _earlier(sink: Sink, day: date, max_days: int) -> EarlierScores | None:
    """The scores published for the last day before `day`, if they are recent enough to resemble those of `day`."""
    from models.scoring.audit import EarlierScores

    last = sink.last_published(APP, day)
    if last is None or day - last.day > timedelta(days=max_days):
        return None
    return EarlierScores(last.model_version, sink.read_attempt(APP, last.day, last.attempt))


def _again(earlier: Publication, sink: Sink, settings: ChurnSettings, day: date, run_id: str) -> Scored:
    """The last good scores once more, as an attempt of `day`, audited against themselves."""
    from models.scoring.audit import EarlierScores, Expected, audit

    sink.write_attempt(APP, day, earlier.attempt, sink.read_attempt(APP, earlier.day, earlier.attempt))
    report = audit(
        sink.read_attempt(APP, day, earlier.attempt),
        Expected(
            (batch.column("entity_id") for batch in sink.read_attempt(APP, earlier.day, earlier.attempt)),
            earlier.model_version,
            earlier.feature_version,
        ),
        scoring=settings.scoring,
        limits=settings.audit,
        earlier=EarlierScores(earlier.model_version, sink.read_attempt(APP, earlier.day, earlier.attempt)),
    )
    now = {"day": day, "degradation": "last_good_scores", "run_id": run_id, "published_at": datetime.now(UTC)}
    return Scored(earlier.model_copy(update={**now, "why": f"scores of {earlier.day} once more"}), report, None)


def _drift_table(drift: DriftReport) -> dg.TableMetadataValue:
    columns = ["feature", "psi", "null_share", "null_share_in_training", "unseen_share", "drifted"]
    types = ["string", "float", "float", "float", "float", "bool"]
    schema = dg.TableSchema([dg.TableColumn(name, type_) for name, type_ in zip(columns, types, strict=True)])
    rows = [{name: getattr(row, name) for name in columns} for row in drift.features]
    records = [
        dg.TableRecord({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=schema)
