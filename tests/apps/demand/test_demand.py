"""Demand: features that know nothing of later orders, labels that count units, predictions that reach the sink."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from assets.demand.app import DEMAND
from assets.demand.assets import cutoff_plan, scoring_task
from assets.stages.batch_scoring import Night, score
from assets.stages.cutoff_training import cutoff_rows, cutoff_task
from assets.stages.feature_days import write_features
from assets.stages.ingestion.run import ingest
from assets.stages.publication import publish
from assets.stages.training import evaluate_candidates, promote_or_keep
from models.features.demand import demand_features, demand_labels
from models.features.demand_definitions import FEATURES
from resources.engine.local import LocalEngine
from resources.lake.delta import DeltaLake
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of
from tests.learning_world import Notices

DAY = date(2025, 5, 31)
US = pa.timestamp("us", "UTC")
LINES: list[tuple[str, date, date, int, float]] = [
    ("mug", DAY, DAY, 3, 2.0),
    ("mug", DAY - timedelta(days=6), DAY, 4, 2.0),
    ("mug", DAY - timedelta(days=7), DAY - timedelta(days=7), 5, 3.0),
    ("mug", DAY, DAY + timedelta(days=1), 100, 2.0),  # placed by the cut-off, delivered after it
    ("mug", DAY + timedelta(days=1), DAY + timedelta(days=1), 7, 2.0),
    ("mug", DAY + timedelta(days=7), DAY + timedelta(days=8), 8, 2.0),
    ("mug", DAY + timedelta(days=8), DAY + timedelta(days=8), 900, 2.0),  # after the horizon
    ("pen", DAY - timedelta(days=200), DAY - timedelta(days=200), 1, 1.0),  # out of the assortment
]


def orders(lines: list[tuple[str, date, date, int, float]]) -> pa.Table:
    product, placed, delivered, units, price = (list(values) for values in zip(*lines, strict=True))
    moments = [datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC) for day in placed]
    return pa.table(
        {
            "product_id": product,
            "ordered_at": pa.array(moments, US),
            "delivered_on": pa.array(delivered, pa.date32()),
            "quantity": pa.array(units, pa.int32()),
            "unit_price": price,
            "is_return": [False] * len(lines),
        }
    )


def computed(tmp_path: Path, lines: list[tuple[str, date, date, int, float]] = LINES) -> list[dict[str, Any]]:
    engine, cutoffs = LocalEngine(1, 500, tmp_path), pa.table({"feature_date": pa.array([DAY], pa.date32())})
    tables, days = {"orders": orders(lines), "cutoffs": cutoffs}, {"population_days": 91, "horizon_days": 7}
    return engine.query(demand_features, tables, **days).read_all().to_pylist()


def test_features_count_what_was_placed_and_delivered_by_the_cut_off(tmp_path: Path) -> None:
    (mug,) = computed(tmp_path)
    assert (mug["product_id"], mug["units_last_1"], mug["units_last_2"], mug["units_1_before"]) == ("mug", 7, 12, 5)
    assert (mug["lines_last_2"], mug["days_sold_last_1"], mug["recency_days"], mug["units_max_day"]) == (3, 2, 0, 5)
    assert mug["price_mean"] == pytest.approx((7 * 2 + 5 * 3) / 12)
    assert mug["seasonal_naive"] == 7, "a young product sells what it sold last"


def test_no_feature_changes_with_orders_after_the_cut_off(tmp_path: Path) -> None:
    later = [("mug", DAY + timedelta(days=n), DAY + timedelta(days=n), 50 + n, 9.0) for n in range(1, 30)]
    assert computed(tmp_path, LINES + later) == computed(tmp_path)
    assert set(FEATURES) < computed(tmp_path)[0].keys()


def test_labels_count_units_of_the_days_after_the_cut_off_that_were_delivered_by_then(tmp_path: Path) -> None:
    moment = datetime(2025, 5, 31, 23, 59, 59, 999_999, UTC)
    entities = pa.table({"product_id": ["mug", "pen"], "event_timestamp": pa.array([moment] * 2, US)})
    tables, engine = {"orders": orders(LINES), "entities": entities}, LocalEngine(1, 500, tmp_path)

    def units(as_of: date) -> dict[str, float]:
        found = engine.query(demand_labels, tables, horizon_days=7, as_of=as_of).read_all().to_pylist()
        return {row["product_id"]: row["units"] for row in found}

    assert units(DAY + timedelta(days=8)) == {"mug": 15, "pen": 0}
    assert units(DAY + timedelta(days=7)) == {"mug": 7, "pen": 0}


@pytest.mark.real
def test_predictions_of_real_products_are_published_and_hold_on_the_week_after(
    shared_data: Path, tmp_path: Path
) -> None:
    """Trained as of 2011-08-10, evaluated by the gate, published; then looked at with the orders of the week after.

    Of every third product; `benchmarks.regression` takes all of them, on 15 weeks.
    """
    data = tmp_path / "data"
    data.mkdir()
    source = f"read_parquet('{shared_data}/online_retail/*.parquet') WHERE hash(StockCode) % 3 = 0"
    duckdb.sql(f"COPY (FROM {source} AND InvoiceDate < DATE '2011-09-01') TO '{data}/orders.parquet'")
    environment = {"TESSERA_DATA_DIR": str(data)}
    stack: Stack = load_stack(ROOT / "stack.yaml", "online-retail", str(tmp_path), environment)
    lake, engine, night = DeltaLake(str(tmp_path / "lake")), stack.open("engine"), date(2011, 8, 10)
    ingest("orders", stack.open("source"), lake, date(2011, 8, 31), stack.settings.ingestion, "r")
    settings, plan, registry = stack.settings.demand, cutoff_plan(stack.settings), FolderRegistry(tmp_path / "models")
    write_features(lake, engine, plan.table, [night], len(plan.features))
    rows = cutoff_rows(lake, engine, plan, settings, night)
    task = cutoff_task(plan, rows, settings, settings.gate)
    found = evaluate_candidates(task, trainers_of(settings.candidates), registry, night)
    assert found.passing is not None, found.report.markdown(picture=False)
    assert found.report.picture
    promote_or_keep(task, found, registry, Notices(), run_id="r", who="w")

    sink, notices = DeltaSinkConfig(path=str(tmp_path / "scores")).open(), Notices()
    made = score(Night(scoring_task(stack.settings), lake, registry, sink, notices, night, "r"))
    assert made.audit.passed, made.audit.checks
    published = publish(sink, notices, DEMAND.name, night).publication
    again = score(Night(scoring_task(stack.settings), lake, registry, sink, notices, night, "again"))
    assert (again.draft.digest, publish(sink, notices, DEMAND.name, night).publication.run_id) == (
        published.digest,
        "r",
    )

    predicted = pa.Table.from_batches(sink.published_rows(published))
    assert predicted.num_rows == rows.tonight.num_rows > 800
    tonight = rows.tonight  # noqa: F841 - read by name in the query
    truth = duckdb.sql(
        "SELECT product_id, prediction, lower, upper, units_last_1, coalesce(units, 0) AS units FROM predicted "
        "JOIN tonight USING (product_id) LEFT JOIN (SELECT product_id, sum(abs(quantity)) AS units "
        "FROM read_parquet($orders) WHERE NOT is_return AND ordered_at::date BETWEEN '2011-08-11' AND '2011-08-17' "
        "GROUP BY product_id) USING (product_id)",
        params={"orders": list(lake.files("orders"))},
    ).fetchnumpy()
    covered = ((truth["units"] >= truth["lower"]) & (truth["units"] <= truth["upper"])).mean()
    assert 0.75 <= covered <= 0.85
    error, naive = (np.abs(truth[name] - truth["units"]).mean() for name in ("prediction", "units_last_1"))
    assert error < 0.85 * naive
