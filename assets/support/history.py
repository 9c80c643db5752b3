"""A ticket with what was known of its customer when it was opened: orders, earlier tickets, a published score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from assets.stages.feature_days import DAY
from assets.support.app import SUPPORT
from models.contracts import DELIVERED_ON
from resources.lake.port import Lake
from resources.sink.port import Sink

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: Orders and intents of earlier tickets that are listed, the newest first.
_LISTED = 3
#: A score that was published longer ago says nothing of a customer.
_SCORE_DAYS = 31
SCHEMA = pa.schema(
    [
        ("ticket_id", pa.string()),
        ("customer_id", pa.string()),
        ("channel", pa.string()),
        ("opened_at", pa.timestamp("us", tz="UTC")),
        ("order_id", pa.string()),
        ("text", pa.string()),
        ("history", pa.string()),
        (DAY, pa.date32()),
    ]
)


@dataclass(frozen=True)
class WrittenTickets:
    """Tickets of a day that were stored with their history."""

    rows: int
    guests: int
    version: int

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster."""
        return {
            keys.ROW_COUNT: self.rows,
            keys.FEATURES: len(SCHEMA) - 1,
            keys.LAKE_VERSION: self.version,
            keys.GUESTS: self.guests,
        }


def write_day(lake: Lake, sink: Sink, day: date, customer_score_of: str | None) -> WrittenTickets:
    """Store the tickets that were delivered on `day` with their history, and days that the lake has lost."""
    table, written = SUPPORT.features, WrittenTickets(0, 0, -1)
    for due in sorted({*lake.repair(table), day}):
        tickets = _scan(lake, "tickets", first=due, last=due)
        rows = with_history(lake, sink, tickets.to_pylist(), due, customer_score_of)
        version = lake.replace(table, rows, by=DAY, first=due, last=due)
        if due == day:
            written = WrittenTickets(rows.num_rows, rows["customer_id"].null_count, version)
    return written


def with_history(
    lake: Lake, sink: Sink, tickets: Iterable[Mapping[str, Any]], day: date, customer_score_of: str | None
) -> pa.Table:
    """Return tickets (columns of the contract) as feature rows of `day`, ascending by their ids.

    Only what was delivered by the day on which a ticket was opened, and happened before it, is part of its history.
    """
    listed = sorted(tickets, key=lambda ticket: ticket["ticket_id"])
    customers = sorted({one["customer_id"] for one in listed if one["customer_id"] is not None})
    known = _Known(lake, sink, customers, customer_score_of)
    rows = [{**ticket, "history": json.dumps(known.history(ticket), sort_keys=True), DAY: day} for ticket in listed]
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], SCHEMA)


