"""Harmful changes to a day of tickets, of what agents say of them, and of articles: what support reads."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Delivered, Mutation

_ROWS = ("rows", "no rows")
_TEXT = ("text",)
_HOURS = ("hour", "opened_at", "happen")
_AGAIN = ("repeat", "delivered again", "duplicate", "earlier delivery", "seen")


def _mojibake(one: Delivered) -> pl.DataFrame:
    """UTF-8 read as Latin-1, twice."""

    def misread(text: str) -> str:
        for _ in range(2):
            text = text.encode("utf-8").decode("latin-1")
        return text

    return one.rows.with_columns(text=pl.Series([misread(text) for text in one.rows["text"]]))


def _long(one: Delivered) -> pl.DataFrame:
    """Each message with the whole thread that it answers below it."""
    thread = " ".join(one.rows["text"].to_list()[:8])
    return one.rows.with_columns(text=pl.col("text") + "\n> " + pl.lit(thread))


TICKETS: tuple[Mutation, ...] = (
    Mutation("tickets-no-file", "tickets", change.nothing, _ROWS),
    Mutation("tickets-third", "tickets", change.share(0.35), _ROWS),
    Mutation("tickets-mail-missing", "tickets", change.where(pl.col("channel") != "mail"), ("channel", "rows")),
    Mutation("tickets-morning-only", "tickets", change.where(pl.col("opened_at").dt.hour() < 10), (*_ROWS, *_HOURS)),
    Mutation("tickets-yesterday-again", "tickets", change.repeated_day("opened_at"), (*_ROWS, *_AGAIN)),
    Mutation("tickets-yesterday-new-ids", "tickets", change.repeated_day("opened_at", "ticket_id"), _AGAIN),
    Mutation("tickets-twelve-times", "tickets", change.multiplied(12, "ticket_id"), (*_AGAIN, "rows")),
    Mutation("channel-constant", "tickets", change.most_frequent("channel"), ("channel",)),
    Mutation("channel-unknown", "tickets", change.set_to(channel=pl.lit("email")), ("channel",)),
    Mutation("customers-null", "tickets", change.null_share("customer_id", 1.0), ("customer_id",)),
    Mutation("customers-other-format", "tickets", change.set_to(customer_id="C" + pl.col("customer_id").str.tail(5)),
             ("customer_id",)),
    Mutation("customers-of-another-system", "tickets",
             change.set_to(customer_id="u9" + pl.col("customer_id").str.tail(7)), ("customer_id",)),
    Mutation("customer-order-swapped", "tickets", change.swapped("customer_id", "order_id"),
             ("customer_id", "order_id")),
    Mutation("all-of-one-customer", "tickets", change.most_frequent("customer_id"), ("customer_id",)),
    Mutation("orders-null", "tickets", change.null_share("order_id", 1.0), ("order_id",)),
    Mutation("texts-constant", "tickets", change.set_to(text=pl.lit("Please see the attachment.")), (*_TEXT, *_AGAIN)),
    Mutation("texts-blank", "tickets", change.set_to(text=pl.lit("   ")), _TEXT),
    Mutation("texts-cut", "tickets", change.set_to(text=pl.col("text").str.head(20)), _TEXT),
    Mutation("texts-with-threads", "tickets", _long, _TEXT),
    Mutation("texts-id-swapped", "tickets", change.swapped("ticket_id", "text"), ("text", "ticket_id")),
    Mutation("texts-misread", "tickets", _mojibake, _TEXT),
    Mutation("clock-minus-12h", "tickets", change.shifted("opened_at", hours=-12), _HOURS),
    Mutation("clock-plus-10-years", "tickets", change.years("opened_at", 10), (*_HOURS, "after the day")),
    Mutation("clock-minus-10-years", "tickets", change.years("opened_at", -10), (*_HOURS, "older")),
)  # fmt: skip

LABELS: tuple[Mutation, ...] = (
    Mutation("labels-no-file", "ticket_labels", change.nothing, _ROWS),
    Mutation("intents-constant", "ticket_labels", change.most_frequent("intent"), ("intent",)),
    Mutation("intents-renamed", "ticket_labels", change.set_to(intent="v2/" + pl.col("intent")), ("intent",)),
    Mutation("urgent-all", "ticket_labels", change.set_to(urgent=pl.lit(value=True)), ("urgent",)),
    Mutation("handed-off-null", "ticket_labels", change.null_share("handed_off", 1.0), ("handed_off",)),
    Mutation("labels-of-unknown-tickets", "ticket_labels", change.set_to(ticket_id="x" + pl.col("ticket_id")),
             ("ticket_id",)),
)  # fmt: skip
