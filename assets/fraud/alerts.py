"""Alerts with what analysts have not labelled yet, as a table in fraud's words."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from assets.stages.alerts import ListedAlert
from models.fraud.alerts import payments_of

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


def alert_table(found: Sequence[ListedAlert]) -> pa.Table:
    """Return one row per alert; `unlabelled` is the number of its payments without a label."""
    rows = [
        {name: getattr(one.alert, name) for name in _SCHEMA.names if hasattr(one.alert, name)}
        | {"customer_id": one.alert.entity_id, "payments": payments_of(one.alert)}
        | {"reasons": one.alert.why, "unlabelled": one.unlabelled}
        for one in found
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)
