"""Whose features are in the golden set of a fraud model."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from assets.fraud.training import golden_customers
from models.fraud.training_rows import HOLDOUT, REFIT, TRAIN
from models.training.golden import GOLDEN_ROWS


def test_the_golden_set_is_the_first_payments_that_are_judged() -> None:
    learnt, judged = datetime(2018, 7, 31, 23, tzinfo=UTC), datetime(2018, 8, 8, 1, tzinfo=UTC)
    moments = [learnt, learnt + timedelta(days=3), *(judged + timedelta(minutes=n) for n in range(GOLDEN_ROWS - 1))]
    moments += [judged + timedelta(hours=5)] * 2 + [judged + timedelta(hours=6)]
    customers = [f"c{n:03}" for n in range(len(moments))]
    parts = [TRAIN, REFIT, *[HOLDOUT] * (len(moments) - 2)]
    times = pa.array(moments, pa.timestamp("us", "UTC"))
    rows = pa.table({"customer_id": customers, "event_timestamp": times, "part": parts})
    # The last golden place is shared by two payments of one instant.
    assert golden_customers(rows) == customers[2:-1]
    assert golden_customers(rows.slice(0, 0)) == []
