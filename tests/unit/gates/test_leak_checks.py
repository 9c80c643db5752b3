"""Leaks of many kinds and strengths are stopped by the check that is made for them; honest shops raise no alarm."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from statistics import NormalDist

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.leakage import Recomputed, recomputed
from models.gates.config import BinaryGateConfig, FraudGateConfig
from models.gates.evidence import GateEvidence, NoChampion
from models.gates.gate import run_gate
from models.gates.report import GateReport
from models.tasks.binary import BINARY
from models.training.calibration import sigmoid
from models.training.candidates import ShuffledControl
from models.training.dataset import Split, split
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig

HOLDOUT = date(2025, 6, 1)
DAYS = (*(HOLDOUT - timedelta(days=90 + 14 * back) for back in (2, 1, 0)), HOLDOUT)
CUSTOMERS = 900
FEATURES = ("recency_days", "orders_90", "tenure_days", "spend_total", "basket_mean", "country")
CONFIG = BinaryGateConfig(n_bootstrap=100, max_latency_us_per_row=1e4)
SEEDS = range(20)


def shop(seed: int) -> pa.Table:
    """Customers at four cut-offs, whose other features say what recency says, with noise, as in a real shop."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=CUSTOMERS)
    joined, start = rng.integers(0, 300, CUSTOMERS), rng.gamma(2, 40, CUSTOMERS)
    parts: list[pl.DataFrame] = []
    spend = start.copy()
    for number, day in enumerate(DAYS):
        recency = rng.exponential(30, CUSTOMERS)
        orders = rng.poisson(np.exp(1.5 - recency / 60 + 0.3 * taste))
        spend = spend + np.where(recency < 14, rng.gamma(2, 20, CUSTOMERS), 0)  # who did not buy keeps the sum
        chance = sigmoid(0.045 * (recency - 30) - 0.1 * (orders - 3) - 0.3 * taste)
        parts.append(
            pl.DataFrame(
                {
                    "customer_id": [f"c{i:05d}" for i in range(CUSTOMERS)],
                    "event_timestamp": [datetime.combine(day, clock.max, UTC)] * CUSTOMERS,
                    "recency_days": recency,
                    "orders_90": orders.astype(float),
                    "tenure_days": joined + 14.0 * number,
                    "spend_total": spend,
                    "basket_mean": spend / (orders + 1),
                    "country": rng.choice(["DE", "FR", "GB"], CUSTOMERS),
                    "churned": (rng.random(CUSTOMERS) < chance).astype(np.int8),
                }
            )
        )
    return pl.concat(parts).to_arrow()


def with_leak(rows: pa.Table, kind: str) -> pa.Table:
    """The rows with one more feature, `leak`, that no one can know at the cut-off, or that names the row."""
    rng = np.random.default_rng(99)
    churned = rows["churned"].to_numpy().astype(float)
    number = np.array([int(name[1:]) for name in rows["customer_id"].to_pylist()])
    values: np.ndarray
    if kind.startswith("label with AUC"):
        distance = NormalDist().inv_cdf(float(kind.rsplit(" ", 1)[1])) * np.sqrt(2)
        values = churned * distance + rng.normal(size=churned.size)
    elif kind == "next order date":
        days = rows["event_timestamp"].to_numpy().astype("datetime64[D]").astype(float)
        values = days + np.where(churned == 1, 90 + rng.exponential(60, churned.size), rng.uniform(0, 90, churned.size))
    elif kind == "target-encoded id":
        values = (np.bincount(number, weights=churned) / np.bincount(number))[number]
    elif kind == "number of the customer":
        values = rng.permutation(CUSTOMERS)[number].astype(float)
    else:
        values = np.arange(churned.size, dtype=float)
    return rows.append_column("leak", pa.array(values))