class _Known:
    """Rows of some customers, read once."""

    def __init__(self, lake: Lake, sink: Sink, customers: Sequence[str], customer_score_of: str | None) -> None:
        self._lake, self._sink, self._customers, self._score_of = lake, sink, customers, customer_score_of
        self._orders = self._by_customer("orders", ["order_id", "ordered_at", "is_return"])
        self._tickets = self._by_customer("tickets", ["ticket_id", "opened_at"])
        ids = [row["ticket_id"] for rows in self._tickets.values() for row in rows]
        self._labels = _labels(lake, ids)
        self._scores: dict[date, Mapping[str, float]] = {}

    def history(self, ticket: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was known of a ticket's customer when it was opened; nothing of a guest."""
        customer, moment = ticket["customer_id"], ticket["opened_at"]
        if customer is None:
            return {}
        orders = _orders(_before(self._orders.get(customer, ()), "ordered_at", moment))
        tickets = _before(self._tickets.get(customer, ()), "opened_at", moment)
        intents = [found for one in tickets if (found := self._intent(one["ticket_id"], moment))]
        about = [order for order in orders if order["order_id"] == ticket.get("order_id")]
        last = [*about, *(order for order in reversed(orders) if order not in about)][:_LISTED]
        return {
            "orders": sum(not order["is_return"] for order in orders),
            "returns": sum(order["is_return"] for order in orders),
            "last_orders": last,
            "earlier_tickets": len(tickets),
            "last_intents": intents[::-1][:_LISTED],
            **self._score(customer, moment.date()),
        }

    def _by_customer(self, table: str, columns: list[str]) -> dict[str, list[dict[str, Any]]]:
        of_them = pc.field("customer_id").isin(pa.array(self._customers, pa.string()))
        found: dict[str, list[dict[str, Any]]] = {}
        if self._customers:
            for row in _scan(self._lake, table, ["customer_id", *columns, DELIVERED_ON], of_them).to_pylist():
                found.setdefault(row["customer_id"], []).append(row)
        return found

    def _intent(self, ticket: str, moment: datetime) -> str | None:
        """Return the intent of an earlier ticket, by the newest label that was known."""
        labels = _before(self._labels.get(ticket, ()), "labelled_at", moment)
        return labels[-1]["intent"] if labels else None

    def _score(self, customer: str, opened_on: date) -> dict[str, Any]:
        if self._score_of is None:
            return {}
        days = [one for one in self._sink.published_days(self._score_of) if one < opened_on]
        if not days or (opened_on - days[-1]).days > _SCORE_DAYS:
            return {}
        if days[-1] not in self._scores:
            self._scores[days[-1]] = self._published(days[-1])
        score = self._scores[days[-1]].get(customer)
        if score is None:
            return {}
        return {"customer_score": score, "customer_score_of": self._score_of, "customer_score_day": str(days[-1])}

    def _published(self, day: date) -> Mapping[str, float]:
        publication = self._sink.published(self._score_of or "", day)
        wanted, found = pa.array(self._customers, pa.string()), dict[str, float]()
        for batch in self._sink.published_rows(publication) if publication is not None else ():
            if {"customer_id", "score"} <= {*batch.schema.names}:
                rows = batch.filter(pc.is_in(batch.column("customer_id"), value_set=wanted))
                found |= zip(rows.column("customer_id").to_pylist(), rows.column("score").to_pylist(), strict=True)
        return {customer: round(score, 6) for customer, score in found.items()}


def _before(rows: Iterable[Mapping[str, Any]], at: str, moment: datetime) -> list[Mapping[str, Any]]:
    """Return the rows that happened before a moment and were delivered by its day, oldest first."""
    known = [row for row in rows if row[at] < moment and row[DELIVERED_ON] <= moment.date()]
    return sorted(known, key=lambda row: (row[at], row.get("order_id") or row.get("ticket_id") or ""))


def _orders(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the orders that lines belong to, oldest first."""
    found: dict[tuple[str, bool], dict[str, Any]] = {}
    for line in lines:
        first = {"order_id": line["order_id"], "ordered_on": str(line["ordered_at"].date()), "lines": 0}
        order = found.setdefault((line["order_id"], line["is_return"]), {**first, "is_return": line["is_return"]})
        order["lines"] += 1
    return list(found.values())


def _labels(lake: Lake, tickets: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    of_them = pc.field("ticket_id").isin(pa.array(tickets, pa.string()))
    found: dict[str, list[dict[str, Any]]] = {}
    if tickets:
        columns = ["ticket_id", "intent", "labelled_at", DELIVERED_ON]
        for row in _scan(lake, "ticket_labels", columns, of_them).to_pylist():
            found.setdefault(row["ticket_id"], []).append(row)
    return found


def _scan(
    lake: Lake,
    table: str,
    columns: list[str] | None = None,
    where: pc.Expression | None = None,
    *,
    first: date | None = None,
    last: date | None = None,
) -> pa.Table:
    """Return rows of a contracted table; none of one that the source does not deliver."""
    if not lake.exists(table):
        return pa.table({})
    return lake.scan(table, first=first, last=last).to_table(columns=columns, filter=where)
