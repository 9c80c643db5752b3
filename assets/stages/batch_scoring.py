"""Steps behind `churn/scores` and `churn/publication`: score, write an attempt, audit what was written, publish.

A night takes the best source of scores that can be used, and stops if the audit blocks it. A fallback goes down the
ladder (`assets.stages.score_sources`) from below whatever the audit has blocked before, and tells when nothing is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.churn import features as churn_features
from assets.stages.score_sources import APP, FailedSource, LastGoodScores, ModelSource, Source, blocked, sources
from assets.stages.training_task import DRIFT
from models.errors import TesseraError
from models.ledger import passed_by_hand
from models.publishing import LADDER, AuditVerdict, Degradation, Publication, attempt_of
from models.settings import ChurnSettings
from resources.lake.port import Lake
from resources.notifier.port import Level, Notifier
from resources.registry.port import Registry
from resources.sink.port import DamagedScores, Sink

if TYPE_CHECKING:
    from models.scoring.audit import AuditReport, EarlierScores, Expected
    from models.scoring.config import AuditConfig
    from models.scoring.drift import DriftReport
    from models.training.encoding import Encoder

_ENTITY = "customer_id"
#: A night makes no scores worse than this; only a fallback does.
WORST_OF_A_NIGHT: Degradation = "champion_before"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """Ports and settings that a day is scored with.

    Attributes:
        run_id: the Dagster run that makes them.
    """

    lake: Lake
    registry: Registry
    sink: Sink
    notifier: Notifier
    settings: ChurnSettings
    day: date
    run_id: str


@dataclass(frozen=True)
class Scored:
    """An attempt in the sink, what the audit says of it, and the publication that waits for it."""

    draft: Publication
    audit: AuditReport
    drift: DriftReport | None

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot, the drift of each feature as a table."""
        shown: dict[str, Any] = {
            "dagster/row_count": self.draft.rows,
            "contacts": self.audit.contacts,
            **{name: round(value, 4) for name, value in self.audit.metrics.items()},
            "model_version": self.draft.model_version,
            "degradation": self.draft.degradation,
            **({"steps": "; ".join(self.draft.steps)} if self.draft.steps else {}),
            "features_of": self.draft.features_of.isoformat(),
            "attempt": self.draft.attempt,
        }
        if self.drift is None:
            return shown
        most = self.drift.features[0]
        notes = "; ".join(f"{row.feature} {row.note}" for row in self.drift.features if row.note)
        return {
            **shown,
            "max_psi": round(most.judged_psi, 4),
            "max_psi_feature": most.feature,
            **({"not_compared": notes} if notes else {}),
            "drift": _drift_table(self.drift),
        }

    def verdict(self) -> AuditVerdict:
        """Return the audit as the sink keeps it."""
        from models.scoring.audit import DISTRIBUTION

        stopped = [check for check in self.audit.checks if not check.passed and check.severity == "block"]
        failed = {check.name: check.says for check in stopped}
        passed = self.audit.passed
        return AuditVerdict(draft=self.draft, passed=passed, failed=failed, overrulable=set(failed) == {DISTRIBUTION})

    def checks(self) -> list[dg.AssetCheckResult]:
        """Return the audit, which blocks publishing, and drift, which only warns."""
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
            metadata={row.feature: row.note for row in self.drift.features if row.note} if self.drift else {},
        )
        return [audit, drift]


