"""Steps behind `fraud/performance`: how good a day's scores and alerts were, once its labels had time to arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.fraud import scoring as fraud_scoring
from assets.fraud import training as fraud_training
from assets.stages import metadata_keys as keys
from assets.stages.realized_performance import Arrived, RealizedDay, accepted_version
from models.features.fraud_definitions import LABEL_DELAY_DAYS
from models.settings import FraudSettings
from resources.alert_store.port import AlertStore
from resources.engine.port import Engine
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.evaluation.realized import Realized
    from models.fraud.performance import Quality

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: One row for each day that was evaluated; evaluated again, it is replaced.
TABLE, DAY = "fraud_quality", "paid_on"
_SCHEMA = pa.schema(
    [
        (DAY, pa.date32()),
        ("judged_on", pa.date32()),
        ("model_version", pa.string()),
        ("knew_labels", pa.bool_()),
        ("payments", pa.int64()),
        ("labelled", pa.int64()),
        ("frauds", pa.int64()),
        ("average_precision", pa.float64()),
        ("card_precision", pa.float64()),
        ("alerts", pa.int64()),
        ("alert_precision", pa.float64()),
        ("alert_recall", pa.float64()),
    ]
)
_MEASURED = ("average_precision", "card_precision", "alert_precision", "alert_recall")


@dataclass(frozen=True)
class RealizedPerformance:
    """Matured labels of the payments of `day`, and the quality of its scores (None: the day was not scored).

    `knew_labels`: the model was trained or evaluated on labels of that day, so that its scores are flattered.
    `pooled`: the gate's metric over the last days that the model scored, as many as a hold-out has; None: it knew
    labels of them, or they have too few frauds.
    """

    day: date
    known: Quality
    scores: Quality | None
    model_version: str
    knew_labels: bool
    min_labelled_share: float
    pooled: Realized | None = None

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot, and the context needed to read them."""
        shown: dict[str, Any] = {keys.PAID_ON: self.day.isoformat(), keys.PAYMENTS: self.known.payments}
        if self.known.labelled_share is not None:
            shown |= {keys.LABELLED_SHARE: round(self.known.labelled_share, 6), keys.FRAUDS: self.known.frauds}
        if self.scores is None:
            return shown | {keys.NOTE: f"no scores of {self.day}: run `tessera run fraud_nightly --date {self.day}`"}
        measured = {name: getattr(self.scores, name) for name in _MEASURED}
        shown |= {name: round(value, 6) for name, value in measured.items() if value is not None}
        shown |= {
            keys.ALERTS: self.scores.alerts,
            keys.SCORED: self.scores.payments,
            keys.MODEL_VERSION: self.model_version,
        }
        if self.pooled and self.pooled.promise:
            shown[keys.PROMISED] = round(self.pooled.promise.value, 6)
        note = {keys.NOTE: "the model was trained on labels of this day: it looks better than it is"}
        return shown | note if self.knew_labels else shown

    def checks(self) -> list[dg.AssetCheckResult]:
        """Return the checks of quality and of arrival: too few labels, and the next training would see too few."""
        share, pooled = self.known.labelled_share, self.pooled
        says = "no payments on that day"
        if share is not None:
            says = f"{self.known.labelled:,} of {self.known.payments:,} payments of {self.day} have a label"
        arrived = Arrived(share, says, self.min_labelled_share)
        unmeasured = "the model knew labels of that day" if self.knew_labels else "too few frauds, or no scores"
        measured = (pooled,) if pooled else ()
        return RealizedDay(self.day, self.model_version, arrived, measured, "" if pooled else unmeasured).checks()


def measure(
    lake: Lake, engine: Engine, registry: Registry, sink: Sink, store: AlertStore, settings: FraudSettings, as_of: date
) -> RealizedPerformance:
    """Measure the day whose labels had until `as_of` to arrive; write its row to the lake if it was scored.

    Rows of other days that the lake lost are written again.
    """
    for lost in lake.repair(TABLE):
        _measure(lake, engine, registry, sink, store, settings, lost + timedelta(days=LABEL_DELAY_DAYS))
    return _measure(lake, engine, registry, sink, store, settings, as_of)


