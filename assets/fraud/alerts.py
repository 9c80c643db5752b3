"""Alerts with what analysts have not labelled yet, as objects and as a table in fraud's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa

from models.alerts import Alert, Feedback
from models.fraud.alerts import APP, payments_of
from resources.alert_store.port import AlertStore

#: Later than any clock.
_EVER = date(9999, 1, 1)
_SCHEMA = pa.schema(
    [
        ("alert_id", pa.string()),
        ("day", pa.date32()),
        ("customer_id", pa.string()),
        ("payments", pa.list_(pa.int64())),
        ("raised_for", pa.timestamp("us", "UTC")),
        ("score", pa.float64()),
        ("highest_score", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("model_version", pa.string()),
        ("label", pa.string()),
        ("unlabelled", pa.int64()),
    ]
)


@dataclass(frozen=True)
class ListedAlert:
    """An alert, and how many of its payments have no label: some may have joined it since it was labelled."""

    alert: Alert
    unlabelled: int


def listed_alerts(store: AlertStore, first: date, last: date) -> Sequence[ListedAlert]:
    """Return the alerts of these days: by day, then the highest score first."""
    found = store.find(APP, first, last)
    labels = labels_since(store, found[0].day) if found else ()
    said = {(one.alert_id, one.evidence_id) for one in labels}
    return [ListedAlert(one, sum((one.alert_id, id) not in said for id in one.evidence)) for one in found]


def labels_since(store: AlertStore, day: date) -> Sequence[Feedback]:
    """Return every label of payments of that day and later ones."""
    # A payment may lie ahead of this machine's clock by minutes, and a label by days if the clock was set back.
    return store.feedback(APP, day - timedelta(days=1), _EVER)


def moment_of_label(store: AlertStore, alert: Alert, now: datetime) -> datetime:
    """Return `now`, or the microsecond after the alert's last label if the clock was set back: the latest counts."""
    before = [one.labelled_at for one in labels_since(store, alert.day) if one.alert_id == alert.alert_id]
    return max(now, max(before) + timedelta(microseconds=1)) if before else now


def alert_table(found: Sequence[ListedAlert]) -> pa.Table:
    """Return one row per alert; `unlabelled` is the number of its payments without a label."""
    rows = [
        {name: getattr(one.alert, name) for name in _SCHEMA.names if hasattr(one.alert, name)}
        | {"customer_id": one.alert.entity_id, "payments": payments_of(one.alert)}
        | {"reasons": one.alert.why, "unlabelled": one.unlabelled}
        for one in found
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)
