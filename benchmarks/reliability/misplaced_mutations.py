"""Harmful changes that leave every column as it is by itself: values on other rows, one of many senders at fault."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Delivered, Mutation

#: Words of sentences about labels, and about rows that are lost.
_LABELS, _LOST = ("labels", "fits"), ("hole", "rows")


def _unsorted(column: str, by: str) -> change.Change:
    """Times of the next row of a file that is sorted by something else."""
    return lambda one: change.moved_rows(column)(Delivered(one.day, one.rows.sort(by), one.before))


def _two_best_sellers_swapped(one: Delivered) -> pl.DataFrame:
    first, second = one.rows["product_id"].value_counts(sort=True)["product_id"][:2]
    return one.rows.with_columns(pl.col("product_id").replace({first: second, second: first}))


def _in_pairs(column: str) -> change.Change:
    """Every two ids that follow on each other change places."""

    def swap(one: Delivered) -> pl.DataFrame:
        ids = one.rows[column].unique().sort()
        pairs = {ids[place]: ids[min(place ^ 1, len(ids) - 1)] for place in range(len(ids))}
        return one.rows.with_columns(pl.col(column).replace(pairs))

    return swap


def _stuck_terminals(one: Delivered) -> pl.DataFrame:
    busiest = one.rows["terminal_id"].value_counts(sort=True)["terminal_id"].head(20)
    stuck = pl.col("terminal_id").is_in(busiest.implode())
    return one.rows.with_columns(amount=pl.when(stuck).then(42.0).otherwise(pl.col("amount")))


def _texts_of_yesterday(one: Delivered) -> pl.DataFrame:
    texts = one.earlier()["text"].to_list() * 3
    return one.rows.with_columns(text=pl.Series(texts[: one.rows.height]))


def _only(condition: pl.Expr, **columns: pl.Expr) -> change.Change:
    """Columns replaced in the rows that meet a condition."""
    return change.set_to(
        **{name: pl.when(condition).then(value).otherwise(pl.col(name)) for name, value in columns.items()}
    )


_GERMAN, _BRITISH = pl.col("country") == "Germany", pl.col("country") == "United Kingdom"
ORDERS: tuple[Mutation, ...] = (
    Mutation("times-of-next-line", "orders", change.moved_rows("ordered_at"), ("ordered_at",)),
    Mutation("quantities-of-next-line", "orders", change.moved_rows("quantity"), ("is_return", "quantity")),
    Mutation("two-best-sellers-swapped", "orders", _two_best_sellers_swapped, ("product_id",)),
    Mutation("prices-net-in-one-country", "orders", _only(_GERMAN, unit_price=(pl.col("unit_price") / 1.19).round(2)),
             ("unit_price",)),
    Mutation("prices-in-cents-in-one-country", "orders", _only(_GERMAN, unit_price=pl.col("unit_price") * 100),
             ("unit_price",)),
    Mutation("clock-of-one-country-6h-behind", "orders",
             _only(_BRITISH, ordered_at=pl.col("ordered_at") - timedelta(hours=6)), ("ordered_at",)),
    Mutation("orders-of-fifth-of-customers-missing", "orders", change.share_of("customer_id", 0.8), _LOST),
    Mutation("orders-of-new-customers-missing", "orders", change.where(pl.col("customer_id") < "u00008000"), _LOST),
    Mutation("customers-swapped-in-pairs", "orders", _in_pairs("customer_id"), ("customer_id",)),
    Mutation("countries-swapped", "orders",
             change.set_to(country=pl.col("country").replace({"Germany": "France", "France": "Germany"})),
             ("country",)),
    Mutation("customers-emails-of-next-row", "customers", change.moved_rows("email"), ("email",)),
    Mutation("customers-off-by-one", "customers", change.set_to(customer_id=change.next_number("customer_id")),
             ("customer_id",)),
)  # fmt: skip
PAYMENTS: tuple[Mutation, ...] = (
    Mutation("times-of-next-row", "payments", _unsorted("paid_at", "terminal_id"), ("paid_at",)),
    Mutation("payments-tenth-missing", "payments", change.where(pl.int_range(pl.len()) % 10 != 0), _LOST),
    Mutation("amounts-stuck-at-terminals", "payments", _stuck_terminals, ("amount",)),
    Mutation("terminals-swapped-in-pairs", "payments", _in_pairs("terminal_id"), ("terminal_id",)),
    Mutation("cards-swapped-in-pairs", "payments", _in_pairs("customer_id"), ("customer_id",)),
    Mutation("clock-of-tenth-of-terminals-3h-behind", "payments",
             _only(pl.col("terminal_id").str.ends_with("3"), paid_at=pl.col("paid_at") - timedelta(hours=3)),
             ("paid_at",)),
    Mutation("labels-of-next-row", "payment_labels", change.moved_rows("is_fraud"), _LABELS),
    Mutation("labels-shuffled", "payment_labels", change.shuffled("is_fraud"), _LABELS),
    Mutation("labels-of-next-payment", "payment_labels",
             change.set_to(transaction_id=pl.col("transaction_id") + 1), _LABELS),
    Mutation("labels-of-payments-of-yesterday", "payment_labels",
             change.set_to(transaction_id=pl.col("transaction_id") - 10_000_000), _LABELS),
)  # fmt: skip
SUPPORT: tuple[Mutation, ...] = (
    Mutation("intents-of-next-row", "ticket_labels", change.moved_rows("intent"), _LABELS),
    Mutation("intents-shuffled", "ticket_labels", change.shuffled("intent"), _LABELS),
    Mutation("labels-of-next-ticket", "ticket_labels", change.moved_rows("ticket_id"), _LABELS),
    Mutation("articles-of-next-row", "ticket_labels", change.moved_rows("article_id"), _LABELS),
    Mutation("texts-of-next-ticket", "tickets", change.moved_rows("text"), ("text",)),
    Mutation("texts-of-yesterday", "tickets", _texts_of_yesterday, ("text",)),
    Mutation("texts-with-a-signature", "tickets", change.set_to(text=pl.col("text") + "\n\nSent from my phone"),
             ("text",)),
    Mutation("customers-of-next-ticket", "tickets", change.moved_rows("customer_id"), ("customer_id",)),
    Mutation("tickets-tenth-missing", "tickets", change.where(pl.int_range(pl.len()) % 10 != 5), _LOST),
)  # fmt: skip
STOREFRONT: tuple[Mutation, ...] = (
    Mutation("sessions-tenth-missing", "sessions", change.where(pl.int_range(pl.len()) % 10 != 0), _LOST),
    Mutation("sessions-times-of-next-row", "sessions", _unsorted("at", "product_id"), ("at ", "of at")),
    Mutation("sessions-kinds-of-next-row", "sessions", change.moved_rows("kind"), ("kind",)),
    Mutation("stock-names-of-next-row", "stock", change.moved_rows("name"), ("name",)),
    Mutation("stock-durable-of-next-row", "stock", change.moved_rows("is_durable"), ("is_durable",)),
    Mutation("stock-promoted-of-next-row", "stock", change.moved_rows("is_promoted"), ("is_promoted",)),
    Mutation("stock-launched-of-next-row", "stock", change.moved_rows("launched_on"), ("launched_on",)),
)  # fmt: skip
