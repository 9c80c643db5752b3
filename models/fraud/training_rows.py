"""Selection of the payments that a fraud model is trained and evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
import pyarrow as pa

from models.features.fraud_definitions import LABEL_DELAY_DAYS

# pyarrow has no static types.
# pyright: basic


#: Parts of a training set: for training, for the hold-out, and for the refit alone.
TRAIN, HOLDOUT, REFIT = "train", "holdout", "refit"


@dataclass(frozen=True)
class FraudDays:
    """The days of one training: first and last day of both sides. Between them lie the days that labels take."""

    train_first: date
    train_last: date
    holdout_first: date
    holdout_last: date


def fraud_days(as_of: date, *, train_days: int, holdout_days: int) -> FraudDays:
    """Return the newest days whose labels are known at the end of `as_of`.

    Every label of the training rows was known before the first payment of the hold-out.
    """
    holdout_last = as_of - timedelta(days=LABEL_DELAY_DAYS)
    holdout_first = holdout_last - timedelta(days=holdout_days - 1)
    train_last = holdout_first - timedelta(days=LABEL_DELAY_DAYS + 1)
    return FraudDays(train_last - timedelta(days=train_days - 1), train_last, holdout_first, holdout_last)


def fraud_rows(features: pa.Table, labels: pa.Table, days: FraudDays) -> pa.Table:
    """Return the labelled payments up to `days.holdout_last`, with `is_fraud` and `part`; ascending by moment and id.

    Each side has the labels of its own moment: the training rows, those that were known when the hold-out began; what
    is evaluated, those that are known in the end. Payments about which nothing was said by then are left out. A card is
    left out of a day of the hold-out if a fraud on it was known when the day began: a blocked card pays no more (the
    published protocol, `get_train_test_set` of chapter 5).

    What the refit learns from besides (`refit_rows`) has the part `refit`: payments of the days between, of cards that
    were left out, and those whose label changed after the hold-out began.

    Args:
        features: of every payment from `days.train_first` to `days.holdout_last`.
        labels: `transaction_id`, `is_fraud`, `labelled_at`; any number of rows per payment: a later one replaces those
            before it, and of rows of one moment, one that says fraud counts.
        days: the days of both sides.
    """
    said = pl.DataFrame(labels.select(["transaction_id", "is_fraud", "labelled_at"]))
    said = said.sort("transaction_id", "labelled_at", "is_fraud")
    paid = pl.DataFrame(features).with_columns(day=pl.col("event_timestamp").dt.date())
    trained = paid.filter(pl.col("day").is_between(days.train_first, days.train_last))
    trained = _labelled(trained, said.filter(pl.col("labelled_at").dt.date() < days.holdout_first))
    judged = paid.filter(pl.col("day").is_between(days.holdout_first, days.holdout_last))
    judged = _labelled(judged, said).join(_blocked(paid, judged, said), on=["customer_id", "day"], how="anti")
    sides = [trained.with_columns(part=pl.lit(TRAIN)), judged.with_columns(part=pl.lit(HOLDOUT))]
    later = _labelled(paid, said).filter(
        pl.col("is_fraud").is_not_null() & pl.col("day").is_between(days.train_first, days.holdout_last)
    )
    same = [side.select("transaction_id", "is_fraud") for side in (trained, judged)]
    for side in same:
        later = later.join(side, on=["transaction_id", "is_fraud"], how="anti", maintain_order="left")
    chosen = pl.concat([*sides, later.with_columns(part=pl.lit(REFIT))]).drop("day")
    return chosen.sort("event_timestamp", "transaction_id", "part").to_arrow()


def refit_rows(rows: pa.Table) -> pa.Table:
    """Of what `fraud_rows` gave, every payment once, with its newest label."""
    held = pl.DataFrame(rows)
    replaced = held.filter(pl.col("part") == REFIT).select("transaction_id")
    return held.filter(
        (pl.col("part") == REFIT) | ~pl.col("transaction_id").is_in(replaced["transaction_id"].implode())
    ).to_arrow()


def _labelled(paid: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the payments about which something was said, with the last word; `said` in its order."""
    last = said.unique("transaction_id", keep="last", maintain_order=True).drop("labelled_at")
    return paid.join(last, on="transaction_id", maintain_order="left")


def _blocked(paid: pl.DataFrame, judged: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """`customer_id`, `day`: cards on which a fraud was known when a day of `judged` began; `said` in its order."""
    accused = said.filter(pl.col("transaction_id").is_in(said.filter("is_fraud")["transaction_id"].implode()))
    moments = accused.unique(["transaction_id", "labelled_at"], keep="last", maintain_order=True)
    turns = moments.filter(pl.col("is_fraud").ne_missing(pl.col("is_fraud").shift(1).over("transaction_id")))
    until = pl.col("labelled_at").shift(-1).over("transaction_id")
    frauds = turns.with_columns(until=until).filter("is_fraud").join(paid, on="transaction_id")
    spans = frauds.select("customer_id", "labelled_at", "until")
    pairs = judged.select("customer_id", "day").unique().join(spans, on="customer_id")
    known = pl.col("labelled_at").dt.date() < pl.col("day")
    lasting = pl.col("until").is_null() | (pl.col("until").dt.date() >= pl.col("day"))
    return pairs.filter(known & lasting).select("customer_id", "day").unique()
