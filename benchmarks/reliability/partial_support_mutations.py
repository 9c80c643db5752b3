"""Harmful changes to a part of a day of tickets, labels and articles, or to the precision of their values."""

from __future__ import annotations

import polars as pl

from benchmarks.reliability import changes as change
from benchmarks.reliability.mutation import Mutation

_ROWS = ("rows",)
_TEXT, _INTENT = ("text",), ("intent",)
_HOURS = ("hour", "opened_at", "minute")
_ASCII = pl.col("text").str.replace_all(r"[^\x00-\x7F]", "?")

PARTS: tuple[Mutation, ...] = (
    Mutation("tickets-half", "tickets", change.share(0.5), _ROWS),
    Mutation("tickets-chat-missing", "tickets", change.where(pl.col("channel") != "chat"), ("channel",)),
    Mutation("tickets-form-as-mail", "tickets",
             change.set_to(channel=pl.when(pl.col("channel") == "form").then(pl.lit("mail"))
                           .otherwise(pl.col("channel"))), ("channel",)),
    Mutation("tickets-afternoon-missing", "tickets", change.where(pl.col("opened_at").dt.hour() < 14),
             (*_ROWS, *_HOURS)),
    Mutation("tickets-sent-again", "tickets",
             change.again_with("ticket_id", 0.5, opened_at=pl.col("opened_at").dt.offset_by("1s")),
             ("repeat", "rows", "ticket_id", "customer_id")),
    Mutation("tickets-with-customer-only", "tickets", change.where(pl.col("customer_id").is_not_null()),
             ("customer_id", "hole")),
    Mutation("customer-unknown-for-third", "tickets", change.default_share("customer_id", 0.33, "unknown"),
             ("customer_id",)),
    Mutation("order-default", "tickets", change.default_share("order_id", 0.5, "0"), ("order_id",)),
    Mutation("texts-upper-case", "tickets", change.set_to(text=pl.col("text").str.to_uppercase()), _TEXT),
    Mutation("texts-lower-case", "tickets", change.set_to(text=pl.col("text").str.to_lowercase()), _TEXT),
    Mutation("texts-without-blanks", "tickets", change.set_to(text=pl.col("text").str.replace_all(" ", "")), _TEXT),
    Mutation("texts-question-marks", "tickets", change.set_to(text=_ASCII), _TEXT),
    Mutation("texts-escaped", "tickets",
             change.set_to(text="<p>" + pl.col("text").str.replace_all("'", "&#39;").str.replace_all(" ", "&nbsp;")
                           + "</p>"), _TEXT),
    Mutation("texts-cut-at-80", "tickets", change.set_to(text=pl.col("text").str.head(80)), _TEXT),
    Mutation("texts-same-for-third", "tickets", change.default_share("text", 0.33, "See attachment."), _TEXT),
    Mutation("texts-blank-for-third", "tickets", change.default_share("text", 0.33, " "), _TEXT),
    Mutation("times-to-hours", "tickets", change.set_to(opened_at=pl.col("opened_at").dt.truncate("1h")), _HOURS),
    Mutation("times-without-hours", "tickets", change.set_to(opened_at=pl.col("opened_at").dt.truncate("1d")), _HOURS),
)  # fmt: skip

LABELS: tuple[Mutation, ...] = (
    Mutation("labels-third-of-all", "ticket_labels", change.share(0.35), _ROWS),
    Mutation("intents-half-other", "ticket_labels", change.default_share("intent", 0.5, "other"), _INTENT),
    Mutation("intents-upper-case", "ticket_labels", change.set_to(intent=pl.col("intent").str.to_uppercase()), _INTENT),
    Mutation("urgent-inverted", "ticket_labels", change.set_to(urgent=~pl.col("urgent")), ("urgent",)),
    Mutation("urgent-null-for-half", "ticket_labels", change.null_share("urgent", 0.5), ("urgent",)),
    Mutation("handed-off-inverted", "ticket_labels", change.set_to(handed_off=~pl.col("handed_off")),
             ("handed_off",)),
    Mutation("articles-constant", "ticket_labels", change.most_frequent("article_id"), ("article_id",)),
    Mutation("articles-null", "ticket_labels", change.null_share("article_id", 1.0), ("article_id",)),
    Mutation("labels-at-midnight", "ticket_labels",
             change.set_to(labelled_at=pl.col("labelled_at").dt.truncate("1d")), ("labelled_at", "hour")),
)  # fmt: skip