def _measure(
    lake: Lake, engine: Engine, registry: Registry, sink: Sink, store: AlertStore, settings: FraudSettings, as_of: date
) -> RealizedPerformance:
    from models.fraud.performance import labels_known, matured_quality
    from models.training.model_package import described

    day = as_of - timedelta(days=LABEL_DELAY_DAYS)
    pooled_days = [day - timedelta(days=n) for n in range(settings.holdout_days)]
    labels = fraud_training.labels(lake, engine, pooled_days[-1], as_of).select(["transaction_id", "is_fraud"])
    known = labels_known(_with_labels(_payments(lake, day, as_of), labels)["is_fraud"])
    scored = fraud_scoring.published_scores(sink, day)
    if not scored.num_rows:
        return RealizedPerformance(day, known, None, "", False, settings.performance.min_labelled_share)
    alerted = {alert.entity_id for alert in store.find(fraud_training.APP, day, day)}
    quality = matured_quality(_with_labels(scored, labels), alerted, per_day=settings.alerts_per_day)
    version = str(scored["model_version"][0])
    _, card = described(registry.fetch(fraud_training.APP, version))
    unseen = [one for one in pooled_days if (card.as_of - one).days < LABEL_DELAY_DAYS]
    pooled = _pooled(sink, registry, labels, unseen, settings) if day in unseen else None
    found = RealizedPerformance(
        day, known, quality, version, day not in unseen, settings.performance.min_labelled_share, pooled
    )
    lake.replace(TABLE, _row(found, quality, as_of), by=DAY, first=day, last=day)
    return found


def _pooled(
    sink: Sink, registry: Registry, labels: pa.Table, days: Sequence[date], settings: FraudSettings
) -> Realized | None:
    """Return the gate's metric over these days, newest first, as far as the model of the first one scored them."""
    from models.evaluation.realized import realized
    from models.tasks.named import task_of

    publication = sink.published(fraud_training.APP, days[0])
    assert publication is not None  # noqa: S101 - for the type checker: the day was scored
    scored = [fraud_scoring.published_scores(sink, day) for day in days]
    by_model = pc.field("model_package") == publication.model_package
    rows = pa.concat_tables(scored).filter(by_model).select(["transaction_id", "customer_id", "score"])
    known = rows.join(labels, "transaction_id", join_type="inner").sort_by("transaction_id")
    known = known.filter(pc.field("is_fraud").is_valid())
    task = task_of("binary")
    metric = task.metric(settings.gate.metric)
    return realized(
        metric,
        known["is_fraud"].to_numpy().astype(task.label_type),
        known["score"].to_numpy().astype(float),
        pc.dictionary_encode(known["customer_id"].combine_chunks()).indices.to_numpy(),
        accepted_version(registry, publication).promises.get(metric.name),
        max_drop=settings.performance.max_drop,
    )


def _payments(lake: Lake, day: date, as_of: date) -> pa.Table:
    """Ids of the payments of `day` that were delivered until `as_of`."""
    start = datetime.combine(day, time.min, tzinfo=UTC)
    paid = pc.field("paid_at")
    of_the_day = (paid >= pa.scalar(start)) & (paid < pa.scalar(start + timedelta(days=1)))
    return lake.scan("payments", first=day, last=as_of).to_table(columns=["transaction_id"], filter=of_the_day)


def _with_labels(payments: pa.Table, labels: pa.Table) -> pa.Table:
    return payments.join(labels, "transaction_id", join_type="left outer").sort_by("transaction_id")


def _row(found: RealizedPerformance, quality: Quality, as_of: date) -> pa.Table:
    values = {name: getattr(quality, name) for name in ("payments", "labelled", "frauds", "alerts", *_MEASURED)}
    known = {"judged_on": as_of, "model_version": found.model_version, "knew_labels": found.knew_labels}
    return pa.Table.from_pylist([{DAY: found.day, **known, **values}], _SCHEMA)
