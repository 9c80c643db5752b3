"""Tickets of any day, each drawn on its own: who writes, about what, in which words' key. Texts: `message`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np

from models.simulation.customer_behaviour import COUNTRIES, COUNTRY_SHARE, RETURN_DELAYS_DAYS
from models.simulation.orders import Lines, Orders
from models.simulation.population import Population
from models.simulation.random_streams import Floats, Integers, Purpose, keys, uniform
from models.simulation.support.intents import (
    CHANCE,
    GROUPS,
    INTENTS,
    LONG_WAIT_DAYS,
    LONG_WAIT_URGENCY,
    MAIN_FIRST,
    SITUATIONS,
    TWO_CHANCE,
    UNCLEAR_CHANCE,
    WORDING_SHARE,
    WORDING_URGENCY,
    Situation,
    second_chance,
)
from models.simulation.support.wordings import LANGUAGES, Draws

#: Of the orders, and of those sent back, this share has a ticket; of the customers, one without an order a day.
ORDER_SHARE, RETURN_SHARE, CUSTOMER_SHARE = 0.03, 0.12, 0.0025
#: Guests for each ticket of a customer that is about no order.
GUEST_SHARE = 0.2
#: Longest time between an order, or its return, and the ticket.
LONGEST_WAIT_DAYS, _SHORTEST_REFUND_DAYS = 14, 3
_LONGEST_BACK_DAYS = LONGEST_WAIT_DAYS + max(RETURN_DELAYS_DAYS)
#: Above 1, people write sooner than evenly over that time.
SOONER = 1.5
#: Of a customer's orders, this share of tickets names the order in its field.
NAMED_ORDER_SHARE = 0.6

_CHANNELS, _CHANNEL_SHARE = ("mail", "chat", "form"), (0.45, 0.35, 0.20)
#: Share of the languages (`LANGUAGES`) in each country.
_LANGUAGE_SHARE = {
    "Germany": (0.06, 0.94, 0.0),
    "France": (0.06, 0.0, 0.94),
    "United Kingdom": (1.0, 0.0, 0.0),
    "Spain": (0.7, 0.1, 0.2),
    "Netherlands": (0.6, 0.35, 0.05),
    "Poland": (0.6, 0.4, 0.0),
}
_DAY_SECONDS = 86_400
_NO_CUSTOMER = -1


@dataclass(frozen=True)
class Order:
    """The order that a ticket is about.

    Attributes:
        day: it was placed on.
        number: of that day.
        product: of its first line.
        amount: EUR, all lines.
    """

    day: int
    number: int
    product: int
    amount: float


@dataclass(frozen=True)
class Ticket:
    """One ticket and everything that is true of it.

    Attributes:
        key: 64 mixed bits of its own.
        day: on which it is opened.
        second: of that day, UTC.
        number: of that day, in the order of time.
        customer: number, or -1 for a guest.
        language: of its text.
        channel: mail, chat or form.
        situation: of the one who writes.
        days_waited: since the order or its return; 0 without.
        order: it is about; None without.
        names_order: the order stands in the ticket's field.
        main: place in `INTENTS` of the intent that it is about.
        second_intent: place of the second one; -1 without.
        main_first: of two intents, the main one is written first.
        group: place in `GROUPS` of the way it is written, which leaves open what is meant; -1 if that is clear.
        wording: 0 calm, 1 mild pressure, 2 strong pressure.
        urgency: chance (0..1) to be urgent, from intent, wording and waiting.
        urgent: whether it is.
    """

    key: int
    day: int
    second: int
    number: int
    customer: int
    language: str
    channel: str
    situation: Situation
    days_waited: int
    order: Order | None
    names_order: bool
    main: int
    second_intent: int
    main_first: bool
    group: int
    wording: int
    urgency: float
    urgent: bool

    @property
    def intent(self) -> str:
        """Name of the main intent."""
        return INTENTS[self.main].name

    @property
    def second_name(self) -> str | None:
        """Name of the second intent."""
        return None if self.second_intent < 0 else INTENTS[self.second_intent].name

    @property
    def ticket_id(self) -> str:
        """Day and number of the day, e.g. `t20250301-00012`."""
        return f"t{date.fromordinal(self.day):%Y%m%d}-{self.number:05d}"


@dataclass(frozen=True)
class _Writer:
    """The writer of a ticket, and the situation, before anything is written."""

    key: int
    customer: int
    country: int
    situation: Situation
    days_waited: int
    order: Order | None


class Tickets:
    """The tickets of any day; holds those of the last weeks, which later labels are about."""

    def __init__(self, seed: int, population: Population, orders: Orders) -> None:
        self._seed, self._population, self._orders = seed, population, orders
        self.opened = lru_cache(maxsize=40)(self._opened)
        self._of_orders = lru_cache(maxsize=80)(self._orders_of)

    def _opened(self, day: int) -> tuple[Ticket, ...]:
        """Return the tickets opened on `day`, in the order of time; none before the records begin."""
        if day < self._population.first_day:
            return ()
        ordered = (due for back in range(_LONGEST_BACK_DAYS + 1) for due in self._of_orders(day - back))
        writers = [*(writer for due_on, writer in ordered if due_on == day), *self._without_order(day)]
        drawn = sorted((_ticket(self._seed, writer, day) for writer in writers), key=lambda one: (one.second, one.key))
        return tuple(replace(ticket, number=number) for number, ticket in enumerate(drawn))

    def _orders_of(self, day: int) -> tuple[tuple[int, _Writer], ...]:
        """Return those who will write about an order of `day`, or about having sent it back, each with their day."""
        lines = self._orders.bought(day)
        sent = lines.take(lines.return_delay > 0)
        about = [
            (day + waited, writer) for waited, writer in self._writers(lines, 0, ORDER_SHARE, Purpose.ORDER_TICKET)
        ]
        for waited, writer in self._writers(sent, _SHORTEST_REFUND_DAYS, RETURN_SHARE, Purpose.RETURN_TICKET):
            returned_on = day + int(sent.return_delay[sent.order == writer.order.number][0]) if writer.order else day
            about.append((returned_on + waited, replace(writer, situation="returned")))
        return tuple(about)

    def _writers(self, lines: Lines, shortest: int, share: float, purpose: Purpose) -> Iterator[tuple[int, _Writer]]:
        """Yield those of a day's orders about which somebody writes, with the days until then."""
        if not len(lines.day):
            return
        day = int(lines.order_day[0])
        orders, first = np.unique(lines.order, return_index=True)
        # One number says whether somebody writes, and how many days later.
        steps = LONGEST_WAIT_DAYS + 1 - shortest
        chance = uniform(self._seed, purpose, day, orders) / share
        waits = np.where(chance < 1, shortest + (chance**SOONER * steps).astype(np.int64), LONGEST_WAIT_DAYS + 1)
        bits = keys(self._seed, purpose, day, orders, 1)
        for place in np.flatnonzero(waits <= LONGEST_WAIT_DAYS):
            at, of, waited = int(first[place]), lines.order == orders[place], int(waits[place])
            amount = round(float((lines.unit_price[of] * lines.quantity[of]).sum()), 2)
            order = Order(day, int(orders[place]), int(lines.product[at]), amount)
            situation: Situation = "fresh" if waited <= 1 else "waiting" if waited <= 5 else "arrived"
            customer, country = int(lines.customer[at]), int(lines.country[at])
            yield waited, _Writer(int(bits[place]), customer, country, situation, waited, order)

    def _without_order(self, day: int) -> Iterator[_Writer]:
        everyone = self._population.shopping(day, day)
        who = everyone.where((everyone.joined <= day) & (day < everyone.gone))
        asks = uniform(self._seed, Purpose.CUSTOMER_TICKET, who.number, day) < CUSTOMER_SHARE
        bits = keys(self._seed, Purpose.CUSTOMER_TICKET, who.number[asks], day, 1)
        for key, number, country in zip(bits, who.number[asks], who.country[asks], strict=True):
            yield _Writer(int(key), int(number), int(country), "none", 0, None)
        for place in range(len(bits)):
            draws = Draws(int(keys(self._seed, Purpose.GUEST_TICKET, day, place)[0]))
            if draws.happens(GUEST_SHARE):
                key = int(keys(self._seed, Purpose.GUEST_TICKET, day, place, 1)[0])
                yield _Writer(key, _NO_CUSTOMER, _place(draws, COUNTRY_SHARE), "none", 0, None)


