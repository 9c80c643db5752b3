"""A young home that only grows older raises no alarm; real drift in it, and in an old home, still does."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.churn import training as churn_assets
from assets.demand import assets as demand_assets
from assets.stages.cutoff_training import CutoffPlan, home_history
from models.features.churn_definitions import DEFINITIONS, LOOK_BACK_DAYS
from models.scoring.config import DriftConfig
from models.scoring.drift import DriftMeter, DriftReference, DriftReport, drift_reference
from models.scoring.growth import history_of
from models.settings import ChurnSettings, Settings
from resources.engine.local import LocalEngine
from resources.source.simulated import SimulatedSourceConfig

pytestmark = pytest.mark.slow

FIRST = date(2025, 1, 1)
CONFIG = DriftConfig()
CHURN, DEMAND = churn_assets.cutoff_plan(ChurnSettings()), demand_assets.cutoff_plan(Settings())
#: Days since FIRST of the reference and of the night.
PAIRS = [(60, 151), (180, 271), (300, 391)]


@pytest.fixture(scope="module")
def orders() -> pa.Table:
    """Orders of the simulated shop."""
    source = SimulatedSourceConfig(customers=500, first_day=FIRST.isoformat(), seed=7).open()
    sound = source.read("orders", FIRST, FIRST + timedelta(days=391)).read_all()
    return sound.filter(pc.and_(pc.is_valid(sound["customer_id"]), pc.is_valid(sound["quantity"])))


@pytest.fixture(scope="module")
def shop(orders: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[int, pa.Table]:
    """Features of customers by days since the first."""
    return computed(CHURN, orders, tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def assortment(orders: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[int, pa.Table]:
    """Features of products by days since the first."""
    return computed(DEMAND, orders, tmp_path_factory.mktemp("engine"))


def computed(plan: CutoffPlan, orders: pa.Table, folder: Path) -> dict[int, pa.Table]:
    offsets = sorted({offset for pair in PAIRS for offset in pair})
    days = pa.table({"feature_date": pa.array([FIRST + timedelta(days=n) for n in offsets], pa.date32())})
    tables, table = {"orders": orders, "cutoffs": days}, plan.table
    rows = LocalEngine(1, 500, folder).query(table.expression, tables, **table.parameters).read_all()
    return {n: rows.filter(pc.field("feature_date") == FIRST + timedelta(days=n)) for n in offsets}


def compared(reference: pa.Table, before: int, night: pa.Table, after: int, plan: CutoffPlan = CHURN) -> DriftReport:
    """The night against the reference, as it comes back from a model package."""
    day, population_days = FIRST + timedelta(days=before), plan.table.parameters["population_days"]
    known = drift_reference(
        reference, plan.features, CONFIG, home_history(plan, reference, day, population_days, FIRST)
    )
    again = DriftReference.model_validate_json(known.model_dump_json())
    meter = DriftMeter(again, CONFIG, FIRST + timedelta(days=after))
    list(meter.watch(night.to_batches(max_chunksize=200)))
    return meter.report()


def drifted(report: DriftReport) -> list[str]:
    return [row.feature for row in report.features if row.drifted]


@pytest.mark.parametrize(("before", "after"), PAIRS)
@pytest.mark.slow
def test_first_nights_of_the_simulated_shop_raise_no_alarm(shop: dict[int, pa.Table], before: int, after: int) -> None:
    report = compared(shop[before], before, shop[after], after)
    assert drifted(report) == []
    tenure = next(row for row in report.features if row.feature == "tenure_days")
    assert tenure.psi > 0.25, "the shift is shown as it is"
    assert f"home younger than 365 days ({before + 1} at the reference)" in tenure.note
    assert report.max_psi == max(row.judged_psi for row in report.features) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_first_nights_of_its_products_raise_no_alarm(assortment: dict[int, pa.Table], before: int, after: int) -> None:
    report = compared(assortment[before], before, assortment[after], after, DEMAND)
    assert drifted(report) == []
    tenure = next(row for row in report.features if row.feature == "tenure_days")
    assert tenure.psi > 0.25, "the shift is shown as it is"
    assert "home younger than" in tenure.note


@pytest.mark.slow
def test_a_flood_of_new_customers_in_a_young_home_warns(shop: dict[int, pa.Table]) -> None:
    night = shop[391]
    young = night.filter(pc.field("tenure_days") < 30)
    flood = pa.concat_tables([night, *[young] * 30])
    assert "tenure_days" in drifted(compared(shop[300], 300, flood, 391))


@pytest.mark.parametrize(("before", "after"), [(180, 271), (300, 391)])
@pytest.mark.parametrize("feature", ["gap_max_days", "spend_total", "orders_total"])
def test_another_feature_that_moves_in_a_young_home_warns(
    shop: dict[int, pa.Table], feature: str, before: int, after: int
) -> None:
    night = shop[after]
    moved = pc.multiply(night[feature], 20)
    changed = night.set_column(night.column_names.index(feature), feature, moved.cast(night[feature].type))
    assert feature in drifted(compared(shop[before], before, changed, after))


def test_growth_excuses_nothing_in_an_old_home() -> None:
    """The same shift that a young home explains by its age is drift where the look-back was full already."""
    rng = np.random.default_rng(5)
    before, after = _tenures(rng.uniform(0, 300, 2000)), _tenures(rng.uniform(64, 364, 2000))
    for days, alarm in ((301, False), (365, True), (900, True)):
        history = history_of("tenure_days", LOOK_BACK_DAYS, FIRST, days)
        meter = DriftMeter(
            drift_reference(before, ["tenure_days"], CONFIG, history), CONFIG, FIRST + timedelta(days=64)
        )
        list(meter.watch(after.to_batches()))
        assert meter.report().features[0].drifted is alarm
        assert bool(meter.report().features[0].note) is not alarm


@settings(max_examples=10, deadline=None)
@given(
    days=st.integers(60, 364),
    later=st.integers(1, 200),
    opened_with=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_however_customers_came_growing_older_is_no_drift(days: int, later: int, opened_with: float, seed: int) -> None:
    """All on the first day, a steady stream, or, until the home has doubled, any mixture of both."""
    opened_with = opened_with if later <= days else float(round(opened_with))
    rng = np.random.default_rng(seed)
    grown = min(days + later, 365) - days
    old = np.where(rng.random(3000) < opened_with, days - 0.5, rng.uniform(0, days, 3000))
    new = rng.uniform(0, grown, int(3000 * (1 - opened_with) * grown / days))
    meter = DriftMeter(
        drift_reference(_tenures(old), ["tenure_days"], CONFIG, history_of("tenure_days", LOOK_BACK_DAYS, FIRST, days)),
        CONFIG,
        FIRST + timedelta(days=later),
    )
    list(meter.watch(_tenures(np.concatenate([old + grown, new])).to_batches()))
    assert not meter.report().features[0].drifted


def test_every_feature_has_a_look_back() -> None:
    assert set(LOOK_BACK_DAYS) == {feature.name for feature in DEFINITIONS}
    assert set(DEMAND.look_back_days) == set(DEMAND.features)


def _tenures(values: np.ndarray) -> pa.Table:
    return pa.table({"tenure_days": pa.array(values, pa.float64())})
