"""Analysts' labels of alerts as a lake table: one row per payment and label, on the day it was given."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from resources.alert_store.port import AlertStore
from resources.lake.port import Lake, TableRef

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

TABLE, DAY = "payment_feedback", "labelled_on"


def copied(lake: Lake, store: AlertStore, day: date) -> int:
    """Return number of answers of `day` that the lake holds afterwards.

    Those of the store beside those it held already.

    What people said is not lost with the store: an empty one takes nothing out of the lake.
    """
    return copied_days(lake, store, day, day)


def copied_days(lake: Lake, store: AlertStore, first: date, last: date) -> int:
    """As `copied`, for all days `first`..`last` at once; days that the lake lost are copied again."""
    with lake.lock(TABLE):
        for lost in lake.repair(TABLE):
            _copy(lake, store, lost, lost)
        return _copy(lake, store, first, last)


def _copy(lake: Lake, store: AlertStore, first: date, last: date) -> int:
    from models.fraud.alerts import APP
    from models.fraud.labels import feedback_rows

    new = feedback_rows(store.feedback(APP, first, last))
    dated = new.append_column(DAY, pc.cast(new["labelled_at"], pa.date32()))
    if lake.exists(TABLE):
        dated = pa.concat_tables([lake.scan(TABLE, first=first, last=last).to_table(), dated])
    if not dated.num_rows:
        return 0
    rows = dated.group_by(dated.column_names).aggregate([])
    order = [(name, "ascending") for name in ("labelled_at", "transaction_id", "alert_id", "is_fraud")]
    lake.replace(TABLE, rows.sort_by(order), by=DAY, first=first, last=last)
    return lake.scan(TABLE, first=first, last=last).count_rows()


def answers(lake: Lake, *, first: date, last: date | None = None) -> TableRef | pa.Table:
    """Feedback of analysts on these days: columns of `models.fraud.labels.FEEDBACK`; empty before the first."""
    from models.fraud.labels import FEEDBACK

    return lake.refer(TABLE, first=first, last=last) if lake.exists(TABLE) else FEEDBACK.empty_table()
