"""Comparison of a night, before it is published, with the nights before and with the model's evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.stages import metadata_keys as keys
from assets.stages.attempt_info import ESTIMATED_QUALITY
from assets.stages.attempt_rows import Night
from assets.stages.score_sources import ComputedSource, ModelSource
from resources.sink.port import DamagedScores

if TYPE_CHECKING:
    from models.scoring.audit import AuditReport, Before
    from models.scoring.drift import DriftMeter, DriftReport
    from models.scoring.feature_findings import Unchanged
    from models.scoring.score_reference import ScoreReference

#: Rows of two days, the first of each, whose features are compared.
_COMPARED_ROWS = 8_192
#: Counts of the decision rule that say how many rows people act on.
_ACTED_ON = (keys.CONTACTS, keys.OVER_THRESHOLD)


def before(night: Night, source: ComputedSource) -> Before:
    """Numbers of the nights that were published before, and of the model's evaluation."""
    from models.scoring.audit import Before
    from models.scoring.night_numbers import PastNight
    from models.scoring.score_reference import SCORES, ScoreReference

    text = source.extras.get(SCORES)
    reference = ScoreReference.model_validate_json(text) if text else None
    days = [day for day in night.sink.published_days(night.app) if day < night.day]
    past: list[PastNight] = []
    for day in days[-night.task.audit.unusual.history_nights :]:
        try:
            found = night.sink.published(night.app, day)
        except DamagedScores:
            continue
        if found is not None and found.degradation == "fresh" and found.numbers:
            past.append(PastNight(day, found.model_package, found.numbers))
    return Before(night.day, past, reference)


def watched(
    night: Night,
    source: ComputedSource,
    past: Before,
    report: AuditReport,
    meter: DriftMeter | None,
    counts: Mapping[str, int],
) -> tuple[AuditReport, DriftReport | None, str]:
    """Return the audit with what was found of features and estimated quality, the drift, and reported drift in words.

    Args:
        night: the stores and the day.
        source: made the rows.
        past: the nights before.
        report: audit of the rows.
        meter: has counted the features; None: the package has no reference of them.
        counts: what the decision rule counted.
    """
    reference = past.reference
    if (estimate := _estimate(report, reference, counts, night.task.audit.unusual.estimate_drop)) is not None:
        report = estimate
    if meter is None:
        return report, None, ""
    from models.scoring.feature_findings import drift_words, feature_findings

    drift, importances = meter.report(), reference.importances if reference else {}
    same = [one for one in past.nights if one.model_package == source.package]
    found = feature_findings(drift, importances, _unchanged(night, source), same, night.task.drift)
    words = drift_words(found, drift, importances) if found.drifted else ""
    return report.with_checks(found.checks, {}, found.numbers), drift, words


def _estimate(
    report: AuditReport, reference: ScoreReference | None, counts: Mapping[str, int], max_drop: float
) -> AuditReport | None:
    from models.scoring.audit_checks import Check
    from models.scoring.estimated_quality import estimated_precision, promised_now

    if reference is None:
        return None
    if reference.uncalibrated:
        says = f"not estimated: {reference.uncalibrated}"
        return report.with_checks([Check(ESTIMATED_QUALITY, True, "note", says)], {}, {})
    metrics, checks = dict[str, float](), list[Check]()
    for accepted in reference.qualities:
        if (made := promised_now(report.scores, accepted, max_drop=max_drop)) is not None:
            estimate, check = made
            checks.append(check)
            name = f"estimated_{accepted.metric}"
            metrics |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    acted_on = next((counts[name] for name in _ACTED_ON if counts.get(name)), 0)
    if acted_on and (precision := estimated_precision(report.scores, acted_on)) is not None:
        metrics |= {"estimated_precision": precision.value}
        metrics |= {"estimated_precision_low": precision.low, "estimated_precision_high": precision.high}
    return report.with_checks(checks[:1], metrics, {})


def _unchanged(night: Night, source: ComputedSource) -> Unchanged:
    """Compare features with those of the newest day before, where an entity has one row a day."""
    from models.scoring.feature_findings import Unchanged, unchanged_shares

    contract, table = night.task.app.contract, night.task.app.features
    if not isinstance(source, ModelSource) or contract.order != (contract.entity,):
        return Unchanged()
    older = [day for day in night.lake.days(table) if day < source.features_of]
    if not older:
        return Unchanged()
    features = [*source.model.encoder.numeric, *source.model.encoder.categories]
    columns = [contract.entity, *features]
    before, now = (next(_heads(night, day, columns), None) for day in (older[-1], source.features_of))
    if before is None or now is None:
        return Unchanged()
    days = (source.features_of - older[-1]).days
    return unchanged_shares(before, now, contract.entity, features, days)


def _heads(night: Night, day: date, columns: list[str]) -> Iterator[pa.Table]:
    from models.scoring.feature_files import feature_batches

    files = night.lake.files(night.task.app.features, first=day, last=day)
    for batch in feature_batches(files, columns, batch_rows=_COMPARED_ROWS):
        yield pa.Table.from_batches([batch])
