"""The churn features against a slow reference, against rows they must not see, and against chance."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from math import isnan, nan
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.features.churn import CATEGORIES, FEATURES, churn_features
from models.features.churn_definitions import HISTORY_DAYS
from models.features.cutoffs import cutoff_moment
from models.features.leakage import known_at, leaking_features
from tests.unit.features.orders import FIRST_DAY, Line, bought, cutoffs_table, engine, orders_table
from tests.unit.features.reference import reference_features

DAY = date(2024, 8, 1)
MICROSECONDS = 86_400_000_000
#: Midnights and their neighbours are where windows go wrong.
MOMENTS = st.one_of(
    st.integers(0, 260 * MICROSECONDS - 1),
    st.tuples(st.integers(1, 259), st.integers(-1, 1)).map(lambda pair: pair[0] * MICROSECONDS + pair[1]),
)
LINES = st.lists(
    st.builds(
        Line,
        customer=st.sampled_from("abcde"),
        order=st.sampled_from([f"o{n}" for n in range(30)]),
        product=st.sampled_from(["mug", "tray", "lamp", "sign"]),
        at=MOMENTS,
        pieces=st.integers(1, 40),
        price_cents=st.integers(1, 30_000),
        country=st.sampled_from(["Norway", "Italy"]),
        is_return=st.sampled_from([False, False, False, True]),
        late=st.sampled_from([0, 0, 0, 1, 5]),
    ),
    min_size=25,  # few lines hardly ever meet in one window
    max_size=80,
)
slow = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def features(lines: Sequence[Line], days: Sequence[date], place: Path, *, population_days: int = 180) -> pa.Table:
    return _features_of(orders_table(lines), days, place, population_days=population_days)


def _features_of(
    orders: pa.Table, days: Sequence[date], place: Path, *, population_days: int = 180, threads: int = 1
) -> pa.Table:
    tables = {"orders": orders, "cutoffs": cutoffs_table(days)}
    return engine(place, threads).query(churn_features, tables, population_days=population_days).read_all()


@slow
@given(lines=LINES, population_days=st.sampled_from([60, 180]))
@pytest.mark.slow
def test_features_equal_the_slow_reference(lines: list[Line], population_days: int, tmp_path_factory) -> None:
    days = [FIRST_DAY + timedelta(days=n) for n in (40, 181, 259)]
    found = features(lines, days, tmp_path_factory.getbasetemp(), population_days=population_days)
    expected = {
        (customer, day): wanted
        for day in days
        for customer in sorted({line.customer for line in lines})
        if (wanted := reference_features(lines, customer, day, population_days)) is not None
    }
    assert [(row["customer_id"], row["feature_date"]) for row in found.to_pylist()] == list(expected)
    for row in found.to_pylist():
        wanted = expected[row["customer_id"], row["feature_date"]]
        assert row["event_timestamp"] == row["created_timestamp"] == cutoff_moment(row["feature_date"])
        # NaN stands for NULL: features are never NaN, and `approx` does not know None.
        assert not any(isinstance(row[name], float) and isnan(row[name]) for name in FEATURES)
        known = {name: nan if wanted[name] is None else wanted[name] for name in FEATURES}
        assert {name: nan if row[name] is None else row[name] for name in FEATURES} == pytest.approx(
            known, rel=1e-9, abs=1e-9, nan_ok=True
        )
        assert row["country"] == wanted["country"]


@pytest.mark.slow
def test_columns_are_the_declared_ones(tmp_path: Path) -> None:
    found = features([bought("a", DAY)], [DAY], tmp_path)
    assert found.column_names[4:] == [*FEATURES, *CATEGORIES]
    assert {found.schema.field(name).type for name in FEATURES} == {pa.float64()}
    assert found.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")


EDGES = {7: ["orders_7"], 30: ["orders_30"], 90: ["orders_90", "purchase_days_90"], 180: ["orders_180"]}


@pytest.mark.parametrize(("days", "names"), EDGES.items())
@pytest.mark.slow
def test_windows_are_open_on_the_left(days: int, names: list[str], tmp_path: Path) -> None:
    """The first moment of day D - (N-1) is inside, the last one of the day before is not."""
    inside = [bought("a", DAY), bought("a", DAY - timedelta(days=days - 1), hour=0)]
    outside = [bought("a", DAY), inside[1]._replace(at=inside[1].at - 1)]
    for lines, counted in ((inside, 2.0), (outside, 1.0)):
        found = features(lines, [DAY], tmp_path)
        assert {name: found[name].to_pylist() for name in names} == {name: [counted] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(("days_ago", "products", "share"), [(89, 1.0, 1.0), (90, 1.0, 0.0)])
def test_a_product_is_new_if_first_bought_in_the_window(
    days_ago: int, products: float, share: float, tmp_path: Path
) -> None:
    found = features([bought("a", DAY), bought("a", DAY - timedelta(days=days_ago))], [DAY], tmp_path)
    assert (found["products_90"].to_pylist(), found["new_product_share_90"].to_pylist()) == ([products], [share])


@pytest.mark.slow
def test_what_is_older_than_the_history_changes_no_byte(tmp_path: Path) -> None:
    """A home that happens to hold more history gives the same features, so the same scores."""
    day = FIRST_DAY + timedelta(days=500)
    within = [bought("a", day - timedelta(days=n)) for n in (3, 50, HISTORY_DAYS - 1)]
    older = [bought("a", day - timedelta(days=n), product="lamp", is_return=n % 2 == 0) for n in (HISTORY_DAYS, 400)]
    once = features(within, [day], tmp_path)
    assert once["orders_total"].to_pylist() == [3]
    assert features([*older, *within], [day], tmp_path).equals(once)


def test_a_customer_leaves_the_population_after_its_last_day(tmp_path: Path) -> None:
    days = [DAY + timedelta(days=179), DAY + timedelta(days=180)]
    assert features([bought("a", DAY)], days, tmp_path)["feature_date"].to_pylist() == days[:1]


def test_the_country_is_that_of_the_last_purchase(tmp_path: Path) -> None:
    lines = [
        bought("a", DAY - timedelta(days=9), country="Sweden"),
        bought("a", DAY - timedelta(days=5), country="Italy"),
        bought("a", DAY, country="Sweden", is_return=True),
    ]
    assert features(lines, [DAY], tmp_path)["country"].to_pylist() == ["Italy"]


def test_returns_alone_make_nobody_a_customer(tmp_path: Path) -> None:
    assert features([bought("a", DAY, is_return=True)], [DAY], tmp_path).num_rows == 0


@pytest.mark.slow
@pytest.mark.parametrize(("placed", "late"), [(-1, 2), (1, -3)], ids=["delivered after t", "placed after t"])
def test_a_row_counts_from_the_day_it_is_both_placed_and_delivered(placed: int, late: int, tmp_path: Path) -> None:
    """No contract lets in what is delivered before it is placed; it must not leak all the same."""
    lines = [bought("a", DAY), bought("a", DAY + timedelta(days=placed), late=late)]
    found = features(lines, [DAY, DAY + timedelta(days=1)], tmp_path)
    assert found["orders_total"].to_pylist() == [1.0, 2.0]
    assert found["products_per_line"].to_pylist() == [1.0, 0.5]


def test_no_orders_give_no_rows(tmp_path: Path) -> None:
    assert features([], [DAY], tmp_path).num_rows == 0


def _as_orders(raw: ir.Table) -> ir.Table:
    late = ibis.ifelse(raw.Quantity.abs() % 7 == 3, 3, 0)
    return raw.filter(raw.CustomerID.notnull(), raw.UnitPrice > 0).select(
        order_line_id=ibis.row_number().cast("string"),
        order_id=raw.InvoiceNo,
        customer_id=raw.CustomerID.cast("string"),
        product_id=raw.StockCode,
        ordered_at=raw.InvoiceDate.cast("timestamp('UTC', 6)"),
        quantity=raw.Quantity.cast("int32"),
        unit_price=raw.UnitPrice,
        currency=ibis.literal("GBP"),
        country=raw.Country,
        is_return=raw.Quantity < 0,
        delivered_on=(raw.InvoiceDate + late.as_interval("D")).date(),
    )


@pytest.fixture(scope="module")
def retail(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Online Retail as the table `orders`; lines of 3, 10, 17... pieces arrive three days late."""
    raw = ds.dataset(shared_data / "online_retail", format="parquet")
    return engine(tmp_path_factory.getbasetemp()).query(_as_orders, {"raw": raw}).read_all()


