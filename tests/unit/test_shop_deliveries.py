"""What the shop delivers: with the bad rows taken away, exactly what happened."""

import json
from collections import Counter
from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from models.contracts import ORDERS
from models.contracts.checking import check_rows
from models.simulation.catalogue import Catalogue
from models.simulation.customer_behaviour import LONGEST_ORDER_LINES, RATES, RETURN_DELAYS_DAYS, demand, fade
from models.simulation.defects import DefectShares, broken
from models.simulation.orders import Orders
from models.simulation.population import Population
from models.simulation.shop import Shop

FIRST = date(2024, 2, 1)
LAST = FIRST + timedelta(days=59)
NONE = DefectShares(duplicate=0, redelivered=0, null_customer=0, wrong_unit=0, unreadable_quantity=0, late=0)
MANY = DefectShares(
    duplicate=0.03, redelivered=0.04, null_customer=0.05, wrong_unit=0.02, unreadable_quantity=0.06, late=0.2
)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _delivered(shop: Shop, table: str, first: date = FIRST, last: date = LAST) -> pl.DataFrame:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return _frame(pa.concat_tables([shop.delivered(table, day) for day in days]))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(customers=300, seed=11, first_day=FIRST, defects=MANY)


@pytest.fixture(scope="module")
def clean(shop: Shop) -> pl.DataFrame:
    return _frame(shop.clean_orders(FIRST, LAST))


class TestDefects:
    @pytest.mark.slow
    def test_good_rows_are_what_happened_each_once(self, shop: Shop, clean: pl.DataFrame) -> None:
        rows = _delivered(shop, "orders").drop("_original")
        prices = _delivered(shop, "products").select("product_id", "list_price")
        good = (
            rows.unique("order_line_id", keep="first", maintain_order=True)
            .drop_nulls(["customer_id", "quantity"])
            .join(prices, on="product_id")
            .filter(pl.col("unit_price") <= 10 * pl.col("list_price"))
            .drop("list_price")
        )
        expected = clean.filter(pl.col("delivered_on") <= LAST)
        assert good.sort("order_line_id").equals(expected.sort("order_line_id"))

    @pytest.mark.slow
    def test_bad_rows_are_counted_exactly_by_kind(self, shop: Shop) -> None:
        rows = _delivered(shop, "orders")
        prices = _delivered(shop, "products").select("product_id", "list_price")
        again = pl.struct("order_line_id", "delivered_on")
        priced = rows.join(prices, on="product_id")
        found = {
            "duplicate": rows.height - rows.select(again.n_unique()).item(),
            "redelivered": rows.select(again.n_unique() - pl.col("order_line_id").n_unique()).item(),
            "null_customer": rows["customer_id"].null_count(),
            "wrong_unit": priced.filter(pl.col("unit_price") > 10 * pl.col("list_price")).height,
            "unreadable_quantity": rows["quantity"].null_count(),
        }
        assert shop.defect_counts("orders", FIRST, LAST) == found
        assert min(found.values()) > 30

    @pytest.mark.slow
    def test_the_contract_puts_aside_exactly_the_bad_rows(self, shop: Shop, clean: pl.DataFrame) -> None:
        days = [FIRST + timedelta(days=number) for number in range(60)]
        raw = pa.concat_tables([shop.delivered("orders", day) for day in days])
        products = pa.concat_tables([shop.delivered("products", day) for day in days])
        prices = products.select(["product_id", "list_price", "currency", "delivered_on"])
        checked = check_rows(ORDERS, raw, list_prices=prices)
        assert checked.quarantined.num_rows == sum(shop.defect_counts("orders", FIRST, LAST).values())
        kept = _frame(checked.kept).select(clean.columns).sort("order_line_id")
        assert kept.equals(clean.filter(pl.col("delivered_on") <= LAST).sort("order_line_id"))

    @pytest.mark.slow
    def test_counts_of_days_add_up_to_those_of_the_range(self, shop: Shop) -> None:
        days = [FIRST + timedelta(days=number) for number in range(60)]
        by_day = sum((Counter(shop.defect_counts("orders", day, day)) for day in days), Counter())
        assert by_day == Counter(shop.defect_counts("orders", FIRST, LAST))

    @pytest.mark.slow
    def test_shares_are_those_of_the_settings(self, shop: Shop, clean: pl.DataFrame) -> None:
        counts = shop.defect_counts("orders", FIRST, LAST)
        for kind, count in counts.items():
            expected = getattr(MANY, kind) * clean.height
            assert abs(count - expected) < 5 * expected**0.5, kind

    def test_late_rows_come_one_to_three_days_later_in_the_stated_share(self, clean: pl.DataFrame) -> None:
        late = clean.select((pl.col("delivered_on") - pl.col("ordered_at").dt.date()).dt.total_days()).to_series()
        assert set(late.unique()) == {0, 1, 2, 3}
        assert (late > 0).mean() == pytest.approx(MANY.late, abs=0.03)

    @pytest.mark.slow
    def test_without_defects_the_delivery_is_what_happened(self) -> None:
        shop = Shop(customers=300, seed=11, first_day=FIRST, defects=NONE)
        rows = _delivered(shop, "orders").drop("_original")
        assert rows.equals(_frame(shop.clean_orders(FIRST, LAST)))
        assert set(shop.defect_counts("orders", FIRST, LAST).values()) == {0}

    def test_defects_do_not_change_what_happened(self, clean: pl.DataFrame) -> None:
        other = Shop(customers=300, seed=11, first_day=FIRST, defects=NONE)
        assert clean.drop("delivered_on").equals(_frame(other.clean_orders(FIRST, LAST)).drop("delivered_on"))

    def test_other_tables_have_none(self, shop: Shop) -> None:
        for table in ("customers", "products", "payment_labels"):
            assert shop.defect_counts(table, FIRST, LAST) == {}

    @pytest.mark.slow
    def test_a_quantity_that_is_no_number_stands_in_the_original(self, shop: Shop) -> None:
        rows = _delivered(shop, "orders").filter(pl.col("quantity").is_null())
        texts = [json.loads(original)["quantity"] for original in rows["_original"]]
        assert texts
        assert all(text.endswith(" pcs") for text in texts)

    def test_a_share_outside_zero_to_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"'late' is 1\.5"):
            DefectShares(late=1.5)

    def test_each_kind_breaks_one_thing(self, shop: Shop) -> None:
        rows = shop.clean_orders(FIRST, FIRST)
        for kind, column in (
            ("null_customer", "customer_id"),
            ("wrong_unit", "unit_price"),
            ("unreadable_quantity", "quantity"),
        ):
            bad, _ = broken(rows, kind)  # type: ignore[arg-type]
            changed = {name for name in rows.column_names if bad[name] != rows[name]}
            assert changed == {"order_line_id", column}


