"""Harmful changes to a part of a day of payments and labels, or to the precision of their values."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Mutation

_ROWS = ("rows",)
_AMOUNT, _TERMINAL, _CARD = ("amount",), ("terminal_id",), ("customer_id",)
_HOURS = ("hour", "paid_at", "minute", "second")
_AGAIN = ("repeat",)
_LABELLED = ("labelled_at", "hour", "earlier days", "minute")

PARTS: tuple[Mutation, ...] = (
    Mutation("payments-eighth-missing", "payments", change.share(0.86), _ROWS),
    Mutation("payments-seventh-of-terminals-missing", "payments", change.share_of("terminal_id", 0.85),
             (*_TERMINAL, *_ROWS)),
    Mutation("payments-tenth-of-cards-missing", "payments", change.share_of("customer_id", 0.9), (*_CARD, *_ROWS)),
    Mutation("payments-busiest-terminals-missing", "payments",
             change.without_share_of_most_frequent("terminal_id", 0.05), (*_TERMINAL, *_ROWS)),
    Mutation("payments-busiest-cards-missing", "payments",
             change.without_share_of_most_frequent("customer_id", 0.05), (*_CARD, *_ROWS)),
    Mutation("payments-large-missing", "payments", change.where(pl.col("amount") < 100), (*_AMOUNT, *_ROWS)),
    Mutation("payments-small-missing", "payments", change.where(pl.col("amount") > 5), _AMOUNT),
    Mutation("payments-quarter-of-an-hour-missing", "payments", change.without_minutes("paid_at", 615, 15), _HOURS),
    Mutation("payments-half-an-hour-of-the-evening-missing", "payments",
             change.without_minutes("paid_at", 1185, 30), _HOURS),
    Mutation("payments-first-thousand", "payments", lambda one: one.rows.head(1000), (*_ROWS, *_HOURS)),
    Mutation("payments-sent-again", "payments",
             change.again_with("transaction_id", 0.15, paid_at=pl.col("paid_at").dt.offset_by("1s")), _AGAIN),
    Mutation("payments-sent-again-other-amount", "payments",
             change.again_with("transaction_id", 0.15, amount=pl.col("amount") + 0.01), _AGAIN),
    Mutation("amounts-one-decimal", "payments", change.set_to(amount=pl.col("amount").round(1)), _AMOUNT),
    Mutation("amounts-to-five", "payments", change.set_to(amount=(pl.col("amount") / 5).round() * 5), _AMOUNT),
    Mutation("amounts-net", "payments", change.set_to(amount=(pl.col("amount") / 1.19).round(2)), _AMOUNT),
    Mutation("amounts-unrounded", "payments", change.set_to(amount=pl.col("amount") * 1.0003), _AMOUNT),
    Mutation("amounts-in-cents-for-tenth", "payments",
             change.only_in(0.1, change.set_to(amount=pl.col("amount") * 100)), _AMOUNT),
    Mutation("amounts-zero-for-tenth", "payments", change.default_share("amount", 0.1, 0.0), _AMOUNT),
    Mutation("amounts-of-next-row", "payments", change.moved_rows("amount"), _AMOUNT),
    Mutation("amounts-truncated-for-half", "payments",
             change.only_in(0.5, change.set_to(amount=pl.col("amount").floor())), _AMOUNT),
    Mutation("cards-of-next-row", "payments", change.moved_rows("customer_id"), _CARD),
    Mutation("terminals-of-next-row", "payments", change.moved_rows("terminal_id"), _TERMINAL),
    Mutation("terminals-off-by-one", "payments", change.set_to(terminal_id=change.next_number("terminal_id")),
             _TERMINAL),
    Mutation("terminal-default-for-few", "payments", change.default_share("terminal_id", 0.05, "t00000"), _TERMINAL),
    Mutation("card-unknown-for-few", "payments", change.default_share("customer_id", 0.05, "unknown"), _CARD),
    Mutation("transaction-ids-rounded", "payments",
             change.set_to(transaction_id=pl.col("transaction_id") // 10 * 10), ("transaction_id", "quarantine")),
    Mutation("transaction-ids-from-one", "payments",
             change.set_to(transaction_id=pl.int_range(1, pl.len() + 1)), ("transaction_id",)),
    Mutation("times-to-hours", "payments", change.set_to(paid_at=pl.col("paid_at").dt.truncate("1h")), _HOURS),
    Mutation("times-to-minutes", "payments", change.set_to(paid_at=pl.col("paid_at").dt.truncate("1m")), _HOURS),
    Mutation("clock-minus-1h", "payments", change.shifted("paid_at", hours=-1), _HOURS),
    Mutation("times-shuffled", "payments", change.shuffled("paid_at"), _HOURS),
)  # fmt: skip

LABELS: tuple[Mutation, ...] = (
    Mutation("labels-eighth-missing", "payment_labels", change.share(0.86), _ROWS),
    Mutation("labels-few-flipped", "payment_labels",
             change.only_in(0.03, change.set_to(is_fraud=~pl.col("is_fraud"))), ("is_fraud",)),
    Mutation("labels-at-midnight", "payment_labels",
             change.set_to(labelled_at=pl.col("labelled_at").dt.truncate("1d")), _LABELLED),
    Mutation("labels-days-behind", "payment_labels", change.shifted("labelled_at", days=-3), _LABELLED),
    Mutation("labels-to-hours", "payment_labels",
             change.set_to(labelled_at=pl.col("labelled_at").dt.truncate("1h")), _LABELLED),
)  # fmt: skip
