"""Steps behind `fraud/scores` and `fraud/alerts`: score the payments of a day, add the alerts that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.fraud import features as fraud_features
from assets.fraud.model import FraudModel
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.fraud.alerts import Alert, Scored, alerts_after
from models.timestamps import to_epoch_micros
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.stream_store.port import StreamStore

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

TABLE, DAY = "fraud_scores", "paid_on"
_KEYS = ("transaction_id", "customer_id", "terminal_id", "event_timestamp")


@dataclass(frozen=True)
class ScoredDay:
    """Summary of a day's scores: counts of payments, by `model_version`."""

    model_version: str
    payments: int
    alerting: int
    mean_score: float | None

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot."""
        mean = {} if self.mean_score is None else {"mean_score": round(self.mean_score, 6)}
        counts = {"dagster/row_count": self.payments, "payments": self.payments, "over threshold": self.alerting}
        return counts | mean | {"model_version": self.model_version}


def score(lake: Lake, model: FraudModel, day: date) -> ScoredDay:
    """Return the scores of every payment of `day`, in the lake.

    From the offline features, by the path that the stream takes.

    Columns: `transaction_id`, `customer_id`, `terminal_id`, `event_timestamp`, `score`, `model_version`, `paid_on`.
    """
    features = _features(lake, day)
    scores = np.asarray(model.scores(_matrix(features)), dtype=np.float64)
    rows = features.select(_KEYS).append_column("score", pa.array(scores))
    rows = rows.append_column("model_version", pa.array([model.version] * rows.num_rows, pa.string()))
    rows = rows.append_column(DAY, pa.array([day] * rows.num_rows, pa.date32()))
    lake.repair(TABLE)
    lake.replace(TABLE, rows, by=DAY, first=day, last=day)
    alerting = int((scores >= model.threshold).sum())
    return ScoredDay(model.version, rows.num_rows, alerting, float(scores.mean()) if scores.size else None)


def stored(lake: Lake, day: date) -> pa.Table:
    """Return the scores of `day` as they stand in the lake, ascending by moment and id; empty when there are none.

    Scores of which the lake lost anything are none: scoring the day once more writes them again.
    """
    lake.repair(TABLE)
    if not lake.exists(TABLE):
        return pa.table({"transaction_id": pa.array([], pa.int64())})
    return lake.scan(TABLE, first=day, last=day).to_table()


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
            "alerts": self.alerts,
            "already raised": self.before,
            "added": self.added,
            "budget": self.budget,
        }


def add_missing_alerts(lake: Lake, registry: Registry, store: StreamStore, day: date, *, budget: int) -> Backfilled:
    """Return the alerts of `day` after every card whose stored scores call for one has one.

    What the stream raised, and what was labelled, stays as it is. Thresholds and reasons are those of the model that
    gave the scores, whoever is in charge now.
    """
    standing = {alert.alert_id for alert in store.find(day, day)}
    missing = [alert for alert in _called_for(lake, registry, day) if alert.alert_id not in standing]
    # Who was forgotten since the scores were read has no rows in the lake, and gets no alert either.
    forgotten = lake.forgotten("customer")
    added = store.add_alerts([alert for alert in missing if alert.customer_id not in forgotten])
    return Backfilled(len(standing), added, len(store.find(day, day)), budget)


def _called_for(lake: Lake, registry: Registry, day: date) -> list[Alert]:
    scores = stored(lake, day)
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
    """Return the day's features as they were written: ascending by moment and id."""
    columns = [*_KEYS, *FEATURES]
    return lake.scan(fraud_features.TABLE, first=day, last=day).to_table(columns=columns)


def _matrix(features: pa.Table) -> np.ndarray:
    return np.column_stack([features[name].to_numpy() for name in FEATURES])