def score(night: Night, worst: Degradation = WORST_OF_A_NIGHT) -> Scored:
    """Return scores of the day, written as an attempt, audited as read back, and recorded in the sink with the verdict.

    The attempt is named by the digest of its rows, so the same rows are always the same attempt.

    Args:
        night: the stores and the day.
        worst: the last rung of the ladder that may be taken. Beyond `WORST_OF_A_NIGHT`, a set that the audit blocks is
            followed by the next source; before, it ends the ladder.

    Raises:
        TesseraError: no source of scores is left; a notice says so.
    """
    _tell_losses(night)
    is_fallback = LADDER.index(worst) > LADDER.index(WORST_OF_A_NIGHT)
    verdicts = _verdicts(night) if is_fallback else []
    inputs = _inputs(night)
    steps: list[FailedSource] = []
    stale = night.settings.max_stale_days
    for source in sources(night.lake, night.registry, night.sink, night.day, worst, max_stale_days=stale):
        failed = source if isinstance(source, FailedSource) else None
        reason = blocked(source, verdicts, inputs)
        if not (failed or reason):
            made = _made(night, source, steps, inputs)  # pyright: ignore[reportArgumentType] - it has not failed
            if isinstance(made, Scored) and (made.audit.passed or not is_fallback):
                return made
            reason = made.verdict().failures() if isinstance(made, Scored) else made
        steps.append(failed or FailedSource(source.degradation, reason))
    raise _nothing_left(night, steps, told=is_fallback)


def _made(night: Night, source: Source, steps: Sequence[FailedSource], inputs: Mapping[str, int]) -> Scored | str:
    """Scores of a source, or the reason why they could not be made."""
    try:
        if isinstance(source, LastGoodScores):
            made = _again(night, source.earlier, steps)
        else:
            made = _scored(night, source, steps, inputs)
    except TesseraError as error:
        return error.what
    night.sink.record_audit(made.verdict())
    return made


def _scored(night: Night, source: ModelSource, steps: Sequence[FailedSource], inputs: Mapping[str, int]) -> Scored:
    from models.scoring.audit import Expected
    from models.scoring.batch import Scorer, scored
    from models.scoring.drift import DriftMeter, DriftReference

    settings, loaded = night.settings, source.model
    versions = (source.version, loaded.sha256, loaded.card.feature_version)
    scorer = Scorer(loaded.model, loaded.encoder, *versions, _ENTITY)
    reference = DriftReference.model_validate_json(loaded.extras[DRIFT])
    meter = DriftMeter(reference, settings.drift, source.features_of)
    features = _feature_batches(night.lake, source.features_of, loaded.encoder, settings.scoring.batch_rows)
    with scored(meter.watch(features), scorer, settings.scoring) as rows:
        attempt = attempt_of(_digest(rows.reader()))
        night.sink.write_attempt(APP, night.day, attempt, rows.reader())
        counts = {"scored": rows.rows, "contacts": rows.contacts, "explained": rows.explained}

    def expected() -> Expected:
        scope = night.lake.scan(churn_features.TABLE, first=source.features_of, last=source.features_of)
        entities = (batch.column(0) for batch in scope.to_batches(columns=[_ENTITY]))
        return Expected(entities, loaded.sha256, loaded.card.feature_version)

    limits = _limits(settings.audit, steps)
    report = _audited(night, attempt, expected, limits, _earlier(night, source))
    draft = Publication(
        app=APP,
        day=night.day,
        attempt=attempt,
        degradation=source.degradation,
        model_version=source.version,
        model_package=loaded.sha256,
        feature_version=loaded.card.feature_version,
        features_of=source.features_of,
        rows=report.rows,
        digest=report.digest,
        inputs=dict(inputs),
        counts=counts,
        metrics=report.metrics,
        run_id=night.run_id,
        published_at=datetime.now(UTC),
        why=_by_hand(night.registry, source.version),
        steps=tuple(str(step) for step in steps),
    )
    return Scored(draft, report, meter.report())