def _ticket(seed: int, writer: _Writer, day: int) -> Ticket:
    draws = Draws(writer.key)
    situation = SITUATIONS.index(writer.situation)
    main = _place(draws, CHANCE[situation])
    second, main_first, group = -1, True, -1
    if draws.happens(float(TWO_CHANCE[main])):
        second, main_first = _place(draws, second_chance(situation, main)), draws.happens(MAIN_FIRST)
    else:
        group = _group(draws, main)
    wording = _place(draws, WORDING_SHARE)
    urgency = _urgency(main, wording, writer.days_waited)
    return Ticket(
        key=writer.key,
        day=day,
        second=draws.below(_DAY_SECONDS),
        number=0,
        customer=writer.customer,
        language=_language(seed, writer, draws),
        channel=_CHANNELS[_place(draws, _CHANNEL_SHARE)],
        situation=writer.situation,
        days_waited=writer.days_waited,
        order=writer.order,
        names_order=writer.order is not None and draws.happens(NAMED_ORDER_SHARE),
        main=main,
        second_intent=second,
        main_first=main_first,
        group=group,
        wording=wording,
        urgency=urgency,
        urgent=draws.happens(urgency),
    )


def _group(draws: Draws, main: int) -> int:
    """Return the place of the unclear way to write, or -1: the intent's own."""
    place = _place(draws, np.append(UNCLEAR_CHANCE[:, main], 1 - UNCLEAR_CHANCE[:, main].sum()))
    return place if place < len(GROUPS) else -1


def _urgency(main: int, wording: int, days_waited: int) -> float:
    odds = INTENTS[main].urgency + WORDING_URGENCY[wording]
    odds += LONG_WAIT_URGENCY * (days_waited >= LONG_WAIT_DAYS)
    return float(1 / (1 + np.exp(-odds)))


def _language(seed: int, writer: _Writer, draws: Draws) -> str:
    """Return the language: customers always write in the same one."""
    share = _LANGUAGE_SHARE[COUNTRIES[writer.country]]
    if writer.customer >= 0:
        draws = Draws(int(keys(seed, Purpose.LANGUAGE, writer.customer)[0]))
    return LANGUAGES[_place(draws, share)]


def _place(draws: Draws, share: Sequence[float] | Floats | Integers) -> int:
    """Return a place drawn by the shares, which sum to 1."""
    edges = np.cumsum(np.asarray(share))
    return min(int(np.searchsorted(edges, draws.number(), side="right")), len(edges) - 1)
