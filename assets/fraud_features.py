"""Steps behind `fraud/features`: window features of the payments of some days, each day as one partition."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.engine.port import Engine
from resources.lake.port import Lake

if TYPE_CHECKING:
    import pyarrow.dataset as ds

TABLE, DAY = "fraud_features", "feature_date"
TABLES = ("payments", "payment_labels")
#: A payment sees so many days before its own: 30 days of windows, 7 days that labels take, and the rest of a day.
LOOKBACK_DAYS = 38


def computed(lake: Lake, engine: Engine, first: date, last: date) -> pa.RecordBatchReader:
    """Features of every payment of the days `first`..`last`, ascending by moment and id, streamed.

    Columns: `transaction_id`, `customer_id`, `terminal_id`, `event_timestamp`, then the features.
    """
    from models.features.fraud import fraud_features

    tables = {"payments": _seen(lake, "payments", first), "labels": _seen(lake, "payment_labels", first)}
    return engine.query(fraud_features, tables, first=first, last=last)


def write(lake: Lake, engine: Engine, day: date) -> int:
    """Number of payments of `day` whose features the lake holds afterwards."""
    found = computed(lake, engine, day, day).read_all()
    dated = found.append_column(DAY, pa.array([day] * found.num_rows, pa.date32()))
    lake.replace(TABLE, dated, by=DAY, first=day, last=day)
    return found.num_rows


def _seen(lake: Lake, table: str, first: date) -> ds.Dataset:
    """What was delivered since the windows of `first` begin; of what came later, windows take none."""
    return lake.scan(table, first=first - timedelta(days=LOOKBACK_DAYS))