RETAIL_DAY = date(2011, 6, 2)


@pytest.mark.real
def test_what_comes_after_the_cutoff_changes_no_byte(retail: pa.Table, tmp_path: Path) -> None:
    compute = partial(_features_of, days=[RETAIL_DAY], place=tmp_path)
    assert leaking_features(compute, retail, RETAIL_DAY) == ()
    placed = pc.sum(pc.less_equal(retail["ordered_at"], cutoff_moment(RETAIL_DAY))).as_py()
    assert known_at(retail, RETAIL_DAY).num_rows < placed < retail.num_rows, "no late or future rows to be caught by"


@pytest.mark.real
@pytest.mark.parametrize("cheat", ["future", "late"])
@pytest.mark.slow
def test_a_canary_from_after_the_cutoff_is_caught(cheat: str, retail: pa.Table, tmp_path: Path) -> None:
    def with_canary(orders: ir.Table, cutoffs: ir.Table) -> ir.Table:
        honest = churn_features(orders, cutoffs, population_days=180)
        unseen = orders.ordered_at > ibis.timestamp(cutoff_moment(RETAIL_DAY).isoformat())
        seen = unseen if cheat == "future" else ~unseen  # "late" forgets to ask for the day of delivery
        canary = orders.filter(seen).group_by("customer_id").agg(canary=ibis._.count())
        return honest.left_join(canary, "customer_id").drop("customer_id_right")

    def compute(orders: pa.Table) -> pa.Table:
        return (
            engine(tmp_path).query(with_canary, {"orders": orders, "cutoffs": cutoffs_table([RETAIL_DAY])}).read_all()
        )

    assert leaking_features(compute, retail, RETAIL_DAY) == ("canary",)