def judged(rows: pa.Table, features: tuple[str, ...] = FEATURES, again: Recomputed | None = None) -> GateReport:
    made: Split = split(rows, features=features, holdout=HOLDOUT, horizon_days=90)
    model = LogisticRegressionTrainerConfig(folds=2).open().fit(made.train.rows, made.train.labels, made.train.groups)
    baselines = {
        "recency only": BINARY.by_feature(made, "recency_days"),
        "frequency only": BINARY.by_feature(made, "orders_90"),
    }
    baselines["logistic_regression"] = model.model.predict(made.holdout.rows)
    evidence = GateEvidence(
        "logistic_regression",
        model.model,
        made,
        baselines,
        NoChampion(),
        ShuffledControl(0.5, 0.01),
        1000,
        lambda: 50,
        again or Recomputed(("2025-06-01",), CUSTOMERS, features),
        ("recency_days", "orders_90"),
    )
    return run_gate(evidence, CONFIG, BINARY, picture=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_an_honest_shop_raises_no_alarm(seed: int) -> None:
    report = judged(shop(seed))
    assert report.passed, report.markdown(picture=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("label with AUC 0.75", "jump"),
        ("label with AUC 0.85", "leakage"),
        ("label with AUC 0.93", "leakage"),
        ("next order date", "leakage"),
        ("target-encoded id", "jump"),
        ("number of the customer", "identity"),
        ("order of the rows", "identity"),
    ],
)
def test_a_leak_is_stopped_by_the_check_that_is_made_for_it(kind: str, check: str, seed: int) -> None:
    report = judged(with_leak(shop(seed), kind), (*FEATURES, "leak"))
    assert check in report.stopped_by, report.markdown(picture=False)
    if check != "jump":
        assert "leak " in next(found.says for found in report.checks if found.name == check), "the feature is named"


def test_the_limit_of_fraud_s_jump_tells_a_label_made_feature_from_an_honest_week() -> None:
    """AUC over the best simple baseline, measured: docs/decisions/catching-leaks.md."""
    honest = (0.178, 0.184, 0.188, 0.156, 0.140, 0.204)
    leak_of_93 = (0.273, 0.279, 0.268, 0.243, 0.227)
    assert max(honest) < FraudGateConfig().max_jump < min(leak_of_93)


@pytest.mark.slow
def test_a_column_of_text_that_names_every_customer_is_stopped() -> None:
    rows = shop(0)
    report = judged(rows.append_column("leak", rows["customer_id"]), (*FEATURES, "leak"))
    assert report.stopped_by == ("identity",)


def test_a_feature_that_is_nearly_always_zero_is_not_the_order_of_the_rows() -> None:
    rows = shop(0)
    seldom = np.where(np.random.default_rng(1).random(rows.num_rows) < 0.01, 1.0, 0.0)
    assert judged(rows.append_column("seldom", pa.array(seldom)), (*FEATURES, "seldom")).passed


def test_a_feature_that_is_another_one_without_the_future_is_stopped_and_named() -> None:
    differing = Recomputed(("2025-06-01",), CUSTOMERS, FEATURES, differing={"spend_total": 7})
    report = judged(shop(0), again=differing)
    assert report.stopped_by == ("recomputed",)
    assert "spend_total in 7 of 900 rows" in report.markdown(picture=False)


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(Recomputed(), id="nothing was compared"),
        pytest.param(Recomputed(("x",), 0, FEATURES), id="no row"),
        pytest.param(Recomputed(("x",), 9, FEATURES[:-1]), id="a feature less"),
        pytest.param(Recomputed(("x",), 9, FEATURES, unmatched=1), id="a customer more"),
    ],
)
def test_what_was_not_computed_again_closes_the_gate(again: Recomputed) -> None:
    assert judged(shop(0), again=again).stopped_by == ("recomputed",)


numbers = st.one_of(st.none(), st.floats(allow_infinity=False, width=32))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), st.data())
def test_one_changed_value_or_row_is_found_wherever_it_stands(
    rows: list[tuple[float, float]], data: st.DataObject
) -> None:
    keys = [str(number) for number in range(len(rows))]
    table = pl.DataFrame(
        {"id": keys, "a": [row[0] for row in rows], "b": [row[1] for row in rows]},
        schema={"id": pl.String, "a": pl.Float64, "b": pl.Float64},
    )
    options = {"key": "id", "features": ("a", "b"), "moment": "then"}
    shuffled = table.sample(fraction=1, shuffle=True, seed=1)
    assert recomputed(table.to_arrow(), shuffled.to_arrow(), **options) == Recomputed(("then",), len(rows), ("a", "b"))
    at, name = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from("ab"))
    other = data.draw(numbers.filter(lambda value: not pl.Series([value], dtype=pl.Float64).eq_missing(
        pl.Series([table[name][at]], dtype=pl.Float64)).item()))  # fmt: skip
    changed = table.with_columns(
        pl.when(pl.col("id") == keys[at]).then(pl.lit(other, pl.Float64)).otherwise(pl.col(name)).alias(name)
    )
    assert recomputed(table.to_arrow(), changed.to_arrow(), **options).differing == {name: 1}
    fewer = recomputed(table.to_arrow(), table.filter(pl.col("id") != keys[at]).to_arrow(), **options)
    assert (fewer.unmatched, fewer.differing) == (1, {})
