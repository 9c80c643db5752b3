"""Features that use what came after their cut-off are named by computing them again without it, from the lake."""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

import models.features.churn as churn
import models.fraud.labels
from assets.churn import features as churn_features
from assets.churn import training as churn_training
from assets.fraud import features as fraud_features
from assets.fraud import training as fraud_training
from assets.stages.cutoff_training import recomputed_rows
from models.settings import ChurnSettings
from resources.engine.local import LocalEngine
from resources.lake.delta import DeltaLake

FIRST, DAY = date(2025, 1, 1), date(2025, 3, 2)
SETTINGS = ChurnSettings(recomputed_cutoffs=1)
US = pa.timestamp("us", "UTC")


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    return LocalEngine(1, 500, tmp_path)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    """Five customers who order every few days for four months, and payments at two terminals; labels a week later."""
    made = DeltaLake(str(tmp_path / "lake"))
    placed = [
        (FIRST + timedelta(days=day), customer)
        for day in range(120)
        for customer in range(5)
        if day % (customer + 2) == 0
    ]
    moments = pa.array([datetime.combine(day, time(10, customer), UTC) for day, customer in placed], US)
    days = pa.array([day for day, _ in placed], pa.date32())
    numbers = list(range(len(placed)))
    orders = {
        "order_line_id": [str(n) for n in numbers],
        "order_id": [str(n) for n in numbers],
        "customer_id": [f"c{customer}" for _, customer in placed],
        "product_id": [f"p{n % 3}" for n in numbers],
        "ordered_at": moments,
        "quantity": pa.array([1 + n % 4 for n in numbers], pa.int32()),
        "unit_price": [2.5] * len(numbers),
        "country": ["DE"] * len(numbers),
        "is_return": [False] * len(numbers),
        "delivered_on": days,
    }
    paid = {
        "transaction_id": pa.array(numbers, pa.int64()),
        "customer_id": orders["customer_id"],
        "terminal_id": [f"t{n % 2}" for n in numbers],
        "paid_at": moments,
        "amount": [1.0 + n % 7 for n in numbers],
        "delivered_on": days,
    }
    late = pa.array([moment.as_py() + timedelta(days=7) for moment in moments], US)
    told = {
        "transaction_id": paid["transaction_id"],
        "is_fraud": [n % 5 == 0 for n in numbers],
        "labelled_at": late,
        "delivered_on": late.cast(pa.date32()),
    }
    for name, table in (("orders", orders), ("payments", paid), ("payment_labels", told)):
        made.replace(name, pa.table(table), by="delivered_on", first=FIRST, last=FIRST + timedelta(days=140))
    return made


def churn_again(lake: DeltaLake, engine: LocalEngine) -> Any:
    """What a training set with the cut-off DAY finds, its features computed as for a night that knows all orders."""
    cutoffs = pa.table({churn_features.DAY: pa.array([DAY], pa.date32())})
    tables = {"orders": lake.scan("orders"), "cutoffs": cutoffs}
    rows = engine.query(partial(_features), tables, population_days=180).read_all()
    return recomputed_rows(lake, engine, churn_training.cutoff_plan(SETTINGS), 1, rows, [DAY])


def _features(orders: Any, cutoffs: Any, *, population_days: int) -> Any:
    return churn.churn_features(orders, cutoffs, population_days=population_days)


def test_the_features_of_churn_know_nothing_of_later_orders(lake: DeltaLake, engine: LocalEngine) -> None:
    found = churn_again(lake, engine)
    assert (found.rows, dict(found.differing), found.unmatched) == (5, {}, 0)
    assert set(found.features) == {*churn.FEATURES, *churn.CATEGORIES}


def test_a_feature_of_churn_from_the_future_is_named(
    lake: DeltaLake, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = churn.churn_features

    def leaking(orders: Any, cutoffs: Any, *, population_days: int) -> Any:
        later = orders.filter(orders.ordered_at > ibis.timestamp(f"{DAY}T23:59:59+00:00"))
        leak = later.group_by("customer_id").agg(next_order=later.ordered_at.min().day().cast("float64"))
        joined: Any = honest(orders, cutoffs, population_days=population_days).left_join(leak, "customer_id")
        return joined.mutate(hour_mean=joined.next_order).drop("customer_id_right", "next_order")

    monkeypatch.setattr(churn, "churn_features", leaking)
    assert dict(churn_again(lake, engine).differing) == {"hour_mean": 5}


def fraud_again(lake: DeltaLake, engine: LocalEngine) -> Any:
    rows = fraud_features.computed(lake, engine, DAY, DAY).read_all()
    return fraud_training.recomputed_features(lake, engine, rows)


def test_the_features_of_fraud_know_nothing_of_later_payments_and_labels(lake: DeltaLake, engine: LocalEngine) -> None:
    found = fraud_again(lake, engine)
    assert found.rows > 0
    assert (dict(found.differing), found.unmatched) == ({}, 0)


def test_a_feature_of_fraud_that_does_not_wait_for_its_label_is_named(
    lake: DeltaLake, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = models.fraud.labels.labelled_features

    def leaking(payments: Any, labels: Any, feedback: Any, asked: Any) -> Any:
        rows = honest(payments, labels, feedback, asked)
        known = labels.select("transaction_id", leak=labels.is_fraud.cast("float64"))
        joined = rows.left_join(known, "transaction_id")
        return joined.mutate(terminal_risk_1d=joined.leak).select(*rows.columns)

    monkeypatch.setattr(models.fraud.labels, "labelled_features", leaking)
    assert list(fraud_again(lake, engine).differing) == ["terminal_risk_1d"]
