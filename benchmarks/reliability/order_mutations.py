"""Harmful changes to a day of orders, customers and products: what churn and demand read."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Delivered, Mutation

#: Words that name ids of another form, or of other things.
_FORM = ("form", "register", "characters", "seen")
_ROWS = ("rows", "no rows")
_PRICE = ("unit_price",)
_QUANTITY = ("quantity",)
_HOURS = ("hour", "ordered_at", "happen")
_AGAIN = ("repeat", "delivered again", "duplicate", "earlier delivery", "seen")


def _units_and_prices_swapped(one: Delivered) -> pl.DataFrame:
    quantity = pl.col("unit_price").round().clip(1).cast(pl.Int32)
    price = pl.col("quantity").abs().cast(pl.Float64)
    sign = pl.when(pl.col("is_return")).then(-1).otherwise(1)
    return one.rows.with_columns(quantity=(quantity * sign).cast(pl.Int32), unit_price=price)


def _one_line_an_order(one: Delivered) -> pl.DataFrame:
    return one.rows.unique("order_id", keep="first", maintain_order=True)


def _yesterdays_customers(one: Delivered) -> pl.DataFrame:
    """The customers of the day before on today's rows, in turn."""
    known = one.earlier()["customer_id"].drop_nulls()
    places = [place % len(known) for place in range(one.rows.height)]
    return one.rows.with_columns(customer_id=known[places])


def _late_by_two_days(one: Delivered) -> pl.DataFrame:
    """The rows of two days before under new keys: the export stands still."""
    again = one.earlier(2)
    return again.with_columns(order_line_id=pl.col("order_line_id") + "-x")


_FLIPPED = change.set_to(quantity=-pl.col("quantity"), is_return=~pl.col("is_return"))
_IS_RETURN = pl.col("is_return")
_FEW_RETURNS = "about 5 returned lines a day are usual: by chance, some days have none"