class TestOrders:
    def test_every_order_has_one_customer_one_time_and_numbered_lines(self, clean: pl.DataFrame) -> None:
        bought = clean.filter(~pl.col("is_return")).group_by("order_id")
        orders = bought.agg(
            pl.col("customer_id", "ordered_at", "country").n_unique(),
            pl.len().alias("lines"),
            pl.col("order_line_id").str.slice(-2).cast(pl.Int32).max().alias("last_line"),
        )
        assert orders.select(pl.col("customer_id", "ordered_at", "country").max()).row(0) == (1, 1, 1)
        assert (orders["lines"] == orders["last_line"]).all()
        assert orders["lines"].is_between(1, LONGEST_ORDER_LINES).all()

    def test_line_ids_are_unique(self, clean: pl.DataFrame) -> None:
        assert clean["order_line_id"].is_unique().all()

    def test_returns_take_back_one_line_of_an_earlier_order(self, clean: pl.DataFrame) -> None:
        back = clean.filter("is_return").with_columns(pl.col("order_line_id").str.strip_prefix("C"))
        assert back["order_id"].str.starts_with("C").all()
        assert back["order_id"].is_unique().all()
        both = back.join(clean, on="order_line_id", suffix="_bought")
        assert both.height == back.height > 20
        for column in ("customer_id", "product_id", "unit_price", "country"):
            assert (both[column] == both[f"{column}_bought"]).all()
        assert (both["quantity"] == -both["quantity_bought"]).all()
        days = (both["ordered_at"].dt.date() - both["ordered_at_bought"].dt.date()).dt.total_days()
        assert set(days) == set(RETURN_DELAYS_DAYS)

    def test_who_signs_up_orders_on_that_day(self, shop: Shop, clean: pl.DataFrame) -> None:
        joined = _delivered(shop, "customers").filter(pl.col("signed_up_on") >= FIRST)
        first = clean.group_by("customer_id").agg(pl.col("ordered_at").min().dt.date())
        both = joined.join(first, on="customer_id", how="left")
        assert joined.height > 20
        assert both["signed_up_on"].equals(both["ordered_at"].rename("signed_up_on"))

    def test_customers_are_known_before_they_order(self, shop: Shop, clean: pl.DataFrame) -> None:
        customers = _frame(shop.customers(LAST))
        assert customers.equals(_delivered(shop, "customers").drop("_original").sort("customer_id"))
        both = clean.join(customers, on="customer_id", suffix="_of_customer")
        assert both.height == clean.height
        assert (both["delivered_on_of_customer"] <= both["delivered_on"]).all()
        assert (both["country"] == both["country_of_customer"]).all()

    def test_products_are_known_before_they_are_bought_and_some_are_new(self, shop: Shop, clean: pl.DataFrame) -> None:
        products = _delivered(shop, "products")
        assert products["delivered_on"].n_unique() == 3
        both = clean.filter(~pl.col("is_return")).join(products, on="product_id", suffix="_of_product")
        assert (both["delivered_on_of_product"] <= both["delivered_on"]).all()
        ratio = both["unit_price"] / both["list_price"]
        assert ratio.is_between(0.7, 1.01).all()
        assert ratio.n_unique() > 10

    def test_few_products_make_most_of_the_sales(self, clean: pl.DataFrame) -> None:
        sales = clean["product_id"].value_counts(sort=True)["count"]
        assert sales.head(40).sum() / sales.sum() > 0.45

    def test_another_seed_is_another_shop(self, clean: pl.DataFrame) -> None:
        other = Shop(customers=300, seed=12, first_day=FIRST, defects=MANY)
        assert not _frame(other.clean_orders(FIRST, LAST)).equals(clean)

    def test_a_day_far_away_is_made_without_those_before_it(self) -> None:
        shop = Shop(customers=300, seed=11, first_day=FIRST, defects=MANY)
        orders = shop.delivered("orders", FIRST + timedelta(days=9000))
        assert orders.num_rows > 10

    def test_customers_buy_from_the_day_they_join_until_they_are_gone(self) -> None:
        population = Population(seed=11, size=2000, first_day=FIRST.toordinal())
        orders = Orders(11, population, Catalogue(11, FIRST.toordinal()))
        days = range(FIRST.toordinal(), FIRST.toordinal() + 120)
        everyone = population.joined(0, days[-1])
        for day in days:
            who = np.searchsorted(everyone.number, orders.bought(day).customer)
            assert (everyone.joined[who] <= day).all()
            assert (everyone.gone[who] > day).all()

    @pytest.mark.slow
    def test_orders_come_at_the_purchase_rate(self) -> None:
        population = Population(seed=11, size=15_000, first_day=FIRST.toordinal())
        orders = Orders(11, population, Catalogue(11, FIRST.toordinal()))
        found, expected = np.zeros(len(RATES)), np.zeros(len(RATES))
        for day in range(FIRST.toordinal(), FIRST.toordinal() + 60):
            active = population.shopping(day, day)
            by_chance = active.where(active.joined < day)
            rate = RATES[by_chance.rate] * demand(np.array([day]))[by_chance.habit, 0] * fade(by_chance.gone - day)
            expected += np.bincount(by_chance.rate, rate, minlength=len(RATES))
            bought = orders.bought(day)
            first_lines = bought.customer[(bought.line == 0) & np.isin(bought.customer, by_chance.number)]
            whose = np.searchsorted(by_chance.number, first_lines)
            found += np.bincount(by_chance.rate[whose], minlength=len(RATES))
        # Counts are Poisson numbers.
        assert (np.abs(found - expected) < 4 * np.sqrt(expected)).all()
