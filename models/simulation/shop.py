"""The simulated shop: what it delivers on any day, with known faults, and what truly happened."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import cache, lru_cache
from typing import get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.simulation import rows, storefront_rows
from models.simulation.catalogue import Catalogue
from models.simulation.defects import Defect, DefectShares, PaymentDefect, affected, broken, broken_payments, days_late
from models.simulation.orders import Lines, Orders
from models.simulation.payments import LABEL_DAYS, Paid, Payments
from models.simulation.population import Population
from models.simulation.random_streams import Integers
from models.simulation.scenario import NO_CHANGE, Scenario, in_new_country
from models.simulation.shown_lists import ShownLists
from models.simulation.shown_rows import delivered_exposures, delivered_outcomes, duplicates
from models.simulation.storefront import Storefront
from models.simulation.support.desk import SupportDesk

_LATEST_DELIVERY_DAYS = 3
_DEFECTS: tuple[Defect, ...] = get_args(Defect)
_PAYMENT_DEFECTS: tuple[PaymentDefect, ...] = get_args(PaymentDefect)


class Shop:
    """One online retailer, decided by its arguments alone; any day can be produced without those before it.

    Args:
        customers: active customers on any day, about; some of them signed up long before the first day.
        seed: another seed is another shop.
        first_day: the day (UTC) its records begin; nothing is delivered before it.
        defects: shares of the faults added to deliveries.
        scenario: faultless change: growth, campaigns and the like; the default is none.
    """

    def __init__(
        self, customers: int, seed: int, first_day: date, defects: DefectShares, scenario: Scenario = NO_CHANGE
    ) -> None:
        self._seed, self._first, self._defects = seed, first_day.toordinal(), defects
        self._population = Population(seed, customers, self._first)
        self._catalogue = Catalogue(seed, self._first)
        self._orders = Orders(seed, self._population, self._catalogue, scenario)
        self.payments = Payments(seed, self._population, scenario)
        self._scenario = scenario
        self.support = SupportDesk(seed, self._population, self._catalogue, self._orders, defects)
        self.lists = ShownLists(seed, self._population, self._catalogue)
        self.storefront = Storefront(seed, self._population, self._catalogue, self._orders, scenario)
        self._happened = lru_cache(maxsize=8)(self._orders.happened)
        self._arrived = lru_cache(maxsize=2)(self._good_lines)

    def delivered(self, table: str, day: date) -> pa.Table:
        """Return the raw rows of a table (one of `rows.SCHEMAS`) delivered on `day`, faults included.

        Columns: those of the contract, then `delivered_on` (date32) and `_original` (string, one JSON object).
        """
        makers: dict[str, Callable[[int], pa.Table]] = {
            "orders": self._delivered_orders,
            "customers": self._delivered_customers,
            "products": self._delivered_products,
            "payments": self._delivered_payments,
            "payment_labels": self._delivered_labels,
            "tickets": self.support.delivered_tickets,
            "ticket_labels": self.support.delivered_labels,
            "articles": self.support.delivered_articles,
            "exposures": self._delivered_exposures,
            "outcomes": self._delivered_outcomes,
            "sessions": self._delivered_sessions,
            "stock": self._delivered_stock,
        }
        delivered = makers[table](day.toordinal())
        if self._scenario.new_country and table in ("orders", "customers") and len(delivered):
            first = self._population.first_number(self._scenario.new_country_since.toordinal())
            return in_new_country(delivered, self._scenario, self._seed, first)
        return delivered

    def clean_orders(self, first: date, last: date) -> pa.Table:
        """Return the true order lines of `first`..`last`, in the order of time, with their `delivered_on`."""
        parts = [self._clean(self._happened(day)) for day in _days(first, last)]
        return pa.concat_tables([rows.empty("orders"), *parts])

    def customers(self, last: date) -> pa.Table:
        """All customers in the records until `last`, by customer number, with their `delivered_on`."""
        joined = self._population.joined(0, last.toordinal())
        return rows.customers(joined, np.maximum(joined.joined, self._first))

    def clean_payments(self, first: date, last: date) -> pa.Table:
        """Return payments that were truly made on `first`..`last`, in the order of time, with their `delivered_on`."""
        parts = [rows.payments(self.payments.happened(day), day) for day in _days(first, last)]
        return pa.concat_tables([rows.empty("payments"), *parts])

    def ticket_truth(self, first: date, last: date) -> pa.Table:
        """Return what is true of the tickets opened on `first`..`last` (`models.simulation.support.desk.TRUTH`).

        Intents, language, urgency, the articles that answer them, and the likeliest intent for one who knows the laws
        of the shop: the mean of its chance is the best reachable accuracy. None of it is delivered.
        """
        return self.support.truth(_days(first, last))

    def defect_counts(self, table: str, first: date, last: date) -> dict[str, int]:
        """Count the rows delivered on `first`..`last` that a contract must quarantine, by defect; {} if there are none.

        A line re-delivered on `first` counts: it is a duplicate for readers that also have the day before `first`.
        """
        makers = {
            "orders": self._faults,
            "payments": self._payment_faults,
            "tickets": self.support.faults,
            "exposures": self._exposure_faults,
        }
        faults = makers.get(table, lambda _: ())
        counts: Counter[str] = Counter()
        for day in _days(first, last):
            counts.update({defect: int(mask.sum()) for defect, _, mask in faults(day)})
        return dict(counts)

    def _clean(self, lines: Lines) -> pa.Table:
        return rows.orders(lines, lines.day + days_late(self._seed, lines, self._defects))

    def _good_lines(self, day: int) -> Lines:
        """Return the good lines delivered on `day`: those of the day and the late ones of the days before."""
        parts: list[Lines] = []
        for late in range(_LATEST_DELIVERY_DAYS, -1, -1):
            lines = self._happened(day - late)
            parts.append(lines.take(days_late(self._seed, lines, self._defects) == late))
        return Lines.joined(parts)

    def _faults(self, day: int) -> Iterable[tuple[Defect, Lines, NDArray[np.bool_]]]:
        """Each kind of fault, the good lines it can strike in the delivery of `day`, and which of them it does."""
        for defect in _DEFECTS:
            lines = self._arrived(day - 1 if defect == "redelivered" else day)
            yield defect, lines, affected(self._seed, lines, self._defects, defect)

    def _delivered_orders(self, day: int) -> pa.Table:
        faults: list[tuple[Defect, Lines]] = [(defect, lines.take(mask)) for defect, lines, mask in self._faults(day)]
        good = self._arrived(day)
        # One table of all lines, cut into pieces: the cost of a call is higher than that of a row.
        sound = rows.orders(Lines.joined([good, *(lines for _, lines in faults)]), day)
        start = len(good.day)
        parts, texts = [sound.slice(0, start)], [pa.nulls(start, pa.string())]
        for defect, lines in faults:
            bad, quantity_text = broken(sound.slice(start, len(lines.day)), defect)
            start += len(lines.day)
            parts.append(bad)
            texts.append(pa.nulls(len(bad), pa.string()) if quantity_text is None else quantity_text)
        return rows.with_original(pa.concat_tables(parts), texts)

    def _delivered_customers(self, day: int) -> pa.Table:
        new = self._population.appearing(day)
        return rows.with_original(rows.customers(new, day), None) if len(new.number) else _no_rows("customers")

    def _delivered_products(self, day: int) -> pa.Table:
        added: Integers = self._catalogue.added(day)
        return (
            _no_rows("products")
            if not len(added)
            else rows.with_original(rows.products(self._catalogue, added, day), None)
        )

    def _delivered_sessions(self, day: int) -> pa.Table:
        return rows.with_original(storefront_rows.sessions(self.storefront.happened(day), day), None)

    def _delivered_stock(self, day: int) -> pa.Table:
        return rows.with_original(storefront_rows.stock(self.storefront.offers(day), self._catalogue, day), None)

    def _payment_faults(self, day: int) -> Iterable[tuple[PaymentDefect, Paid, NDArray[np.bool_]]]:
        paid = self.payments.happened(day)
        for defect in _PAYMENT_DEFECTS:
            yield defect, paid, affected(self._seed, paid, self._defects, defect)

    def _delivered_payments(self, day: int) -> pa.Table:
        parts = [rows.payments(self.payments.happened(day), day)]
        for defect, paid, mask in self._payment_faults(day):
            parts.append(broken_payments(rows.payments(paid.take(mask), day), defect))
        return rows.with_original(pa.concat_tables(parts), None)

    def _delivered_exposures(self, day: int) -> pa.Table:
        return delivered_exposures(self.lists.happened, self._seed, self._defects, day)

    def _delivered_outcomes(self, day: int) -> pa.Table:
        return delivered_outcomes(self.lists.happened, self._catalogue, day)

    def _exposure_faults(self, day: int) -> Iterable[tuple[str, object, NDArray[np.bool_]]]:
        yield "duplicate", None, duplicates(self.lists.happened, self._seed, self._defects, day)

    def _delivered_labels(self, day: int) -> pa.Table:
        return rows.with_original(rows.payment_labels(self.payments.happened(day - LABEL_DAYS)), None)


@cache
def _no_rows(table: str) -> pa.Table:
    return rows.with_original(rows.empty(table), None)


def _days(first: date, last: date) -> range:
    return range(first.toordinal(), (last + timedelta(days=1)).toordinal())
