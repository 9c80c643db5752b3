"""Harmful changes to a day that demand suffers from most: units and products; others are those of `order_mutations`."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Mutation
from benchmarks.reliability.order_mutations import ORDERS

#: Of the changes to orders, those that concern products, units and days.
_SHARED = frozenset({
    "orders-no-file", "orders-half", "orders-half-of-products", "orders-morning-only", "orders-largest-country-missing",
    "orders-first-lines-only", "orders-yesterday-again", "orders-yesterday-new-ids", "orders-doubled-new-ids",
    "orders-tripled-same-ids", "customer-product-swapped", "product-country-swapped", "product-constant",
    "products-unknown", "products-shuffled", "prices-x100", "prices-x9", "prices-constant", "quantities-x10",
    "quantities-all-one", "quantity-price-swapped", "signs-flipped", "returns-as-purchases",
    "clock-minus-12h", "clock-plus-12h", "clock-minus-10-years", "clock-plus-10-years", "clock-a-week-behind",
})  # fmt: skip
_QUANTITY = ("quantity",)


DEMAND: tuple[Mutation, ...] = (
    *(one for one in ORDERS if one.name in _SHARED),
    Mutation("quantities-in-dozens", "orders",
             change.set_to(quantity=(pl.col("quantity") * 12).cast(pl.Int32)), _QUANTITY),
    Mutation("quantities-in-pairs", "orders",
             change.set_to(quantity=(pl.col("quantity") * 2).cast(pl.Int32)), _QUANTITY),
    Mutation("quantities-thousandfold", "orders", change.set_to(quantity=pl.col("quantity") * 1000), _QUANTITY),
    Mutation("quantities-null", "orders", change.null_share("quantity", 1.0), _QUANTITY),
    Mutation("products-lower-zeros", "orders",
             change.set_to(product_id="p" + pl.col("product_id").str.strip_chars_start("p0")), ("product_id",)),
    Mutation("products-null-for-third", "orders", change.null_share("product_id", 0.3), ("product_id",)),
)  # fmt: skip