@dataclass(frozen=True)
class Published:
    """Publication of the day, and the verdict on the draft of this run."""

    publication: Publication
    verdict: str

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: the publication record."""
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


def publish(sink: Sink, notifier: Notifier, day: date) -> Published:
    """Publish the day's audited draft and return the publication; notify people of each step down the ladder.

    A set never replaces a published one of a better source. Notices go out before the set is published: if the process
    dies between the two, the next run sends them again, and no notice is lost.

    Raises:
        TesseraError: nothing was audited for the day, or the audit blocked it.
    """
    verdict = sink.draft(APP, day)
    if verdict is None:
        raise TesseraError(
            f"No scores of {APP} wait to be published for {day}.",
            expected="scores that passed the audit",
            todo=f"Run `tessera run {APP}_nightly --date {day}`.",
        )
    draft = verdict.draft
    better = _better(sink, draft) if verdict.passed else None
    if better is not None:
        return Published(better, f"{better.degradation} scores stay published; {draft.degradation} ones are not needed")
    if draft.steps and not _stands(sink, draft):
        _tell_steps(notifier, draft)
    standing = sink.publish(draft)
    if standing.run_id != draft.run_id:
        return Published(standing, f"identical to what run {standing.run_id[:8]} published: nothing changed")
    if standing.degradation == "fresh":
        return Published(standing, f"published, {standing.rows:,} rows")
    words = f"published, degraded: {standing.degradation} of {standing.features_of}"
    return Published(standing, f"{words} ({'; '.join(standing.steps)})" if standing.steps else words)


def _better(sink: Sink, draft: Publication) -> Publication | None:
    """Return the publication of the draft's day, if its source is better and its rows can be read."""
    try:
        standing = sink.published(draft.app, draft.day)
        if standing is None or LADDER.index(standing.degradation) >= LADDER.index(draft.degradation):
            return None
        for _ in sink.published_rows(standing):
            pass
    except DamagedScores:
        return None
    return standing


def _stands(sink: Sink, draft: Publication) -> bool:
    """Return the draft's rows are published already."""
    try:
        standing = sink.published(draft.app, draft.day)
    except DamagedScores:
        return False
    return standing is not None and standing.attempt == draft.attempt


def _tell_steps(notifier: Notifier, draft: Publication) -> None:
    """One notice for each step down."""
    rungs = [step.partition(":")[0] for step in draft.steps]
    for step, following in zip(draft.steps, [*rungs[1:], draft.degradation], strict=True):
        of = f" of {draft.features_of}" if following == draft.degradation else ""
        _tell(
            notifier,
            "warning",
            f"{draft.app} {draft.day}: {following}",
            f"Step down from {step}. Next: {following}{of}. Publishing: {draft.degradation}, version "
            f"{draft.model_version}. Repair it and run {draft.app}_nightly again.",
            draft.day,
            draft.run_id,
        )


def _tell_losses(night: Night) -> None:
    """Notify people of published scores that storage has lost, every night until they are published again."""
    losses = night.sink.repair(APP)
    if losses:
        subject = f"{APP}: published scores are damaged"
        _tell(night.notifier, "error", subject, "\n".join(losses), night.day, night.run_id)


def _nothing_left(night: Night, steps: Sequence[FailedSource], *, told: bool) -> TesseraError:
    reasons = "; ".join(str(step) for step in steps)
    after = "There is nothing older that may stand in for them." if told else "A fallback may find other scores."
    command = f"tessera run {APP}_{'nightly' if told else 'fallback'} --date {night.day}"
    error = TesseraError(
        f"No scores for {night.day} can be made: {reasons}. {after}",
        expected=f"a champion and features of {night.day}, or as fallback features up to "
        f"{night.settings.max_stale_days} days old or any published scores",
        todo=f"Repair what failed, then run `{command}`." if told else f"Run `{command}`, or repair what failed.",
    )
    if told:
        _tell(night.notifier, "error", f"{APP} {night.day}: nothing is published", str(error), night.day, night.run_id)
    return error


def _tell(notifier: Notifier, level: Level, subject: str, body: str, day: date, run_id: str) -> None:
    """Losing a notice must not stop scores; the log then holds it."""
    try:
        notifier.notify(level, subject, body, {"app": APP, "day": day.isoformat(), "run_id": run_id})
    except TesseraError as error:
        _LOGGER.error("%s %s (%s)", subject, body, error)


def _inputs(night: Night) -> dict[str, int]:
    return {table: night.lake.version(table) for table in ("orders", churn_features.TABLE)}


def _verdicts(night: Night) -> list[AuditVerdict]:
    try:
        return list(night.sink.audits(APP, night.day))
    except DamagedScores:
        return []  # every source is then audited again