ORDERS: tuple[Mutation, ...] = (
    Mutation("orders-no-file", "orders", change.nothing, _ROWS),
    Mutation("orders-half", "orders", change.share(0.5), _ROWS),
    Mutation("orders-nearly-half-missing", "orders", change.share(0.55), _ROWS),
    Mutation("orders-half-of-customers", "orders", change.share_of("customer_id", 0.5), _ROWS),
    Mutation("orders-half-of-products", "orders", change.share_of("product_id", 0.5), _ROWS),
    Mutation("orders-morning-only", "orders", change.where(pl.col("ordered_at").dt.hour() < 12), (*_ROWS, *_HOURS)),
    Mutation("orders-no-evening", "orders", change.where(pl.col("ordered_at").dt.hour() < 19), (*_ROWS, *_HOURS)),
    Mutation("orders-largest-country-missing", "orders", change.without_most_frequent("country"), ("country",)),
    Mutation("orders-small-country-missing", "orders", change.without_most_frequent("country", -1),
             ("country", "hole"),
             noted="about 18 lines of 7 orders are usual, and on some days there are none"),
    Mutation("orders-first-lines-only", "orders", _one_line_an_order, ("rows", "order")),
    Mutation("orders-yesterday-again", "orders", change.repeated_day("ordered_at"), (*_ROWS, *_AGAIN)),
    Mutation("orders-yesterday-new-ids", "orders", change.repeated_day("ordered_at", "order_line_id"), _AGAIN),
    Mutation("orders-two-days-old-new-ids", "orders", _late_by_two_days, (*_AGAIN, "earlier days")),
    Mutation("orders-doubled-new-ids", "orders", change.multiplied(2, "order_line_id"), (*_AGAIN, "rows")),
    Mutation("orders-tripled-same-ids", "orders", change.multiplied(3), (*_AGAIN, "quarantine")),
    Mutation("orders-twelve-times", "orders", change.multiplied(12, "order_line_id"), (*_AGAIN, "rows")),
    Mutation("customer-id-upper-case", "orders", change.set_to(customer_id=pl.col("customer_id").str.to_uppercase()),
             _FORM),
    Mutation("customer-id-without-zeros", "orders",
             change.set_to(customer_id="u" + pl.col("customer_id").str.strip_chars_start("u0")), _FORM),
    Mutation("customer-id-numbers", "orders",
             change.set_to(customer_id=pl.col("customer_id").str.strip_chars_start("u")), _FORM),
    Mutation("customer-id-as-float", "orders",
             change.set_to(customer_id=pl.col("customer_id").str.strip_chars_start("u0") + ".0"), _FORM),
    Mutation("customer-ids-of-another-system", "orders",
             change.set_to(customer_id="u9" + pl.col("customer_id").str.tail(7)), _FORM),
    Mutation("customer-product-swapped", "orders", change.swapped("customer_id", "product_id"), ("customer_id",)),
    Mutation("customer-order-swapped", "orders", change.swapped("customer_id", "order_id"),
             ("customer_id", "order_id")),
    Mutation("product-country-swapped", "orders", change.swapped("product_id", "country"), ("product_id", "country")),
    Mutation("order-line-ids-swapped", "orders", change.swapped("order_line_id", "order_id"),
             ("order_line_id", "order_id")),
    Mutation("customers-shuffled", "orders", change.shuffled("customer_id"), ("customer_id",)),
    Mutation("customers-of-yesterday", "orders", _yesterdays_customers, ("customer_id",)),
    Mutation("all-on-one-customer", "orders", change.most_frequent("customer_id"), ("customer_id",)),
    Mutation("third-on-one-customer", "orders",
             change.set_to(customer_id=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("u00000001"))
                           .otherwise(pl.col("customer_id"))), ("customer_id",)),
    Mutation("customer-null", "orders", change.null_share("customer_id", 1.0), ("customer_id",)),
    Mutation("customer-null-for-third", "orders", change.null_share("customer_id", 0.3), ("customer_id",)),
    Mutation("customer-null-for-few", "orders", change.null_share("customer_id", 0.05), ("customer_id",)),
    Mutation("customers-not-yet-registered", "orders",
             change.set_to(customer_id=pl.when(pl.int_range(pl.len()) % 5 == 0)
                           .then("u7" + pl.col("customer_id").str.tail(7)).otherwise(pl.col("customer_id"))),
             ("customer_id",)),
    Mutation("one-order-for-all", "orders", change.most_frequent("order_id"), ("order_id",)),
    Mutation("product-constant", "orders", change.most_frequent("product_id"), ("product_id",)),
    Mutation("products-unknown", "orders", change.set_to(product_id="sku-" + pl.col("product_id")), _FORM),
    Mutation("products-shuffled", "orders", change.shuffled("product_id"), ("product_id", "unit_price", "list price")),
    Mutation("prices-x100", "orders", change.set_to(unit_price=pl.col("unit_price") * 100), _PRICE),
    Mutation("prices-x9", "orders", change.set_to(unit_price=pl.col("unit_price") * 9), _PRICE),
    Mutation("prices-in-zloty", "orders", change.set_to(unit_price=(pl.col("unit_price") * 4.27).round(2)), _PRICE),
    Mutation("prices-x1.2", "orders", change.set_to(unit_price=(pl.col("unit_price") * 1.2).round(2)), _PRICE),
    Mutation("prices-hundredth", "orders", change.set_to(unit_price=pl.col("unit_price") / 100), _PRICE),
    Mutation("prices-truncated", "orders", change.set_to(unit_price=pl.col("unit_price").floor().clip(1.0)), _PRICE),
    Mutation("prices-constant", "orders", change.set_to(unit_price=pl.lit(9.99)), _PRICE),
    Mutation("prices-of-lines", "orders",
             change.set_to(unit_price=(pl.col("unit_price") * pl.col("quantity").abs() ** 1.0).round(2)), _PRICE),
    Mutation("prices-shuffled", "orders", change.shuffled("unit_price"), (*_PRICE, "list price")),
    Mutation("currency-other", "orders", change.set_to(currency=pl.lit("USD")), ("currency",)),
    Mutation("quantities-x10", "orders", change.set_to(quantity=pl.col("quantity") * 10), _QUANTITY),
    Mutation("quantities-all-one", "orders",
             change.set_to(quantity=pl.when(_IS_RETURN).then(-1).otherwise(1).cast(pl.Int32)), _QUANTITY),
    Mutation("quantity-price-swapped", "orders", _units_and_prices_swapped, (*_QUANTITY, *_PRICE)),
    Mutation("signs-flipped", "orders", _FLIPPED, ("quantity", "is_return")),
    Mutation("quantities-negative", "orders", change.set_to(quantity=-pl.col("quantity")),
             ("quantity", "is_return")),
    Mutation("returns-as-purchases", "orders",
             change.set_to(quantity=pl.col("quantity").abs(), is_return=pl.lit(value=False)),
             ("is_return", "negative"), noted=_FEW_RETURNS),
    Mutation("returns-missing", "orders", change.where(~_IS_RETURN), ("is_return", "negative"),
             noted=_FEW_RETURNS),
    Mutation("returns-only", "orders", change.where(_IS_RETURN), ("is_return", "negative", "rows")),
    Mutation("clock-minus-12h", "orders", change.shifted("ordered_at", hours=-12), _HOURS),
    Mutation("clock-plus-12h", "orders", change.shifted("ordered_at", hours=12), (*_HOURS, "after the day")),
    Mutation("clock-minus-10-years", "orders", change.years("ordered_at", -10), (*_HOURS, "older")),
    Mutation("clock-plus-10-years", "orders", change.years("ordered_at", 10), (*_HOURS, "after the day")),
    Mutation("clock-a-week-behind", "orders", change.shifted("ordered_at", days=-7), (*_HOURS, "earlier days")),
    Mutation("times-without-hours", "orders", change.set_to(ordered_at=pl.col("ordered_at").dt.truncate("1d")), _HOURS),
    Mutation("country-constant", "orders", change.most_frequent("country"), ("country",)),
    Mutation("country-as-codes", "orders", change.set_to(country=pl.col("country").str.head(2).str.to_uppercase()),
             ("country",)),
    Mutation("country-shuffled-to-rare", "orders", change.set_to(country=pl.lit("Poland")), ("country",)),
)  # fmt: skip

CUSTOMERS: tuple[Mutation, ...] = (
    Mutation("customers-not-delivered", "customers", change.nothing, ("customers", "customer_id")),
    Mutation("customers-hundred-times", "customers", change.multiplied(100, "customer_id"), ("rows", "customer_id")),
    Mutation("customers-ids-other-format", "customers", change.set_to(customer_id="c-" + pl.col("customer_id")),
             _FORM),
    Mutation("customers-email-swapped", "customers", change.swapped("customer_id", "email"), ("customer_id", "email")),
)  # fmt: skip
