"""Tiny and one-sided data: no model, no traceback, a sentence that says what is missing."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.churn import training as churn_training
from assets.fraud.app import FRAUD
from assets.stages import training as learning
from models.errors import TesseraError
from models.features.leakage import Recomputed
from models.gates.config import BinaryGateConfig
from models.scoring.config import DriftConfig
from models.settings import ChurnSettings, FraudSettings, Settings
from models.training.dataset import split
from resources.engine.local import LocalEngine
from resources.lake.delta import DeltaLake
from resources.registry.fake import FolderRegistry
from resources.trainer.hist_gradient_boosting import HistGradientBoostingTrainerConfig
from resources.trainer.port import Trainer
from resources.trainer.xgboost import XGBoostTrainerConfig
from tests.learning_world import Notices

HOLDOUT, HORIZON = date(2025, 6, 1), 30
FEATURES = ("recency_days", "orders_90", "country")
Change = Callable[[dict[str, np.ndarray]], None]


def cheap() -> list[Trainer]:
    return [XGBoostTrainerConfig(max_rounds=5).open(), HistGradientBoostingTrainerConfig(rounds=5).open()]


def rows(customers: int, change: Change, *, seed: int = 0) -> pa.Table:
    """Customers at two cut-offs and the hold-out, changed."""
    rng = np.random.default_rng(seed)
    days = [HOLDOUT - timedelta(days=back) for back in (HORIZON + 7, HORIZON, 0)]
    n = customers * len(days)
    recency = rng.exponential(30, n)
    values = {
        "customer_id": np.tile(np.array([f"c{i}" for i in range(customers)], dtype=object), len(days)),
        "event_timestamp": np.repeat([datetime.combine(day, time.max, UTC) for day in days], customers),
        "recency_days": recency,
        "orders_90": rng.poisson(3, n).astype(float),
        "country": rng.choice(np.array(["DE", "FR"], dtype=object), n),
        "churned": (rng.random(n) < 1 / (1 + np.exp(-0.05 * (recency - 30)))).astype(np.int8),
    }
    change(values)
    types = {"event_timestamp": pa.timestamp("us", "UTC"), "country": pa.string()}
    return pa.table({name: pa.array(column, types.get(name), from_pandas=True) for name, column in values.items()})


def learn(table: pa.Table, folder: Path) -> None:
    task = learning.TrainingTask(
        app="churn",
        service="churn_v1",
        holdout=HOLDOUT.isoformat(),
        split=split(table, features=FEATURES, holdout=HOLDOUT, horizon_days=HORIZON, slice_by=("orders_90",)),
        features=FEATURES,
        newest=table.slice(table.num_rows // 3 * 2),
        baselines={"recency only": "recency_days"},
        recomputed=Recomputed(("now",), 1, FEATURES),
        gate=BinaryGateConfig(n_bootstrap=100),
        drift=DriftConfig(),
    )
    registry = FolderRegistry(folder)
    judged = learning.evaluate_candidates(task, cheap(), registry, HOLDOUT + timedelta(days=HORIZON))
    learning.promote_or_keep(task, judged, registry, Notices(), run_id="r", who="test")


def learnt(table: pa.Table, folder: Path) -> str:
    """The sentence with which learning from these rows as a first model ends."""
    with pytest.raises(TesseraError) as refused:
        learn(table, folder)
    assert FolderRegistry(folder).champion("churn") is None
    assert all((refused.value.what, refused.value.expected, refused.value.todo)), "three parts"
    return refused.value.what


def everywhere(name: str, value: float | str | None) -> Change:
    def change(values: dict[str, np.ndarray]) -> None:
        values[name] = np.full(values[name].shape, value, dtype=object if value is None else None)
        if isinstance(value, str):
            values[name] = values[name].astype(object)

    return change


def constant(values: dict[str, np.ndarray]) -> None:
    for name, value in (("recency_days", 3.0), ("orders_90", 1.0), ("country", "DE")):
        everywhere(name, value)(values)


def all_null(values: dict[str, np.ndarray]) -> None:
    values["recency_days"] = np.full(values["recency_days"].shape, np.nan)
    values["orders_90"] = np.full(values["orders_90"].shape, np.nan)
    values["country"] = np.full(values["country"].shape, None, dtype=object)


def holdout_of_one_class(values: dict[str, np.ndarray]) -> None:
    values["churned"][values["event_timestamp"] == values["event_timestamp"][-1]] = 0


def one_null_feature(values: dict[str, np.ndarray]) -> None:
    values["orders_90"] = np.full(values["orders_90"].shape, np.nan)


def constant_baseline(values: dict[str, np.ndarray]) -> None:
    everywhere("recency_days", 3.0)(values)


def unchanged(values: dict[str, np.ndarray]) -> None:
    """As they are."""


@pytest.mark.parametrize(
    ("customers", "change", "says"),
    [
        pytest.param(1, unchanged, "cannot be trained on these rows", id="one customer"),
        pytest.param(4, unchanged, "cannot be trained on these rows", id="fewer customers than folds"),
        pytest.param(20, unchanged, "stopped by the gate: rows", id="20 customers"),
        pytest.param(200, everywhere("churned", 1), "0 with a negative one", id="all churned"),
        pytest.param(200, everywhere("churned", 0), "0 with a positive label", id="none churned"),
        pytest.param(200, constant, "0 of 3 features", id="constant features"),
        pytest.param(200, all_null, "0 of 2 features", id="NULL features"),
        pytest.param(200, one_null_feature, "stopped by the gate: rows", id="one feature NULL"),
        pytest.param(200, constant_baseline, "stopped by the gate: rows", id="the baseline's feature constant"),
        pytest.param(200, holdout_of_one_class, "stopped by the gate: rows", id="a hold-out of one class"),
    ],
)
def test_too_little_to_learn_from_is_said_in_a_sentence(
    customers: int, change: Change, says: str, tmp_path: Path
) -> None:
    assert says in learnt(rows(customers, change), tmp_path)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 40),
    st.lists(
        st.sampled_from([unchanged, everywhere("churned", 1), constant, all_null, holdout_of_one_class,
                         one_null_feature, constant_baseline, everywhere("country", None)]),
        min_size=1, max_size=3,
    ),
    st.integers(0, 5),
)  # fmt: skip
def test_no_tiny_shop_ends_in_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, customers: int, changes: list[Change], seed: int
) -> None:
    def all_of_them(values: dict[str, np.ndarray]) -> None:
        for change in changes:
            change(values)

    assert learnt(rows(customers, all_of_them, seed=seed), tmp_path_factory.mktemp("models"))


def test_duplicated_customers_are_no_more_customers(tmp_path: Path) -> None:
    few = rows(8, unchanged)
    assert "training rows of 8 entities" in learnt(pa.concat_tables([few] * 60), tmp_path)


# --- from the lake ---------------------------------------------------------------------------------------------------


def placed(folder: Path, days: list[date]) -> DeltaLake:
    """One customer's orders of one product, on these days."""
    lake = DeltaLake(str(folder / "lake"))
    if days:
        orders = {
            "order_line_id": [str(n) for n in range(len(days))],
            "order_id": [str(n) for n in range(len(days))],
            "customer_id": ["c1"] * len(days),
            "product_id": ["p1"] * len(days),
            "ordered_at": pa.array([datetime.combine(day, time(10), UTC) for day in days], pa.timestamp("us", "UTC")),
            "quantity": pa.array([1] * len(days), pa.int32()),
            "unit_price": [2.5] * len(days),
            "country": ["DE"] * len(days),
            "is_return": [False] * len(days),
            "delivered_on": pa.array(days, pa.date32()),
        }
        lake.replace("orders", pa.table(orders), by="delivered_on", first=min(days), last=max(days))
    return lake


