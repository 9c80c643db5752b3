"""Score the payments of a day, read what is published of them, and add the alerts that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.fraud.app import FRAUD
from assets.fraud.model import FraudModel, alert_threshold, computed_features
from assets.stages import metadata_keys as keys
from assets.stages.scoring_task import ScoringTask
from models.alerts import Alert
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.fraud.alerts import Scored, alerts_after
from models.settings import FraudSettings
from models.timestamps import to_epoch_micros
from resources.alert_store.port import AlertStore
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import DamagedScores, Sink

if TYPE_CHECKING:
    from models.scoring.batch import DecisionRule
    from models.training.model_package import LoadedModel

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_KEYS = tuple(column.name for column in FRAUD.contract.keys)


def scoring_task(settings: FraudSettings) -> ScoringTask:
    """The scoring of a day's payments: by the champion, else by the champion before.

    There is no fallback below: scores of earlier payments say nothing of today's, nor do older features.
    """
    return ScoringTask(
        app=FRAUD,
        audit=settings.audit,
        drift=settings.drift,
        rule=_alert_counter,
        computed=computed_features(),
    )


def _alert_counter(model: LoadedModel) -> DecisionRule:
    """Count the payments over the model's threshold; raises `TesseraError` for a model the stream could not use."""
    from models.fraud.alert_counter import AlertCounter

    return AlertCounter(alert_threshold(model))


def published_scores(sink: Sink, day: date) -> pa.Table:
    """The published scores of `day`, ascending by time and id; no rows if none are, or if their storage is damaged.

    The nightly run reports damage (`Sink.repair`); scoring the day once more writes it again.
    """
    try:
        if sink.published(FRAUD.name, day) is not None:
            return sink.scores(FRAUD.name, day)[1].read_all()
    except DamagedScores:
        pass
    return FRAUD.contract.schema.empty_table()


@dataclass(frozen=True)
class Backfilled:
    """Alerts of a day: those that stood before, those that were added, all of them now, and how many can be read."""

    before: int
    added: int
    alerts: int
    budget: int

    def metadata(self) -> dict[str, int]:
        """Return the metadata shown in Dagster: numbers that plot."""
        return {
            keys.ALERTS: self.alerts,
            keys.ALREADY_RAISED: self.before,
            keys.ADDED: self.added,
            keys.BUDGET: self.budget,
        }


def add_missing_alerts(
    lake: Lake, sink: Sink, registry: Registry, store: AlertStore, day: date, *, budget: int
) -> Backfilled:
    """Raise an alert for every card of `day` whose published scores call for one and that has none.

    What the stream raised, and what was labelled, stays as it is. Thresholds and reasons are those of the model that
    gave the scores, whichever version is the champion now.
    """
    standing = {alert.alert_id for alert in store.find(FRAUD.name, day, day)}
    missing = [alert for alert in _called_for(lake, sink, registry, day) if alert.alert_id not in standing]
    # Who was forgotten since the scores were read has no rows in the lake, and gets no alert either.
    forgotten = lake.forgotten("customer")
    added = store.add_alerts([alert for alert in missing if alert.entity_id not in forgotten])
    return Backfilled(len(standing), added, len(store.find(FRAUD.name, day, day)), budget)


def _called_for(lake: Lake, sink: Sink, registry: Registry, day: date) -> list[Alert]:
    scores = published_scores(sink, day)
    if not scores.num_rows:
        return []
    model = FraudModel(registry, scores["model_version"][0].as_py())
    high = scores.filter(pc.greater_equal(scores["score"], model.threshold))
    ids = high["transaction_id"].combine_chunks()
    features = _features(lake, day)
    features = features.filter(pc.is_in(features["transaction_id"], ids))
    score_of = dict(zip(ids.to_pylist(), high["score"].to_pylist(), strict=True))
    found = (_scored(row, score_of[row["transaction_id"]], model.version) for row in features.to_pylist())
    return list(alerts_after(found, {}, reasons=model.reasons).values())


def _scored(row: dict[str, Any], score: float, version: str) -> Scored:
    cents = round(row["amount"] * 100)
    payment = Payment(
        row["transaction_id"], row["customer_id"], row["terminal_id"], to_epoch_micros(row["event_timestamp"]), cents
    )
    return Scored(payment, [row[name] for name in FEATURES], score, version)


def _features(lake: Lake, day: date) -> pa.Table:
    """The day's features as they were written: ascending by time and id."""
    return lake.scan(FRAUD.features, first=day, last=day).to_table(columns=[*_KEYS, *FEATURES])
