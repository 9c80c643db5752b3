"""Which payments a fraud model learns from and is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
import pyarrow as pa

from models.features.fraud_definitions import LABEL_DELAY_DAYS

# pyarrow has no static types.
# pyright: basic


@dataclass(frozen=True)
class FraudDays:
    """The days of one training: first and last day of both sides. Between them lie the days that labels take."""

    train_first: date
    train_last: date
    holdout_first: date
    holdout_last: date


def fraud_days(as_of: date, *, train_days: int, holdout_days: int) -> FraudDays:
    """The newest days whose labels are known at the end of `as_of`.

    Every label that is learnt from was known before the first payment of the hold-out.
    """
    holdout_last = as_of - timedelta(days=LABEL_DELAY_DAYS)
    holdout_first = holdout_last - timedelta(days=holdout_days - 1)
    train_last = holdout_first - timedelta(days=LABEL_DELAY_DAYS + 1)
    return FraudDays(train_last - timedelta(days=train_days - 1), train_last, holdout_first, holdout_last)


def fraud_rows(features: pa.Table, labels: pa.Table, days: FraudDays) -> pa.Table:
    """The labelled payments of both sides, with `is_fraud`; ascending by moment and id.

    A card is left out of a day of the hold-out if a fraud on it was known when the day began: a blocked card pays no
    more (the published protocol, `get_train_test_set` of chapter 5). Payments nobody said anything about are left out,
    and of those that are learnt from the ones whose label was not known yet when the hold-out began.

    Args:
        features: of every payment from `days.train_first` to `days.holdout_last`.
        labels: `transaction_id`, `is_fraud`, `labelled_at`.
        days: the days of both sides.
    """
    told = pl.DataFrame(labels.select(["transaction_id", "is_fraud", "labelled_at"]))
    known = pl.DataFrame(features).join(told, on="transaction_id", maintain_order="left")
    known = known.with_columns(day=pl.col("event_timestamp").dt.date())
    blocked = known.filter("is_fraud").group_by("customer_id").agg(blocked_on=pl.col("labelled_at").min().dt.date())
    rows = known.join(blocked, on="customer_id", how="left", maintain_order="left")
    in_time = pl.col("labelled_at").dt.date() < days.holdout_first
    trained = pl.col("day").is_between(days.train_first, days.train_last) & in_time
    judged = pl.col("day").is_between(days.holdout_first, days.holdout_last)
    usable = pl.col("blocked_on").is_null() | (pl.col("blocked_on") >= pl.col("day"))
    chosen = rows.filter(trained | (judged & usable)).drop("day", "blocked_on", "labelled_at")
    return chosen.sort("event_timestamp", "transaction_id").to_arrow()
