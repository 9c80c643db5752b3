"""Harmful changes to a part of a day of orders, or to the precision of its values."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Mutation

_ROWS = ("rows", "order_id", "distinct")
_PRICE, _QUANTITY = ("unit_price",), ("quantity",)
_HOURS = ("hour", "ordered_at", "minute")
_AGAIN = ("repeat",)

PARTS: tuple[Mutation, ...] = (
    Mutation("orders-third-missing", "orders", change.share(0.67), _ROWS),
    Mutation("orders-third-of-orders-missing", "orders", change.share_of("order_id", 0.67), _ROWS),
    Mutation("orders-best-seller-missing", "orders", change.without_most_frequent("product_id"), ("product_id",)),
    Mutation("orders-best-sellers-missing", "orders", change.without_share_of_most_frequent("product_id", 0.05),
             ("product_id",)),
    Mutation("orders-third-of-products-missing", "orders", change.share_of("product_id", 0.67),
             ("product_id", *_ROWS)),
    Mutation("orders-second-country-missing", "orders", change.without_most_frequent("country", 1), ("country",)),
    Mutation("orders-single-lines-missing", "orders", change.where(pl.len().over("order_id") > 1), _ROWS),
    Mutation("orders-large-orders-missing", "orders", change.where(pl.len().over("order_id") <= 3), _ROWS),
    Mutation("orders-dear-lines-missing", "orders",
             change.where(pl.col("unit_price") < pl.col("unit_price").quantile(0.8)), (*_PRICE, *_ROWS, "product_id")),
    Mutation("orders-one-hour-missing", "orders", change.where(pl.col("ordered_at").dt.hour() != 17), _HOURS),
    Mutation("orders-sent-again", "orders",
             change.again_with("order_line_id", 0.3, ordered_at=pl.col("ordered_at").dt.offset_by("1s")), _AGAIN),
    Mutation("orders-sent-again-other-price", "orders",
             change.again_with("order_line_id", 0.3, unit_price=pl.col("unit_price") + 0.01), _AGAIN),
    Mutation("times-to-hours", "orders", change.set_to(ordered_at=pl.col("ordered_at").dt.truncate("1h")), _HOURS),
    Mutation("times-to-quarters", "orders", change.set_to(ordered_at=pl.col("ordered_at").dt.truncate("15m")), _HOURS),
    Mutation("times-to-minutes", "orders", change.set_to(ordered_at=pl.col("ordered_at").dt.truncate("1m")), _HOURS),
    Mutation("times-at-noon-for-half", "orders",
             change.only_in(0.5, change.set_to(ordered_at=pl.col("ordered_at").dt.truncate("1d").dt.offset_by("12h"))),
             _HOURS),
    Mutation("clock-minus-2h", "orders", change.shifted("ordered_at", hours=-2), _HOURS),
    Mutation("prices-one-decimal", "orders", change.set_to(unit_price=pl.col("unit_price").round(1)), _PRICE),
    Mutation("prices-net", "orders", change.set_to(unit_price=(pl.col("unit_price") / 1.19).round(2)), _PRICE),
    Mutation("prices-half-precision", "orders",
             change.set_to(unit_price=(pl.col("unit_price") * 1.0003)), _PRICE),
    Mutation("prices-x9-for-tenth", "orders",
             change.only_in(0.1, change.set_to(unit_price=pl.col("unit_price") * 9)), _PRICE),
    Mutation("prices-of-next-line", "orders", change.moved_rows("unit_price"), (*_PRICE, "list price")),
    Mutation("prices-default-for-tenth", "orders", change.default_share("unit_price", 0.1, 1.0), _PRICE),
    Mutation("quantities-x2", "orders", change.set_to(quantity=(pl.col("quantity") * 2).cast(pl.Int32)), _QUANTITY),
    Mutation("quantities-capped", "orders", change.set_to(quantity=pl.col("quantity").clip(-1, 2)), _QUANTITY),
    Mutation("customer-unknown-for-few", "orders", change.default_share("customer_id", 0.05, "unknown"),
             ("customer_id",)),
    Mutation("customers-of-next-line", "orders", change.moved_rows("customer_id"), ("customer_id",)),
    Mutation("products-off-by-one", "orders", change.set_to(product_id=change.next_number("product_id")),
             ("product_id", *_PRICE, "list price")),
    Mutation("product-unknown-for-tenth", "orders", change.default_share("product_id", 0.1, "unknown"),
             ("product_id",)),
    Mutation("country-unknown-for-tenth", "orders", change.default_share("country", 0.1, "unknown"), ("country",)),
    Mutation("country-with-blank", "orders", change.set_to(country=pl.col("country") + " "), ("country",)),
    Mutation("orders-cut-off-at-200", "orders", lambda one: one.rows.head(200), (*_ROWS, *_HOURS)),
)  # fmt: skip

REGISTERS: tuple[Mutation, ...] = (
    Mutation("customers-country-unknown", "customers", change.set_to(country=pl.lit("unknown")), ("country",)),
    Mutation("customers-signed-up-by-default", "customers", change.set_to(signed_up_on=pl.date(1970, 1, 2)),
             ("signed_up_on",)),
    Mutation("customers-same-email", "customers", change.most_frequent("email"), ("email",)),
)  # fmt: skip
