"""Realized performance: published predictions by the orders that came after them, over a small shop."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets.demand.assets import cutoff_plan
from assets.stages.cutoff_quality import PerformanceRun, quality_table
from assets.stages.realized_performance import LABELS_ARRIVED, PERFORMANCE
from assets.support.performance import TABLE, Quality, realized_day
from benchmarks.reliability.performance import ChangedSink
from models.settings import Settings
from resources.conformance.score_sets import audit_and_publish, digest, package_of, publication, reader
from resources.engine.local import LocalEngine
from resources.lake.delta import DeltaLake
from resources.registry.port import VersionInfo
from tests.small_shop import DAY, SmallShop

SETTINGS = Settings().demand
SCORED = DAY - timedelta(days=SETTINGS.horizon_days)
CONTRACT = cutoff_plan(Settings()).app.contract


@dataclass
class OneVersion:
    """A registry with version 3, whose package promises a D²; `package` is its checksum."""

    folder: Path
    promised: float
    package: str = package_of("3")
    as_of: date = SCORED

    def versions(self, app: str) -> Sequence[VersionInfo]:
        return [VersionInfo("3", "", True, {}, {})]

    def fetch(self, app: str, version: str) -> Path:
        manifest = {"sha256": self.package, "card": {"as_of": self.as_of.isoformat()}}
        (self.folder / "manifest.json").write_text(json.dumps(manifest))
        qualities = [{"metric": "d2_absolute_error", "value": self.promised, "error": 0.02}]
        qualities.append({"metric": "coverage", "value": 0.8, "error": 0.02})
        scores = {"edges": [0.0], "shares": [1.0, 0.0]}
        reference = {"rows": 300, "scores": scores, "qualities": qualities}
        (self.folder / "scores.json").write_text(json.dumps(reference))
        return self.folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    """Predictions that are right within 30 %, published for the day whose horizon ends with the last one."""
    shop = SmallShop.in_folder(tmp_path_factory.mktemp("shop"))
    sold = shop.purchases_after("product_id", SCORED, horizon_days=SETTINGS.horizon_days, as_of=DAY)
    known = sorted(shop.purchases_by("product_id", SCORED))
    units = np.array([sum(one.units for one in sold.get(product, [])) for product in known], float)
    rows = predictions(known, units * np.random.default_rng(0).uniform(0.7, 1.3, len(known)))
    draft = publication("a1", rows, day=SCORED).model_copy(update={"app": "demand", "digest": digest(rows)})
    shop.sink.write_attempt("demand", SCORED, "a1", reader(rows, 50))
    audit_and_publish(shop.sink, draft)
    return shop


def predictions(products: Sequence[str], values: Any) -> pa.Table:
    columns = {
        "product_id": products,
        "prediction": values,
        "lower": values * 0.5,
        "upper": values * 1.2,
        "model_version": ["3"] * len(products),
        "model_package": [package_of("3")] * len(products),
        "feature_version": ["demand_v1"] * len(products),
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in CONTRACT.schema], schema=CONTRACT.schema)


def run(shop: SmallShop, folder: Path, promised: float = 0.6, **version: Any) -> PerformanceRun:
    registry: Any = OneVersion(folder, promised, **version)
    engine = LocalEngine(1, 500, folder)
    plan = cutoff_plan(Settings())
    return PerformanceRun(shop.lake, engine, registry, shop.sink, plan, SETTINGS, SETTINGS.gate)


def test_predictions_are_measured_by_what_was_ordered_since(shop: SmallShop, tmp_path: Path) -> None:
    made = run(shop, tmp_path)
    found = made.measure(DAY)
    one, coverage = found.measured
    rows = pa.Table.from_batches(shop.sink.published_rows(shop.sink.published("demand", SCORED)))  # pyright: ignore[reportArgumentType]
    sold = shop.purchases_after("product_id", SCORED, horizon_days=SETTINGS.horizon_days, as_of=DAY)
    units = np.array([sum(one.units for one in sold.get(product, [])) for product in rows["product_id"].to_pylist()])
    wrong = np.abs(units - rows["prediction"].to_numpy()).sum()
    assert one.value == pytest.approx(1 - wrong / np.abs(units - np.median(units)).sum())
    inside = (units >= rows["lower"].to_numpy()) & (units <= rows["upper"].to_numpy())
    assert (coverage.metric, coverage.value) == ("coverage", pytest.approx(inside.mean()))
    assert (found.day, found.model_version, one.rows, one.is_kept) == (SCORED, "3", rows.num_rows, True)
    performance, arrived = found.checks()
    assert (performance.passed, arrived.passed, found.arrived.share) == (True, True, 1.0)
    stored, _ = shop.lake.scan(quality_table("demand")).to_table().to_pylist()
    assert (stored["scored_on"], stored["value"], stored["kept"]) == (SCORED, one.value, True)
    version = shop.lake.version(quality_table("demand"))
    assert made.measure(DAY).measured[0] == one
    assert shop.lake.version(quality_table("demand")) == version


def test_a_promise_that_outcomes_break_is_a_warning_with_numbers(shop: SmallShop, tmp_path: Path) -> None:
    performance, _ = run(shop, tmp_path, promised=0.97).measure(DAY).checks()
    assert (performance.check_name, performance.passed, performance.severity.value) == (PERFORMANCE, False, "WARN")
    assert "the gate accepted 0.970" in str(performance.description)
    assert str(SCORED) in str(performance.description)


def test_intervals_that_hold_too_few_outcomes_are_a_warning(shop: SmallShop, tmp_path: Path) -> None:
    sure = ChangedSink(shop.sink, lambda rows: rows.with_columns(lower=pl.col("prediction") + 1, upper=1e9))
    performance, _ = replace(run(shop, tmp_path), sink=sure).measure(DAY).checks()
    assert not performance.passed
    assert "coverage of the intervals 0.0" in str(performance.description)
    assert "the gate accepted 0.800" in str(performance.description)


def test_a_version_that_the_registry_does_not_have_promised_nothing(shop: SmallShop, tmp_path: Path) -> None:
    performance, _ = run(shop, tmp_path, promised=0.97, package="another").measure(DAY).checks()
    assert performance.passed
    assert "the version promised none" in str(performance.description)


def test_a_version_that_had_seen_the_outcomes_is_named(shop: SmallShop, tmp_path: Path) -> None:
    found = run(shop, tmp_path, as_of=DAY).measure(DAY)
    assert "looks better than it is" in found.metadata()["note"]


def test_a_day_without_publication_is_no_problem(shop: SmallShop, tmp_path: Path) -> None:
    found = run(shop, tmp_path).measure(DAY - timedelta(days=1))
    assert [check.passed for check in found.checks()] == [True, True]
    assert "nothing was published" in found.metadata()["note"]


def test_outcomes_that_have_not_arrived_are_a_warning_and_quality_is_left_open(shop: SmallShop, tmp_path: Path) -> None:
    lost = [DAY - timedelta(days=n) for n in (2, 3)]
    for day in lost:
        orders = shop.lake.scan("orders", first=SCORED, last=DAY).to_table()
        placed = pc.cast(orders["ordered_at"], pa.date32())  # pyright: ignore
        kept = orders.filter(pc.not_equal(placed, pa.scalar(day)))  # pyright: ignore
        shop.lake.replace("orders", kept, by="delivered_on", first=SCORED, last=DAY)
    performance, arrived = run(shop, tmp_path, promised=0.97).measure(DAY).checks()
    assert (arrived.check_name, arrived.passed) == (LABELS_ARRIVED, False)
    assert all(day.isoformat() in str(arrived.description) for day in lost)
    assert performance.passed
    assert "not evaluated" in str(performance.description)


def support_rows(days: int, accuracy: float, labelled: int = 20, tickets: int = 30) -> pa.Table:
    """Quality of support's last days: `labelled` of the tickets of each have a label."""
    from assets.support.performance import _SCHEMA  # pyright: ignore[reportPrivateUsage]

    common = {"judged_on": DAY, "model_version": "3", "tickets": tickets, "labelled": labelled, "accuracy": accuracy}
    rows = [{**common, "opened_on": SCORED - timedelta(days=n)} for n in range(days - 1, -1, -1)]
    return pa.Table.from_pylist(rows, _SCHEMA)


@pytest.mark.parametrize(
    ("accuracy", "labelled", "kept", "arrived"),
    [(0.88, 20, True, True), (0.6, 20, False, True), (0.88, 5, True, False)],
)
def test_the_intents_of_the_last_weeks_are_compared_with_the_hold_out(
    tmp_path: Path, accuracy: float, labelled: int, kept: bool, arrived: bool
) -> None:
    lake, rows = DeltaLake(str(tmp_path / "lake")), support_rows(14, accuracy, labelled)
    lake.replace(TABLE, rows, by="opened_on", first=SCORED - timedelta(days=13), last=SCORED)
    info = VersionInfo("3", "", True, {"accuracy": 0.9, "holdout_tickets": 400.0}, {})
    registry: Any = SimpleNamespace(versions=lambda _: [info])
    found = realized_day(lake, registry, Settings().support, Quality(SCORED, "3", 30, labelled, accuracy))
    checks = {check.check_name: check.passed for check in found.checks()}
    assert checks == {PERFORMANCE: kept, LABELS_ARRIVED: arrived}
    (one,) = found.measured
    assert (one.value, one.rows) == (pytest.approx(accuracy), 14 * labelled)
    assert one.promise is not None
    assert one.promise.value == 0.9