@pytest.mark.parametrize(
    ("days", "says"),
    [
        pytest.param([], "There are no orders", id="no orders"),
        pytest.param([0], "too few to train on", id="one order"),
        pytest.param([399, 400], "too few to train on", id="two days"),
        pytest.param(list(range(340, 401)), "too few to train on", id="61 days"),
        pytest.param([0, 400], "churn_features has no row at any cut-off", id="nobody active at a cut-off"),
    ],
)
def test_too_little_history_is_said_before_the_feature_store_is_asked(
    days: list[int], says: str, tmp_path: Path
) -> None:
    first = date(2024, 6, 1)
    as_of = first + timedelta(days=400)
    if days == [0]:
        as_of = first
    lake = placed(tmp_path, [first + timedelta(days=number) for number in days])
    settings = ChurnSettings(max_training_cutoffs=1, population_days=30)
    with pytest.raises(TesseraError, match=says):
        churn_training.training_set(lake, LocalEngine(1, 500, tmp_path), None, settings, as_of)  # pyright: ignore[reportArgumentType]


def paid(folder: Path, *, labelled: bool, frauds: int) -> DeltaLake:
    """40 days of payments of 30 cards; labels a week later."""
    lake, first = DeltaLake(str(folder / "lake")), date(2025, 1, 1)
    moments = [datetime.combine(first + timedelta(days=n // 30), time(n % 24), UTC) for n in range(40 * 30)]
    stamps = pa.timestamp("us", "UTC")
    days = pa.array([moment.date() for moment in moments], pa.date32())
    ids = pa.array(range(len(moments)), pa.int64())
    cards, terminals = [f"c{n % 30}" for n in range(len(moments))], [f"t{n % 7}" for n in range(len(moments))]
    payments = {
        "transaction_id": ids, "customer_id": cards, "terminal_id": terminals,
        "paid_at": pa.array(moments, stamps), "amount": [1.0 + n % 9 for n in range(len(moments))],
        "delivered_on": days,
    }  # fmt: skip
    late = pa.array([moment + timedelta(days=7) for moment in moments], stamps)
    is_fraud = pa.array([n >= 900 and n < 900 + frauds for n in range(len(moments))])
    labels = pa.table(
        {"transaction_id": ids, "is_fraud": is_fraud, "labelled_at": late, "delivered_on": late.cast(pa.date32())}
    )
    span = {"first": first, "last": first + timedelta(days=60)}
    lake.replace("payments", pa.table(payments), by="delivered_on", **span)
    lake.replace("payment_labels", labels if labelled else labels.slice(0, 1), by="delivered_on", **span)
    return lake


def learn_fraud(lake: DeltaLake, place: Path) -> None:
    settings, as_of = Settings(fraud=FraudSettings(train_days=3, holdout_days=3)), date(2025, 2, 9)
    ports: Any = SimpleNamespace(lake=lake, engine=LocalEngine(1, 500, place))
    assert FRAUD.training is not None
    learning.evaluate_candidates(FRAUD.training(ports, settings, as_of), cheap(), FolderRegistry(place), as_of)


@pytest.mark.parametrize(
    ("labelled", "frauds", "says"),
    [
        pytest.param(False, 0, "has a label that was known by", id="no label in time"),
        pytest.param(True, 0, "0 with a positive label", id="no fraud"),
        pytest.param(True, 1, "with a positive label", id="one fraud"),
    ],
)
def test_fraud_without_frauds_is_said_in_a_sentence(labelled: bool, frauds: int, says: str, tmp_path: Path) -> None:
    lake = paid(tmp_path, labelled=labelled, frauds=frauds)
    with pytest.raises(TesseraError, match=says):
        learn_fraud(lake, tmp_path)
