"""Harmful changes to a day of sessions and of stock, prices and costs: what personalization reads."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Mutation

_ROWS = ("rows", "no rows")
_HOURS = ("hour", " at", "minute")
_AGAIN = ("repeat", "delivered again", "duplicate", "earlier delivery", "seen", "quarantine")
_CUSTOMER, _PRODUCT, _SESSION = ("customer_id",), ("product_id",), ("session_id",)
_STOCK, _PRICE, _COST = ("on_hand",), ("price",), ("unit_cost",)

SESSIONS: tuple[Mutation, ...] = (
    Mutation("sessions-no-file", "sessions", change.nothing, _ROWS),
    Mutation("sessions-third-missing", "sessions", change.share(0.67), (*_ROWS, "session_id")),
    Mutation("sessions-third-of-visits-missing", "sessions", change.share_of("session_id", 0.67),
             (*_ROWS, "session_id")),
    Mutation("sessions-carts-missing", "sessions", change.where(pl.col("kind") != "cart"), ("kind",)),
    Mutation("sessions-carts-only", "sessions", change.where(pl.col("kind") == "cart"), ("kind", *_ROWS)),
    Mutation("sessions-kinds-swapped", "sessions",
             change.set_to(kind=pl.when(pl.col("kind") == "cart").then(pl.lit("view")).otherwise(pl.lit("cart"))),
             ("kind",)),
    Mutation("sessions-one-hour-missing", "sessions", change.where(pl.col("at").dt.hour() != 18), _HOURS),
    Mutation("sessions-best-seller-missing", "sessions", change.without_most_frequent("product_id"), _PRODUCT),
    Mutation("sessions-fifth-of-products-missing", "sessions", change.share_of("product_id", 0.8), _PRODUCT),
    Mutation("sessions-yesterday-new-ids", "sessions", change.repeated_day("at", "event_id"), _AGAIN),
    Mutation("sessions-near-duplicates", "sessions",
             change.again_with("event_id", 0.3, at=pl.col("at").dt.offset_by("1s")),
             (*_AGAIN, "rows", "session_id")),
    Mutation("sessions-anonymous", "sessions", change.null_share("customer_id", 1.0), _CUSTOMER),
    Mutation("sessions-fifth-anonymous", "sessions", change.null_share("customer_id", 0.2), _CUSTOMER),
    Mutation("sessions-known-only", "sessions", change.where(pl.col("customer_id").is_not_null()), _CUSTOMER),
    Mutation("sessions-default-customer", "sessions",
             change.default_share("customer_id", 0.05, "unknown"), _CUSTOMER),
    Mutation("sessions-customers-off-by-one", "sessions", change.moved_rows("customer_id"), _CUSTOMER),
    Mutation("sessions-products-off-by-one", "sessions",
             change.set_to(product_id=change.next_number("product_id")), _PRODUCT),
    Mutation("sessions-one-visit-an-event", "sessions", change.set_to(session_id=pl.col("event_id")), _SESSION),
    Mutation("sessions-one-visit-for-all", "sessions", change.most_frequent("session_id"), _SESSION),
    Mutation("sessions-positions-null", "sessions", change.null_share("position", 1.0), ("position",)),
    Mutation("sessions-positions-one", "sessions",
             change.set_to(position=pl.when(pl.col("position").is_not_null()).then(1).cast(pl.Int32)), ("position",)),
    Mutation("sessions-positions-from-zero", "sessions", change.set_to(position=pl.col("position") - 1),
             ("position",)),
    Mutation("sessions-times-to-hours", "sessions", change.set_to(at=pl.col("at").dt.truncate("1h")), _HOURS),
    Mutation("sessions-times-to-minutes", "sessions", change.set_to(at=pl.col("at").dt.truncate("1m")), _HOURS),
    Mutation("sessions-an-hour-behind", "sessions", change.shifted("at", hours=-1), _HOURS),
)  # fmt: skip

STOCK: tuple[Mutation, ...] = (
    Mutation("stock-no-file", "stock", change.nothing, _ROWS),
    Mutation("stock-tenth-of-products-missing", "stock", change.share(0.9), (*_ROWS, "product_id")),
    Mutation("stock-all-zero", "stock", change.set_to(on_hand=pl.lit(0, pl.Int32)), _STOCK),
    Mutation("stock-fifth-zero", "stock", change.default_share("on_hand", 0.2, 0), _STOCK),
    Mutation("stock-in-dozens", "stock", change.set_to(on_hand=(pl.col("on_hand") // 12).cast(pl.Int32)), _STOCK),
    Mutation("stock-to-tens", "stock", change.set_to(on_hand=((pl.col("on_hand") / 10).round() * 10).cast(pl.Int32)),
             _STOCK),
    Mutation("stock-shuffled", "stock", change.shuffled("on_hand"), _STOCK),
    Mutation("stock-of-yesterday", "stock", change.values_of_yesterday("product_id", "on_hand"),
             (*_STOCK, *_AGAIN)),
    Mutation("stock-prices-are-costs", "stock", change.set_to(price=pl.col("unit_cost").clip(0.01)), _PRICE),
    Mutation("stock-price-cost-swapped", "stock",
             change.set_to(price=pl.col("unit_cost").clip(0.01), unit_cost=pl.col("price")), (*_PRICE, *_COST)),
    Mutation("stock-prices-net", "stock", change.set_to(price=(pl.col("price") / 1.19).round(2)), _PRICE),
    Mutation("stock-prices-in-cents", "stock", change.set_to(price=pl.col("price") * 100), _PRICE),
    Mutation("stock-prices-whole", "stock", change.set_to(price=pl.col("price").round().clip(1)), _PRICE),
    Mutation("stock-prices-one-decimal", "stock", change.set_to(price=pl.col("price").round(1).clip(0.1)), _PRICE),
    Mutation("stock-costs-null", "stock", change.null_share("unit_cost", 1.0), _COST),
    Mutation("stock-costs-zero-for-tenth", "stock", change.default_share("unit_cost", 0.1, 0.0), _COST),
    Mutation("stock-costs-shuffled", "stock", change.shuffled("unit_cost"), _COST),
    Mutation("stock-costs-above-prices", "stock", change.set_to(unit_cost=pl.col("price") * 1.1), _COST),
    Mutation("stock-currency-other", "stock", change.set_to(currency=pl.lit("USD")), ("currency",)),
    Mutation("stock-all-promoted", "stock", change.set_to(is_promoted=pl.lit(value=True)), ("is_promoted",)),
    Mutation("stock-durable-inverted", "stock", change.set_to(is_durable=~pl.col("is_durable")), ("is_durable",)),
    Mutation("stock-names-null", "stock", change.null_share("name", 1.0), ("name",)),
    Mutation("stock-launched-by-default", "stock", change.set_to(launched_on=pl.date(1970, 1, 2)), ("launched_on",)),
    Mutation("stock-launched-today", "stock", change.set_to(launched_on=pl.col("counted_on")), ("launched_on",)),
    Mutation("stock-products-off-by-one", "stock",
             change.set_to(product_id=change.next_number("product_id")), ("product_id", *_PRICE, *_STOCK)),
)  # fmt: skip
