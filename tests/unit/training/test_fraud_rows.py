"""Payments that a model is trained on: the published protocol, on the published data."""

# ruff: noqa: S608

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.errors import TesseraError
from models.fraud.threshold import alert_threshold, threshold_of, threshold_text
from models.fraud.training_rows import HOLDOUT, REFIT, TRAIN, FraudDays, fraud_days, fraud_rows, refit_rows

PUBLISHED = FraudDays(date(2018, 7, 25), date(2018, 7, 31), date(2018, 8, 8), date(2018, 8, 14))


def test_the_newest_days_with_mature_labels() -> None:
    assert fraud_days(date(2018, 8, 21), train_days=7, holdout_days=7) == PUBLISHED


@pytest.mark.real
def test_the_published_rows(shared_data: Path) -> None:
    """67,240 payments with 598 frauds are for training, 58,264 with 385 for evaluation (chapter 5, baseline models)."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql(
            f"""SELECT TRANSACTION_ID::BIGINT transaction_id, CUSTOMER_ID::VARCHAR customer_id, TX_FRAUD = 1 is_fraud,
            TX_DATETIME::TIMESTAMPTZ event_timestamp, (TX_DATETIME + INTERVAL 7 DAY)::TIMESTAMPTZ labelled_at
            FROM '{shared_data}/fraud_handbook/transactions_*.parquet'
            WHERE TX_DATETIME >= TIMESTAMP '2018-07-25'"""
        ).to_arrow_table()
    features = rows.select(["transaction_id", "customer_id", "event_timestamp"])
    found = fraud_rows(features, rows.select(["transaction_id", "is_fraud", "labelled_at"]), PUBLISHED)
    later = found.filter(pc.equal(found["part"], REFIT))
    assert later.num_rows > 58_264, "the refit learns from the days between, and from cards that were blocked"
    found = found.filter(pc.not_equal(found["part"], REFIT))
    trained = np.array([moment.date() <= PUBLISHED.train_last for moment in found["event_timestamp"].to_pylist()])
    fraud = found["is_fraud"].to_numpy(zero_copy_only=False)
    assert (trained.sum(), fraud[trained].sum()) == (67_240, 598)
    assert ((~trained).sum(), fraud[~trained].sum()) == (58_264, 385)


def test_a_card_is_left_out_from_the_day_after_its_fraud_was_known() -> None:
    def at(day: int) -> datetime:
        return datetime(2018, 8, day, 12, tzinfo=UTC)

    fraud = {"transaction_id": 1, "customer_id": "a", "event_timestamp": at(2)}
    later = [{"transaction_id": day, "customer_id": "a", "event_timestamp": at(day)} for day in (8, 9, 10)]
    other = {"transaction_id": 20, "customer_id": "b", "event_timestamp": at(10)}
    unlabelled = {"transaction_id": 21, "customer_id": "b", "event_timestamp": at(10)}
    rows = [fraud, *later, other, unlabelled]
    labels = [
        {
            "transaction_id": row["transaction_id"],
            "is_fraud": row is fraud,
            "labelled_at": row["event_timestamp"] + timedelta(days=7),
        }
        for row in rows
    ]
    labels[-1]["is_fraud"] = None
    found = fraud_rows(pa.Table.from_pylist(rows), pa.Table.from_pylist(labels), PUBLISHED)
    # Known on the 9th, at noon: that day's payment was still made.
    judged = found.filter(pc.equal(found["part"], HOLDOUT))
    assert judged["transaction_id"].to_pylist() == [8, 9, 20, 21]
    others = found.filter(pc.equal(found["part"], REFIT))
    assert others["transaction_id"].to_pylist() == [1, 10], "between the two, and blocked: for the refit alone"


def test_a_card_counts_again_from_the_day_after_its_fraud_was_withdrawn() -> None:
    def at(day: int) -> datetime:
        return datetime(2018, 8, day, 12, tzinfo=UTC)

    rows = [{"transaction_id": day, "customer_id": "a", "event_timestamp": at(day)} for day in (1, 8, 9, 10)]
    later = [{"transaction_id": day, "is_fraud": False, "labelled_at": at(day + 7)} for day in (8, 9, 10)]
    said = [{"transaction_id": 1, "is_fraud": fraud, "labelled_at": at(day)} for fraud, day in ((True, 8), (False, 9))]
    found = fraud_rows(pa.Table.from_pylist(rows), pa.Table.from_pylist([*said, *later]), PUBLISHED)
    judged = found.filter(pc.equal(found["part"], HOLDOUT))
    assert judged["transaction_id"].to_pylist() == [8, 10], "blocked on the 9th alone"


def test_a_label_that_came_after_the_holdout_began_is_not_learnt_from() -> None:
    paid = datetime(2018, 7, 31, 12, tzinfo=UTC)
    begins = datetime(2018, 8, 8, tzinfo=UTC)
    rows = [{"transaction_id": n, "customer_id": "a", "event_timestamp": paid} for n in (1, 2)]
    known = [begins - timedelta(microseconds=1), begins]
    labels = [{"transaction_id": n, "is_fraud": False, "labelled_at": at} for n, at in zip((1, 2), known, strict=True)]
    found = fraud_rows(pa.Table.from_pylist(rows), pa.Table.from_pylist(labels), PUBLISHED)
    assert found["part"].to_pylist() == [TRAIN, REFIT]


def test_as_many_cards_are_alerted_as_can_be_looked_at() -> None:
    draw = np.random.default_rng(3)
    days = np.repeat(np.array(["2018-08-08", "2018-08-09", "2018-08-10"], dtype="datetime64[D]"), 400)
    cards, scores = draw.integers(0, 90, days.size), draw.random(days.size)
    limit = alert_threshold(scores, cards, days, per_day=20)
    alerted = {(card, day) for card, day, score in zip(cards, days, scores, strict=True) if score >= limit}
    assert len(alerted) == 60
    assert alert_threshold(scores, cards, days, per_day=10_000) <= scores.max()
    assert threshold_of(threshold_text(limit, 20)) == limit
    with pytest.raises(TesseraError, match="holds no threshold"):
        threshold_of("{}")


def test_the_refit_learns_each_payment_once_with_its_newest_label() -> None:
    paid = datetime(2018, 7, 31, 12, tzinfo=UTC)
    at = [datetime(2018, 8, 7, 12, tzinfo=UTC), datetime(2018, 8, 10, 12, tzinfo=UTC)]
    rows = [{"transaction_id": n, "customer_id": str(n), "event_timestamp": paid} for n in (1, 2)]
    labels = [{"transaction_id": n, "is_fraud": False, "labelled_at": at[0]} for n in (1, 2)]
    labels.append({"transaction_id": 2, "is_fraud": True, "labelled_at": at[1]})
    found = fraud_rows(pa.Table.from_pylist(rows), pa.Table.from_pylist(labels), PUBLISHED)
    learnt = found.filter(pc.equal(found["part"], TRAIN))
    assert (learnt["transaction_id"].to_pylist(), learnt["is_fraud"].to_pylist()) == ([1, 2], [False, False])
    newest = refit_rows(found)
    assert dict(zip(newest["transaction_id"].to_pylist(), newest["is_fraud"].to_pylist(), strict=True)) == {
        1: False,
        2: True,
    }
    assert newest.num_rows == 2
