"""Steps behind `fraud/features`: window features of the payments of some days, each day as one partition."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from assets.fraud import feedback as alert_feedback
from assets.fraud.app import FRAUD
from models.features.fraud_definitions import LOOKBACK_DAYS
from resources.engine.port import Engine
from resources.lake.port import Lake

TABLE, DAY = FRAUD.features, "feature_date"
TABLES = FRAUD.made_from


def computed(lake: Lake, engine: Engine, first: date, last: date) -> pa.RecordBatchReader:
    """Features of every payment of the days `first`..`last`, ascending by moment and id, streamed.

    Columns: `transaction_id`, `customer_id`, `terminal_id`, `event_timestamp`, then the features. What the source or an
    analyst says of a payment replaces what was said before, from its own moment on.
    """
    from models.features.fraud import asked_payments
    from models.fraud.labels import labelled_features

    return engine.query(labelled_features, {**_tables(lake, first), "asked": asked_payments(first, last)})


def computed_until(lake: Lake, engine: Engine, moment: datetime) -> pa.Table:
    """As `computed`, the payments from the day's beginning to `moment`, from nothing that came after it."""
    from models.features.fraud import asked_payments
    from models.fraud.labels import labelled_features_known

    day = moment.date()
    tables = {**_tables(lake, day), "asked": asked_payments(day, day, moment)}
    return engine.query(labelled_features_known, tables).read_all()


def _tables(lake: Lake, first: date) -> dict[str, Any]:
    # What was delivered since the windows of `first` begin; of what came later, windows take none.
    seen = first - timedelta(days=LOOKBACK_DAYS)
    return {
        "payments": lake.refer("payments", first=seen),
        "labels": lake.refer("payment_labels", first=seen),
        "feedback": alert_feedback.answers(lake, first=seen),
    }


def write(lake: Lake, engine: Engine, day: date) -> int:
    """Return number of payments of `day` whose features the lake holds afterwards.

    Days that it lost are computed again.
    """
    for lost in lake.repair(TABLE):
        _write(lake, engine, lost)
    return _write(lake, engine, day)


def _write(lake: Lake, engine: Engine, day: date) -> int:
    found = computed(lake, engine, day, day).read_all()
    dated = found.append_column(DAY, pa.array([day] * found.num_rows, pa.date32()))
    lake.replace(TABLE, dated, by=DAY, first=day, last=day)
    return found.num_rows
