"""Harmful changes to a day of payments and of their labels: what fraud reads."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Delivered, Mutation

#: Words that name ids of another form, or of other things.
_FORM = ("form", "register", "characters", "seen")
_ROWS = ("rows", "no rows")
_AMOUNT = ("amount",)
_HOURS = ("hour", "paid_at", "happen")
_AGAIN = ("repeat", "delivered again", "duplicate", "earlier delivery", "seen")
_SHARE = ("is_fraud",)


def _labels_of_others(one: Delivered) -> pl.DataFrame:
    return one.rows.with_columns(transaction_id=pl.col("transaction_id") + 50_000_000_000)


def _amount_in_every_id(one: Delivered) -> pl.DataFrame:
    return one.rows.with_columns(customer_id=pl.col("amount").cast(pl.String))


PAYMENTS: tuple[Mutation, ...] = (
    Mutation("payments-no-file", "payments", change.nothing, _ROWS),
    Mutation("payments-half", "payments", change.share(0.5), _ROWS),
    Mutation("payments-fifth-missing", "payments", change.share(0.75), _ROWS),
    Mutation("payments-half-of-cards", "payments", change.share_of("customer_id", 0.5), _ROWS),
    Mutation("payments-half-of-terminals", "payments", change.share_of("terminal_id", 0.5), _ROWS),
    Mutation("payments-no-night", "payments", change.where(pl.col("paid_at").dt.hour().is_between(8, 17)),
             (*_ROWS, *_HOURS)),
    Mutation("payments-no-evening", "payments", change.where(pl.col("paid_at").dt.hour() < 16), (*_ROWS, *_HOURS)),
    Mutation("payments-one-hour-missing", "payments", change.where(pl.col("paid_at").dt.hour() != 12), _HOURS),
    Mutation("payments-yesterday-again", "payments", change.repeated_day("paid_at"), (*_ROWS, *_AGAIN)),
    Mutation("payments-yesterday-new-ids", "payments", change.repeated_day("paid_at", "transaction_id"), _AGAIN),
    Mutation("payments-doubled-new-ids", "payments", change.multiplied(2, "transaction_id"), (*_AGAIN, "rows")),
    Mutation("payments-tripled-same-ids", "payments", change.multiplied(3), (*_AGAIN, "quarantine")),
    Mutation("payments-twelve-times", "payments", change.multiplied(12, "transaction_id"), (*_AGAIN, "rows")),
    Mutation("cards-without-zeros", "payments",
             change.set_to(customer_id="u" + pl.col("customer_id").str.strip_chars_start("u0")), _FORM),
    Mutation("cards-upper-case", "payments", change.set_to(customer_id=pl.col("customer_id").str.to_uppercase()),
             _FORM),
    Mutation("cards-as-float", "payments",
             change.set_to(customer_id=pl.col("customer_id").str.strip_chars_start("u0") + ".0"), _FORM),
    Mutation("cards-of-another-system", "payments", change.set_to(customer_id="u9" + pl.col("customer_id").str.tail(7)),
             _FORM),
    Mutation("card-terminal-swapped", "payments", change.swapped("customer_id", "terminal_id"),
             ("customer_id", "terminal_id")),
    Mutation("cards-shuffled", "payments", change.shuffled("customer_id"), ("customer_id",)),
    Mutation("terminals-shuffled", "payments", change.shuffled("terminal_id"), ("terminal_id",)),
    Mutation("amount-as-card", "payments", _amount_in_every_id, ("customer_id",)),
    Mutation("all-on-one-card", "payments", change.most_frequent("customer_id"), ("customer_id",)),
    Mutation("all-on-one-terminal", "payments", change.most_frequent("terminal_id"), ("terminal_id",)),
    Mutation("third-on-one-terminal", "payments",
             change.set_to(terminal_id=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("t00001"))
                           .otherwise(pl.col("terminal_id"))), ("terminal_id",)),
    Mutation("terminals-other-format", "payments", change.set_to(terminal_id="T-" + pl.col("terminal_id").str.tail(5)),
             _FORM),
    Mutation("terminals-new-numbers", "payments",
             change.set_to(terminal_id="t" + (pl.col("terminal_id").str.tail(5).cast(pl.Int64) + 50_000)
                           .cast(pl.String)),
             _FORM),
    Mutation("cards-null", "payments", change.null_share("customer_id", 1.0), ("customer_id",)),
    Mutation("cards-null-for-third", "payments", change.null_share("customer_id", 0.3), ("customer_id",)),
    Mutation("cards-null-for-few", "payments", change.null_share("customer_id", 0.04), ("customer_id",)),
    Mutation("terminals-null-for-third", "payments", change.null_share("terminal_id", 0.3), ("terminal_id",)),
    Mutation("amounts-x100", "payments", change.set_to(amount=pl.col("amount") * 100), _AMOUNT),
    Mutation("amounts-x9", "payments", change.set_to(amount=pl.col("amount") * 9), _AMOUNT),
    Mutation("amounts-in-zloty", "payments", change.set_to(amount=(pl.col("amount") * 4.27).round(2)), _AMOUNT),
    Mutation("amounts-x1.2", "payments", change.set_to(amount=(pl.col("amount") * 1.2).round(2)), _AMOUNT),
    Mutation("amounts-hundredth", "payments", change.set_to(amount=(pl.col("amount") / 100).round(2)), _AMOUNT),
    Mutation("amounts-truncated", "payments", change.set_to(amount=pl.col("amount").floor()), _AMOUNT),
    Mutation("amounts-constant", "payments", change.set_to(amount=pl.lit(20.0)), _AMOUNT),
    Mutation("amounts-zero", "payments", change.set_to(amount=pl.lit(0.0)), _AMOUNT),
    Mutation("amounts-negative", "payments", change.set_to(amount=-pl.col("amount")), _AMOUNT),
    Mutation("amounts-null", "payments", change.null_share("amount", 1.0), _AMOUNT),
    Mutation("amounts-capped", "payments", change.set_to(amount=pl.col("amount").clip(0, 30)), _AMOUNT),
    Mutation("amounts-shuffled", "payments", change.shuffled("amount"), _AMOUNT),
    Mutation("clock-minus-12h", "payments", change.shifted("paid_at", hours=-12), _HOURS),
    Mutation("clock-plus-12h", "payments", change.shifted("paid_at", hours=12), (*_HOURS, "after the day")),
    Mutation("clock-minus-2h", "payments", change.shifted("paid_at", hours=-2), _HOURS),
    Mutation("clock-minus-10-years", "payments", change.years("paid_at", -10), (*_HOURS, "older")),
    Mutation("clock-plus-10-years", "payments", change.years("paid_at", 10), (*_HOURS, "after the day")),
    Mutation("clock-a-week-behind", "payments", change.shifted("paid_at", days=-7), (*_HOURS, "earlier days")),
    Mutation("times-without-hours", "payments", change.set_to(paid_at=pl.col("paid_at").dt.truncate("1d")), _HOURS),
    Mutation("times-constant", "payments", change.set_to(paid_at=pl.col("paid_at").max()), _HOURS),
)  # fmt: skip

LABELS: tuple[Mutation, ...] = (
    Mutation("labels-no-file", "payment_labels", change.nothing, _ROWS),
    Mutation("labels-half", "payment_labels", change.share(0.5), _ROWS),
    Mutation("labels-none-fraud", "payment_labels", change.set_to(is_fraud=pl.lit(value=False)), _SHARE),
    Mutation("labels-all-fraud", "payment_labels", change.set_to(is_fraud=pl.lit(value=True)), _SHARE),
    Mutation("labels-flipped", "payment_labels", change.set_to(is_fraud=~pl.col("is_fraud")), _SHARE),
    Mutation("labels-fifth-fraud", "payment_labels",
             change.set_to(is_fraud=pl.col("is_fraud") | (pl.int_range(pl.len()) % 5 == 0)), _SHARE),
    Mutation("labels-frauds-only", "payment_labels", change.where(pl.col("is_fraud")), (*_SHARE, "rows")),
    Mutation("labels-of-unknown-payments", "payment_labels", _labels_of_others, ("transaction_id",)),
    Mutation("labels-yesterday-again", "payment_labels", change.repeated_day("labelled_at"), (*_ROWS, *_AGAIN)),
)  # fmt: skip