@pytest.mark.real
def test_a_population_that_knows_the_future_is_caught(retail: pa.Table, tmp_path: Path) -> None:
    def compute(orders: pa.Table) -> pa.Table:
        day = RETAIL_DAY + timedelta(days=1)
        moved = _features_of(orders, [day], tmp_path)
        return moved.set_column(1, "feature_date", pa.array([RETAIL_DAY] * moved.num_rows, pa.date32()))

    assert leaking_features(compute, retail, RETAIL_DAY) == ("customer_id", "feature_date")


@pytest.mark.real
def test_same_orders_same_bytes(retail: pa.Table, tmp_path: Path) -> None:
    """Whatever the threads, the order of the rows, and the number of cut-offs computed together."""
    week = [RETAIL_DAY - timedelta(days=n) for n in range(0, 28, 7)]
    once = _features_of(retail, [RETAIL_DAY], tmp_path)
    assert once.num_rows > 2000
    assert _features_of(retail, [RETAIL_DAY], tmp_path, threads=2).equals(once)
    assert _features_of(retail.sort_by("unit_price"), [RETAIL_DAY], tmp_path, threads=2).equals(once)
    together = _features_of(retail, week, tmp_path, threads=2)
    assert together.filter(pc.equal(together["feature_date"], RETAIL_DAY)).equals(once)


@pytest.mark.real
def test_one_real_customer_as_plain_sql_counts_it(retail: pa.Table, tmp_path: Path) -> None:
    """Expected values: one aggregate over the original file, `WHERE CustomerID = 12347`."""
    found = _features_of(retail, [date(2011, 8, 31)], tmp_path)
    row = found.filter(pc.equal(found["customer_id"], "12347")).to_pylist()[0]
    wanted = {"orders_total": 5, "purchase_days_total": 5, "spend_total": 2790.86, "country": "Iceland"}
    assert {name: row[name] for name in wanted} == wanted
    assert row["basket_lines_mean"] == 124 / 5
    assert row["recency_days"] == pytest.approx(29 + (15 * 60 + 12) / 1440, abs=1e-9)  # since 2011-08-02 08:48
