"""A night under a replacement: both versions score every row, both answers are kept, a stable share is published."""

# pyright: basic
# pyarrow has no static types.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.stages.attempt_rows import Night, attempt_name, feature_batches_with
from assets.stages.promotion import model_of
from assets.stages.publication import notify
from assets.stages.replacement.decisions import current_replacement
from assets.stages.score_sources import ModelSource
from models.errors import TesseraError
from models.publishing import ChallengerShare
from models.replacement.events import ReplacementEvent
from models.tracing import traced
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.replacement.split import Side, SplitRule
    from models.scoring.batch import ScoredRows
    from models.scoring.drift import DriftMeter

#: Partition column of `<app>_replacement_answers`.
DAY = "scored_on"


def answers_table(app: str) -> str:
    """Return the lake table of both answers to each row."""
    return f"{app}_replacement_answers"


@dataclass(frozen=True)
class SplitNight:
    """The two models of a night and the replacement that divides it."""

    replacement: ReplacementEvent
    incumbent: Side
    challenger: Side
    rule: SplitRule


def split_night(night: Night, source: ModelSource) -> SplitNight | None:
    """Return the two models of the night; None: the champion scores alone.

    Only the champion's fresh scores are divided. A challenger that cannot be used is left out, with a notice.
    """
    from models.replacement.split import Side, SplitRule

    if source.degradation != "fresh" or night.task.app.streams:
        return None
    replacement = current_replacement(night.lake, night.registry, night.app)
    if replacement is None or replacement.incumbent != source.version:
        return None
    try:
        found = model_of(night.registry, night.app, replacement.challenger)
    except TesseraError as error:
        tell_left_out(night, replacement, error.what)
        return None
    task = night.task
    rule = SplitRule(replacement.salt, replacement.share, task.app.contract.entity, replacement.segment)
    incumbent = Side(source.version, source.model, task.predict(source.model))
    return SplitNight(replacement, incumbent, Side(found.version, found.model, task.predict(found.model)), rule)


@traced("score rows")
def write_split(
    night: Night, source: ModelSource, split: SplitNight, meter: DriftMeter | None
) -> tuple[str, dict[str, int], ChallengerShare]:
    """Return name and counts of the attempt with the rows of both, and the challenger's part; keep both answers.

    Raises:
        ChallengerFailed: the challenger gave no scores; nothing was written.
    """
    from models.replacement.split import SplitEncoder, split_model, split_scorer
    from models.scoring.batch import scored

    task, contract = night.task, night.task.app.contract
    scorer = split_scorer(split.incumbent, split.challenger, split.rule, contract)
    encoder = scorer.encoder
    assert isinstance(encoder, SplitEncoder)  # noqa: S101 - for the type checker
    features = feature_batches_with(night, source, [*encoder.numeric, *encoder.categories, *split.rule.columns])
    watched = meter.watch(features) if meter else features
    rule = task.rule(split_model(split.incumbent, split.challenger, scorer))
    with scored(watched, scorer, rule, batch_rows=task.batch_rows) as rows:
        by_challenger = _keep_answers(night, split, rows)
        attempt = attempt_name(rows.reader())
        night.sink.write_attempt(night.app, night.day, attempt, rows.reader())
        counts = {**rows.counts, "by_challenger": by_challenger}
    version, package, feature_version = split.challenger.versions
    part = ChallengerShare(
        version=version,
        package=package,
        feature_version=feature_version,
        share=split.replacement.share,
        rows=by_challenger,
    )
    return attempt, counts, part


def _keep_answers(night: Night, split: SplitNight, rows: ScoredRows) -> int:
    """Write both answers of each row to the lake, and return the number of rows of the challenger."""
    from models.replacement.split import ASSIGNED, CHALLENGER, INCUMBENT

    fields = night.task.app.contract.schema
    keys = [(column.name, fields.field(column.name).type) for column in night.task.app.contract.keys]
    schema = pa.schema(
        [
            (DAY, pa.date32()),
            *keys,
            (INCUMBENT, pa.float64()),
            (CHALLENGER, pa.float64()),
            (ASSIGNED, pa.bool_()),
            ("incumbent_version", pa.string()),
            ("challenger_version", pa.string()),
        ]
    )
    found = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal found
        for batch in rows.kept():
            known = dict(zip(batch.schema.names, batch.columns, strict=True))
            found += known[ASSIGNED].true_count
            known[DAY] = pa.repeat(pa.scalar(night.day, pa.date32()), batch.num_rows)
            known["incumbent_version"] = pa.repeat(split.replacement.incumbent, batch.num_rows)
            known["challenger_version"] = pa.repeat(split.replacement.challenger, batch.num_rows)
            columns = [known[name].cast(schema.field(name).type) for name in schema.names]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    table = answers_table(night.app)
    night.lake.repair(table)
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    night.lake.replace(table, reader, by=DAY, first=night.day, last=night.day)
    return found


def tell_left_out(night: Night, replacement: ReplacementEvent, why: str) -> None:
    """Notify that the night goes on without the challenger."""
    subject = f"{night.app} {night.day}: the challenger was left out"
    body = (
        f"Version {replacement.challenger}, phased in at {replacement.share:.0%}, gave no scores: {why} Version "
        f"{replacement.incumbent}, the champion, scored every row."
    )
    notify(night.notifier, "warning", subject, body, night.app, night.day, night.run_id)


def answered_days(lake: Lake, app: str) -> list[date]:
    """Return the days of which both answers are kept."""
    return list(lake.days(answers_table(app)))
