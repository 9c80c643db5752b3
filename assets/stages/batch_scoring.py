"""Score a day by the best source there is, write the rows as an attempt, and audit what was written.

A night takes the best source of scores that can be used, and stops if the audit blocks it. A fallback goes down the
ladder (`assets.stages.score_sources`) from below what the audit has blocked before, and notifies when nothing is left.
Publishing what passed is the next step (`assets.stages.publication`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from assets.stages.attempt_info import AttemptInfo, checks_of
from assets.stages.attempt_rows import Night, feature_batches_of, write_composed, write_scored
from assets.stages.publication import last_or_waiting, notify
from assets.stages.score_sources import (
    CompositionSource,
    ComputedSource,
    FailedSource,
    LastGoodScores,
    ModelSource,
    ScoreSource,
    blocked,
    sources,
)
from assets.stages.scoring_task import WORST_OF_A_NIGHT, ScoringTask
from assets.stages.training_task import DRIFT
from assets.stages.watched_night import before, watched
from models.errors import TesseraError
from models.ledger import passed_by_hand
from models.publishing import LADDER, AuditVerdict, ChallengerShare, Degradation, Publication
from models.tracing import current_traceparent, traced
from resources.notifier.message import message
from resources.sink.port import DamagedScores, Sink

if TYPE_CHECKING:
    from models.scoring.audit import AuditReport, Before, EarlierScores, Expected
    from models.scoring.config import AuditConfig
    from models.scoring.drift import DriftMeter


def score(night: Night, worst: Degradation = WORST_OF_A_NIGHT) -> AttemptInfo:
    """Write the scores of the day as an attempt, audit them as read back, and record the verdict in the sink.

    The attempt is named by the digest of its rows, so the same rows are always the same attempt.

    Args:
        night: the stores and the day.
        worst: the last score source that may be used. Beyond `WORST_OF_A_NIGHT`, a set that the audit blocks is
            followed by the next source; before, it ends the ladder.

    Raises:
        TesseraError: no source of scores is left; a notice says so.
    """
    _tell_losses(night)
    is_fallback = LADDER.index(worst) > LADDER.index(WORST_OF_A_NIGHT)
    verdicts = _verdicts(night) if is_fallback else []
    inputs = _inputs(night)
    steps: list[FailedSource] = []
    for source in sources(night.task, night.lake, night.registry, night.sink, night.day, worst):
        failed = source if isinstance(source, FailedSource) else None
        reason = blocked(source, verdicts, inputs)
        if not (failed or reason):
            made = _attempt(night, source, steps, inputs, allow_split=not is_fallback)  # pyright: ignore[reportArgumentType] - it has not failed
            if isinstance(made, AttemptInfo) and (made.audit.passed or not is_fallback):
                return made
            reason = made.verdict().failures() if isinstance(made, AttemptInfo) else made
        steps.append(failed or FailedSource(source.degradation, reason))
    raise _nothing_left(night, steps, told=is_fallback)


def recheck(night: Night) -> list[dg.AssetCheckResult]:
    """Audit the day's set once more, and measure the drift of its features; nothing is written.

    The set is the one that was published last, else the one that waits.

    Raises:
        TesseraError: the day has no scores, or their model is not the one that the registry has.
    """
    draft, _ = last_or_waiting(night.sink, night.app, night.day)
    if draft is None:
        raise TesseraError(
            f"There are no scores of {night.app} for {night.day} to check.",
            expected="a day that was scored",
            todo=f"Choose another day, or run `tessera run {night.app}_nightly --date {night.day}`.",
        )
    limits, attempt = _limits(night.task.audit, draft.steps), draft.attempt
    if draft.degradation == "last_good_scores":
        rows = partial(night.sink.read_attempt, night.app, night.day, attempt)
        report = _audited(night, attempt, lambda: _scope_of(night, rows(), draft), limits, [], None)
        return checks_of(report, None, "")
    source = _source_of(night, draft)
    earlier = _earlier(night, source)
    past = before(night, source)
    report = _audited(night, attempt, lambda: _scope(night, source, draft.challenger), limits, earlier, past)
    meter = _drift_meter(night.task, source)
    for _ in meter.watch(feature_batches_of(night, source)) if meter and isinstance(source, ModelSource) else ():
        pass
    report, drift, words = watched(night, source, past, report, meter, draft.counts)
    return checks_of(report, drift, words)


def _source_of(night: Night, draft: Publication) -> ComputedSource:
    source = _loaded(night, draft)
    if source.package != draft.model_package:
        raise TesseraError(
            f"The scores of {night.app} for {night.day} were made by another version {draft.model_version} than the "
            "registry has.",
            expected="the registry that the scores were made with",
            todo=f"Restore the registry, or run `tessera run {night.app}_nightly --date {night.day}`.",
        )
    return source


def _loaded(night: Night, draft: Publication) -> ComputedSource:
    registry, version = night.registry, draft.model_version
    folder = registry.fetch(night.app, version)
    if (composed := night.task.composed) is not None:
        from models.compose.package import load_composition

        found = load_composition(folder, resources=composed.live, trusted=registry.trusted_packages)
        return CompositionSource(draft.degradation, draft.features_of, version, found, composed.feature_version)
    from models.training.model_package import load

    model = load(folder, trusted=registry.trusted_packages)
    return ModelSource(draft.degradation, draft.features_of, version, model)


def _attempt(
    night: Night, source: ScoreSource, steps: Sequence[FailedSource], inputs: Mapping[str, int], *, allow_split: bool
) -> AttemptInfo | str:
    """Scores of a source, or the reason why they could not be made."""
    try:
        if isinstance(source, LastGoodScores):
            made = _republish_last(night, source.earlier, steps)
        else:
            made = _score_by_model(night, source, steps, inputs, allow_split=allow_split)
    except TesseraError as error:
        return error.what
    night.sink.record_audit(made.verdict())
    return made


def _score_by_model(
    night: Night,
    source: ComputedSource,
    steps: Sequence[FailedSource],
    inputs: Mapping[str, int],
    *,
    allow_split: bool,
) -> AttemptInfo:
    """Scores by a champion from the feature rows of a day, and by the challenger of a replacement."""
    meter = _drift_meter(night.task, source)
    challenger = None
    if isinstance(source, CompositionSource):
        attempt, counts = write_composed(night, source)
    else:
        attempt, counts, challenger, meter = _write_by_models(night, source, meter, allow_split=allow_split)

    def expected() -> Expected:
        return _scope(night, source, challenger)

    limits = _limits(night.task.audit, steps)
    past = before(night, source)
    report = _audited(night, attempt, expected, limits, _earlier(night, source), past)
    report, drift, words = watched(night, source, past, report, meter, counts)
    draft = Publication(
        app=night.app,
        day=night.day,
        attempt=attempt,
        degradation=source.degradation,
        model_version=source.version,
        model_package=source.package,
        feature_version=source.feature_version,
        features_of=source.features_of,
        rows=report.rows,
        digest=report.digest,
        inputs=dict(inputs),
        counts=counts,
        metrics=dict(report.metrics),
        numbers=dict(report.numbers),
        run_id=night.run_id,
        published_at=datetime.now(UTC),
        why=_by_hand(night, source.version),
        steps=tuple(str(step) for step in steps),
        challenger=challenger,
        traceparent=current_traceparent(),
    )
    return AttemptInfo(draft, report, drift, night.task.has_fallback, words)


def _write_by_models(
    night: Night, source: ModelSource, meter: DriftMeter | None, *, allow_split: bool
) -> tuple[str, dict[str, int], ChallengerShare | None, DriftMeter | None]:
    """Write the champion's rows, or those of a replacement; a challenger that fails is left out, with a notice.

    Returns name and counts of the attempt, the challenger's part, and the meter that saw every row once.
    """
    from assets.stages.replacement.scoring import split_night, tell_left_out, write_split

    split = split_night(night, source) if allow_split else None
    if split is not None:
        from models.replacement.split import ChallengerFailed

        try:
            return (*write_split(night, source, split, meter), meter)
        except ChallengerFailed as error:
            tell_left_out(night, split.replacement, error.what)
            meter = _drift_meter(night.task, source)
    return (*write_scored(night, source, meter), None, meter)


def _drift_meter(task: ScoringTask, source: ComputedSource) -> DriftMeter | None:
    """Counts feature rows against the reference in the model's package; None if the package has none."""
    from models.scoring.drift import DriftMeter, DriftReference

    reference = source.extras.get(DRIFT)
    if reference is None:
        return None
    return DriftMeter(DriftReference.model_validate_json(reference), task.drift, source.features_of)