def _feature_batches(lake: Lake, day: date, encoder: Encoder, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Return the day's feature rows as they were written: in ascending order of the entity."""
    from models.scoring.feature_files import feature_batches

    columns = [_ENTITY, *encoder.numeric, *encoder.categories]
    return feature_batches(lake.files(churn_features.TABLE, first=day, last=day), columns, batch_rows=batch_rows)


def _digest(rows: pa.RecordBatchReader) -> str:
    from models.scoring.digest import RowsDigest

    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
    return digest.hexdigest()


def _limits(limits: AuditConfig, steps: Sequence[FailedSource]) -> AuditConfig:
    """After a step down, another model gets no wider limit: the shift that stopped the night may be in the features."""
    return limits.model_copy(update={"psi_block_new_model": limits.psi_block}) if steps else limits


def _audited(
    night: Night,
    attempt: str,
    expected: Callable[[], Expected],
    limits: AuditConfig,
    earlier: Iterable[Publication],
) -> AuditReport:
    """Return the audit of an attempt against the first of `earlier` whose rows can be read, or against none."""
    from models.scoring.audit import audit

    for compared in [*earlier, None]:
        try:
            return audit(
                night.sink.read_attempt(APP, night.day, attempt),
                expected(),
                scoring=night.settings.scoring,
                limits=limits,
                earlier=_scores_of(night.sink, compared) if compared else None,
            )
        except DamagedScores:
            if compared is None:
                raise
    raise AssertionError("the last attempt returns or raises")


def _scores_of(sink: Sink, publication: Publication) -> EarlierScores:
    from models.scoring.audit import EarlierScores

    by = f"version {publication.model_version}"
    return EarlierScores(publication.model_package, sink.published_rows(publication), by)


def _earlier(night: Night, source: ModelSource) -> Iterator[Publication]:
    """Scores published lately before the day, newest first; for a champion before, first those that it made."""
    oldest = night.day - timedelta(days=night.settings.audit.max_earlier_days)
    days = [found for found in night.sink.published_days(APP) if oldest <= found < night.day]
    found = [night.sink.published(APP, day) for day in reversed(days)]
    published = [publication for publication in found if publication is not None]
    if source.degradation == "champion_before":
        published.sort(key=lambda publication: publication.model_package != source.model.sha256)
    return iter(published)


def _again(night: Night, earlier: Publication, steps: Sequence[FailedSource]) -> Scored:
    """Return the last good scores once more, as an attempt of the day, audited against themselves."""
    from models.scoring.audit import Expected

    sink, attempt = night.sink, earlier.attempt
    sink.write_attempt(APP, night.day, attempt, sink.published_rows(earlier))

    def expected() -> Expected:
        entities = (batch.column("entity_id") for batch in sink.published_rows(earlier))
        return Expected(entities, earlier.model_package, earlier.feature_version)

    report = _audited(night, attempt, expected, night.settings.audit, [earlier])
    now = {
        "day": night.day,
        "action": "publish",
        "was": "",
        "degradation": "last_good_scores",
        "run_id": night.run_id,
        "published_at": datetime.now(UTC),
        "why": "; ".join(filter(None, [f"scores of {earlier.day} once more", earlier.why])),
        "who": "",
        "refused": {},
        "steps": tuple(str(step) for step in steps),
    }
    return Scored(earlier.model_copy(update=now), report, None)


def _by_hand(registry: Registry, version: str) -> str:
    """Return the sentence that goes with everything that a refused champion makes; empty for any other version."""
    return passed_by_hand([entry for entry in registry.ledger(APP) if entry.to_version == version])


def _drift_table(drift: DriftReport) -> dg.TableMetadataValue:
    columns = ["feature", "psi", "null_share", "null_share_in_training", "unseen_share", "drifted", "note"]
    types = ["string", "float", "float", "float", "float", "bool", "string"]
    schema = dg.TableSchema([dg.TableColumn(name, type_) for name, type_ in zip(columns, types, strict=True)])
    rows = [{name: getattr(row, name) for name in columns} for row in drift.features]
    records = [
        dg.TableRecord({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=schema)
