"""The support desk of the simulated shop: its tables as they are delivered, and what is true of each ticket."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.simulation import rows
from models.simulation.bayes_optimal_support import intent_chances
from models.simulation.catalogue import CATEGORIES, Catalogue
from models.simulation.defects import DefectShares, TicketDefect, affected, broken_tickets
from models.simulation.orders import Orders
from models.simulation.population import Population
from models.simulation.support.articles import Articles
from models.simulation.support.intents import NAMES
from models.simulation.support.labels import FIRST_DAYS, SECOND_DAYS, Label, labels
from models.simulation.support.message import Facts, message
from models.simulation.support.tickets import Order, Ticket, Tickets

TRUTH = pa.schema(
    [
        pa.field("ticket_id", pa.string()),
        pa.field("opened_at", pa.timestamp("us", "UTC")),
        pa.field("language", pa.string()),
        pa.field("intent", pa.string()),
        pa.field("second_intent", pa.string()),
        pa.field("urgent", pa.bool_()),
        pa.field("urgency", pa.float64()),
        pa.field("article_ids", pa.list_(pa.string())),
        pa.field("best_intent", pa.string()),
        pa.field("best_chance", pa.float64()),
    ]
)
_DEFECTS: tuple[TicketDefect, ...] = get_args(TicketDefect)


@dataclass(frozen=True)
class _Opened:
    """The tickets of a day: rows, and 64 mixed bits of each."""

    table: pa.Table
    key: NDArray[np.uint64]


class SupportDesk:
    """Tickets, labels and articles of any day.

    Args:
        seed: another seed is another desk.
        population: who writes.
        catalogue: products that are written about.
        orders: orders that are written about.
        shares: bad tickets per good one.
    """

    def __init__(
        self, seed: int, population: Population, catalogue: Catalogue, orders: Orders, shares: DefectShares
    ) -> None:
        self._seed, self._first, self._catalogue, self._shares = seed, population.first_day, catalogue, shares
        self.tickets, self.articles = Tickets(seed, population, orders), Articles(seed, population.first_day)
        self._opened = lru_cache(maxsize=4)(self._rows)
        self._labels = lru_cache(maxsize=40)(self._labels_of)

    def delivered_tickets(self, day: int) -> pa.Table:
        """Return the raw tickets delivered on `day`, faults included."""
        faults = [broken_tickets(table.filter(pa.array(mask)), defect) for defect, table, mask in self.faults(day)]
        return rows.with_original(pa.concat_tables([self._opened(day).table, *faults]), None)

    def delivered_labels(self, day: int) -> pa.Table:
        """Return the labels said on `day`, in the order of time."""
        back = range(FIRST_DAYS + SECOND_DAYS, 0, -1)
        said = [one for ago in back for one in self._labels(day - ago)]
        today = sorted((one for one in said if one.day == day), key=lambda one: (one.second, one.ticket_id))
        return rows.with_original(self._label_rows(today), None)

    def delivered_articles(self, day: int) -> pa.Table:
        """Return the versions of articles published on `day`, by id."""
        found = sorted(self.articles.published(day), key=lambda one: one.article_id)
        values = [
            {
                "article_id": one.article_id,
                "title": one.title,
                "body": one.body,
                "language": one.language,
                "is_retired": one.is_retired,
            }
            for one in found
        ]
        table = pa.Table.from_pylist(values, rows.SCHEMAS["articles"])
        days = np.array([one.day for one in found], np.int64)
        at = rows.moment_column(days, np.array([one.second for one in found], np.int64))
        return rows.with_original(_with(_with(table, "updated_at", at), "delivered_on", rows.date_column(days)), None)

    def faults(self, day: int) -> Iterable[tuple[TicketDefect, pa.Table, NDArray[np.bool_]]]:
        """Yield each kind of fault, the good tickets of `day`, and which of them come with a bad one."""
        opened = self._opened(day)
        for defect in _DEFECTS:
            yield defect, opened.table, affected(self._seed, opened, self._shares, defect)

    def truth(self, days: Iterable[int]) -> pa.Table:
        """Return what is true of the tickets opened on `days` (`TRUTH`), in the order of time.

        `article_ids` answer the main intent at the end of the day; none where nothing is written about it.
        `best_intent` and `best_chance` are the likeliest main intent and its chance, for one who knows the shop's laws.
        """
        tickets = [ticket for day in days for ticket in self.tickets.opened(day)]
        chances = intent_chances(tickets)
        best = chances.argmax(axis=1)
        columns = {
            "ticket_id": [one.ticket_id for one in tickets],
            "opened_at": _opened_at(tickets),
            "language": [one.language for one in tickets],
            "intent": [one.intent for one in tickets],
            "second_intent": [one.second_name for one in tickets],
            "urgent": [one.urgent for one in tickets],
            "urgency": [one.urgency for one in tickets],
            "article_ids": [self.articles.relevant(one.intent, one.language, one.day) for one in tickets],
            "best_intent": [NAMES[place] for place in best],
            "best_chance": chances.max(axis=1, initial=0.0),
        }
        return pa.table(columns, TRUTH)

    def _labels_of(self, day: int) -> list[Label]:
        """Return all labels of the tickets opened on `day`, whenever they are said."""
        return [label for ticket in self.tickets.opened(day) for label in labels(ticket)]

    def _rows(self, day: int) -> _Opened:
        tickets = self.tickets.opened(day)
        customers = np.array([one.customer for one in tickets], np.int64)
        ids = rows.customer_id_column(customers)
        columns = {
            "ticket_id": [one.ticket_id for one in tickets],
            "customer_id": pa.array(
                [None if one.customer < 0 else id for one, id in zip(tickets, ids.to_pylist(), strict=True)],
                pa.string(),
            ),
            "channel": [one.channel for one in tickets],
            "opened_at": _opened_at(tickets),
            "text": [message(one, self._facts(one)) for one in tickets],
            "order_id": [_order_id(one.order) if one.order and one.names_order else None for one in tickets],
            "delivered_on": rows.date_column(np.full(len(tickets), day)),
        }
        return _Opened(pa.table(columns, rows.SCHEMAS["tickets"]), np.array([one.key for one in tickets], np.uint64))

    def _label_rows(self, said: Sequence[Label]) -> pa.Table:
        days = np.array([one.day for one in said], np.int64)
        columns = {
            "ticket_id": [one.ticket_id for one in said],
            "intent": [one.intent for one in said],
            "urgent": [one.urgent for one in said],
            "handed_off": [one.handed_off for one in said],
            "article_id": [self._article(one) for one in said],
            "labelled_at": rows.moment_column(days, np.array([one.second for one in said], np.int64)),
            "delivered_on": rows.date_column(days),
        }
        return pa.table(columns, rows.SCHEMAS["ticket_labels"])

    def _article(self, label: Label) -> str | None:
        """Return the article that an agent named: the one that was live on the day before; None if none was."""
        if label.answered_about is None:
            return None
        return next(iter(self.articles.relevant(label.answered_about, label.language, label.day - 1)), None)

    def _facts(self, ticket: Ticket) -> Facts:
        if ticket.order is None:
            return Facts(ticket.key % len(CATEGORIES), None, self._first)
        category = int(self._catalogue.category(np.array([ticket.order.product]))[0])
        return Facts(category, _order_id(ticket.order), self._first)


def _opened_at(tickets: Sequence[Ticket]) -> pa.Array:
    days, seconds = (np.array([getattr(one, name) for one in tickets], np.int64) for name in ("day", "second"))
    return rows.moment_column(days, seconds)


def _order_id(order: Order) -> str:
    return f"{date.fromordinal(order.day):%Y%m%d}-{order.number:06d}"


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