def _scope(night: Night, source: ComputedSource, challenger: ChallengerShare | None = None) -> Expected:
    """Entities of the day's feature rows, and the versions that every score row must have."""
    from models.scoring.audit import Expected

    entity = night.task.app.contract.entity
    scope = night.lake.scan(night.task.app.features, first=source.features_of, last=source.features_of)
    entities = (batch.column(0) for batch in scope.to_batches(columns=[entity]))
    named = [name for name in night.task.segments if name in scope.schema.names]
    segments = scope.to_batches(columns=named) if named else ()
    return Expected(entities, source.package, source.feature_version, segments, _versions_of(challenger))


def _versions_of(challenger: ChallengerShare | None) -> tuple[str, str] | None:
    return (challenger.package, challenger.feature_version) if challenger else None


def _scope_of(night: Night, rows: Iterable[pa.RecordBatch], published: Publication) -> Expected:
    """Entities of score rows: scores that are published once more have no feature rows of the day."""
    from models.scoring.audit import Expected

    entities = (batch.column(night.task.app.contract.entity) for batch in rows)
    versions = published.model_package, published.feature_version
    return Expected(entities, *versions, challenger=_versions_of(published.challenger))


def _tell_losses(night: Night) -> None:
    """Notify every night of published scores that storage has lost and of a damaged registry, until that is mended."""
    losses = night.sink.repair(night.app)
    if losses:
        subject = f"{night.app}: published scores are damaged"
        notify(night.notifier, "error", subject, "\n".join(losses), night.app, night.day, night.run_id, subject)
    if damage := night.registry.damage():
        subject = "The model registry is damaged"
        says = f"{damage}\nChampions whose packages are cached go on; nothing else can be loaded, and nothing promoted."
        body = message(says, command="tessera check   (whether it answers again)")
        notify(night.notifier, "error", subject, body, night.app, night.day, night.run_id, subject)


def _nothing_left(night: Night, steps: Sequence[FailedSource], *, told: bool) -> TesseraError:
    app, task = night.app, night.task
    falls = task.has_fallback and not told
    after = "A fallback may find other scores." if falls else "There is nothing older that may stand in for them."
    command = f"tessera run {app}_{'fallback' if falls else 'nightly'} --date {night.day}"
    older = f", or as fallback features up to {task.max_stale_days} days old or any published scores"
    error = TesseraError(
        f"No scores for {night.day} can be made: {'; '.join(str(step).rstrip('.') for step in steps)}. {after}",
        expected=f"a champion and features of {night.day}{older if task.has_fallback else ''}",
        todo=f"Run `{command}`, or repair what failed." if falls else f"Repair what failed, then run `{command}`.",
    )
    if told or not task.has_fallback:
        subject = f"{app} {night.day}: nothing is published"
        notify(night.notifier, "error", subject, str(error), app, night.day, night.run_id)
    return error


def _inputs(night: Night) -> dict[str, int]:
    return {table: night.lake.version(table) for table in night.task.inputs}


def _verdicts(night: Night) -> list[AuditVerdict]:
    try:
        return list(night.sink.audits(night.app, night.day))
    except DamagedScores:
        return []  # every source is then audited again


def _limits(limits: AuditConfig, steps: Sequence[object]) -> AuditConfig:
    """After a step down, another model gets no wider limit: the shift may be in the features."""
    return limits.model_copy(update={"psi_block_new_model": limits.psi_block}) if steps else limits


@traced("audit")
def _audited(
    night: Night,
    attempt: str,
    expected: Callable[[], Expected],
    limits: AuditConfig,
    earlier: Iterable[Publication],
    past: Before | None,
) -> AuditReport:
    """Return the audit of an attempt against the first of `earlier` whose rows can be read, or against none."""
    from models.scoring.audit import audit

    for compared in [*earlier, None]:
        try:
            return audit(
                night.sink.read_attempt(night.app, night.day, attempt),
                expected(),
                night.task.app.contract,
                limits=limits,
                earlier=_scores_of(night.sink, compared) if compared else None,
                rule=night.task.rule_checks(),
                before=past,
            )
        except DamagedScores:
            if compared is None:
                raise
    raise AssertionError("the last attempt returns or raises")


def _scores_of(sink: Sink, publication: Publication) -> EarlierScores:
    from models.scoring.audit import EarlierScores

    by = f"version {publication.model_version}"
    return EarlierScores(publication.model_package, sink.published_rows(publication), by)


def _earlier(night: Night, source: ComputedSource) -> Iterator[Publication]:
    """Scores published lately before the day, newest first; for a champion before, first those that it made."""
    oldest = night.day - timedelta(days=night.task.audit.max_earlier_days)
    days = [found for found in night.sink.published_days(night.app) if oldest <= found < night.day]
    found = [night.sink.published(night.app, day) for day in reversed(days)]
    published = [publication for publication in found if publication is not None]
    if source.degradation == "champion_before":
        published.sort(key=lambda publication: publication.model_package != source.package)
    return iter(published)


def _republish_last(night: Night, earlier: Publication, steps: Sequence[FailedSource]) -> AttemptInfo:
    """The last good scores once more, as an attempt of the day, audited against themselves."""
    sink, attempt = night.sink, earlier.attempt
    sink.write_attempt(night.app, night.day, attempt, sink.published_rows(earlier))

    def expected() -> Expected:
        return _scope_of(night, sink.published_rows(earlier), earlier)

    report = _audited(night, attempt, expected, night.task.audit, [earlier], None)
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
        "traceparent": current_traceparent(),
    }
    return AttemptInfo(earlier.model_copy(update=now), report, None, night.task.has_fallback)


def _by_hand(night: Night, version: str) -> str:
    """The sentence that goes with everything that a refused champion makes; empty for any other version."""
    return passed_by_hand([entry for entry in night.registry.ledger(night.app) if entry.to_version == version])
