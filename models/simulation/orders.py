"""Orders of one day: lines bought and lines returned, without defects."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.simulation import customer_behaviour as behaviour
from models.simulation.catalogue import Catalogue
from models.simulation.population import Customers, Population
from models.simulation.random_streams import Floats, Integers, Purpose, keys, poisson, uniform
from models.simulation.scenario import NO_CHANGE, Scenario

#: Days of customers held together, so that a range of days looks the population up once.
_BLOCK_DAYS = 32
_OPENS_SECOND, _OPEN_SECONDS = 7 * 3600, 15 * 3600
_MOST_ORDERS_A_DAY = 6  # above it: a chance below 1e-6 at the highest rate of the shop


@dataclass(frozen=True)
class Lines:
    """Columns of equal length, one place per order line, in the order of `second`, then of `order`.

    `day` and `second` say when it happened (UTC); `order_day` and `order` name the order it belongs to; `key` are 64
    mixed bits of its own. For lines bought, `return_delay` is the days until the line is sent back, or 0.
    """

    key: NDArray[np.uint64]
    customer: Integers
    country: Integers
    day: Integers
    second: Integers
    order_day: Integers
    order: Integers
    line: Integers
    product: Integers
    quantity: Integers
    unit_price: Floats
    is_return: NDArray[np.bool_]
    return_delay: Integers

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the lines at `places` (numbers or a mask)."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All lines of `parts`, one after the other."""
        many = list(parts)
        return cls(*(np.concatenate([getattr(part, field.name) for part in many]) for field in fields(cls)))


class Orders:
    """The order lines of any day, each drawn on its own; holds the last few days asked for."""

    def __init__(self, seed: int, population: Population, catalogue: Catalogue, scenario: Scenario = NO_CHANGE) -> None:
        self._seed, self._population, self._catalogue = seed, population, catalogue
        self._scenario = scenario
        self.bought = lru_cache(maxsize=16)(self._bought)
        self._block = lru_cache(maxsize=2)(self._shopping)

    def happened(self, day: int) -> Lines:
        """All lines of `day`, bought and sent back, in the order of time."""
        back = [self._sent_back(day, delay) for delay in behaviour.RETURN_DELAYS_DAYS]
        lines = Lines.joined([self.bought(day), *back])
        return lines.take(np.lexsort((lines.line, lines.order, lines.order_day, lines.second)))

    def _shopping(self, block: int) -> Customers:
        return self._population.shopping(block * _BLOCK_DAYS, (block + 1) * _BLOCK_DAYS - 1)

    def _bought(self, day: int) -> Lines:
        """Return the lines bought on `day`; none before the records begin."""
        block = self._block(day // _BLOCK_DAYS)
        recorded = day >= self._population.first_day
        customers = block.where((block.joined <= day) & (day < block.gone) & recorded)
        count = self._orders_of(customers, day)
        orders = customers.where(count > 0)
        repeat = np.repeat(np.arange(len(orders.number)), count[count > 0])
        nth = np.arange(len(repeat)) - np.searchsorted(repeat, repeat)
        return self._lines(orders, repeat, nth, day)

    def _orders_of(self, customers: Customers, day: int) -> Integers:
        days = np.array([day])
        rate = behaviour.RATES[customers.rate] * behaviour.demand(days)[customers.habit, 0]
        rate = rate * behaviour.fade(customers.gone - day) * self._scenario.demand(day)
        chance = uniform(self._seed, Purpose.ORDERS, customers.number, day)
        return np.where(day == customers.joined, 1, poisson(chance, rate, most=_MOST_ORDERS_A_DAY))

    def _lines(self, orders: Customers, repeat: Integers, nth: Integers, day: int) -> Lines:
        """Return the lines of the orders `nth` (0, 1, ..) on `day` of the customers at places `repeat` of `orders`."""
        seed, number = self._seed, orders.number[repeat]
        second = _second(uniform(seed, Purpose.SECOND, number, day, nth))
        order = np.empty(len(repeat), dtype=np.int64)
        order[np.lexsort((nth, number, second))] = np.arange(len(repeat))
        fading = behaviour.fading(orders.gone[repeat] - day)
        size = _order_lines(uniform(seed, Purpose.LINES, number, day, nth), fading)
        of = np.repeat(np.arange(len(repeat)), size)
        line = np.arange(len(of)) - np.searchsorted(of, of)
        key = keys(seed, Purpose.PRODUCT, number[of], day, nth[of], line)
        returned_line, delay = self._returned(number, day, nth, size, fading)
        product = self._catalogue.bought(uniform(seed, Purpose.PRODUCT, key.view(np.int64)), day)
        return Lines(
            key=key,
            customer=number[of],
            country=orders.country[repeat][of],
            day=np.full(len(of), day),
            second=second[of],
            order_day=np.full(len(of), day),
            order=order[of],
            line=line,
            product=product,
            quantity=_quantity(uniform(seed, Purpose.QUANTITY, key.view(np.int64))),
            unit_price=self._price(product, key.view(np.int64), day),
            is_return=np.zeros(len(of), dtype=np.bool_),
            return_delay=np.where(line == returned_line[of], delay[of], 0),
        )

    def _returned(
        self, number: Integers, day: int, nth: Integers, size: Integers, fading: Integers
    ) -> tuple[Integers, Integers]:
        """Return the line of each order that is sent back (-1: none), and after how many days."""
        seed, delays = self._seed, np.array(behaviour.RETURN_DELAYS_DAYS)
        is_returned = uniform(seed, Purpose.RETURNED, number, day, nth) < behaviour.RETURN_SHARE[fading]
        line = (uniform(seed, Purpose.RETURN_LINE, number, day, nth) * size).astype(np.int64)
        which = (uniform(seed, Purpose.RETURN_DELAY, number, day, nth) * len(delays)).astype(np.int64)
        return np.where(is_returned, line, -1), delays[which]

    def _price(self, product: Integers, key: Integers, day: int) -> Floats:
        """Return the list price, or for one line in four up to a quarter less, as the day's scenario has it."""
        promotion = np.maximum(0.0, uniform(self._seed, Purpose.PROMOTION, key) - 0.75)
        listed = self._catalogue.list_price(product) * self._scenario.price(day)
        return np.maximum(np.round(listed * (1 - promotion), 2), 0.01)

    def _sent_back(self, day: int, delay: int) -> Lines:
        bought = self.bought(day - delay)
        lines = bought.take(bought.return_delay == delay)
        key = keys(self._seed, Purpose.RETURNED, lines.key.view(np.int64))
        return Lines(
            key=key,
            customer=lines.customer,
            country=lines.country,
            day=np.full(len(key), day),
            second=_second(uniform(self._seed, Purpose.RETURN_SECOND, key.view(np.int64))),
            order_day=lines.order_day,
            order=lines.order,
            line=lines.line,
            product=lines.product,
            quantity=-lines.quantity,
            unit_price=lines.unit_price,
            is_return=np.ones(len(key), dtype=np.bool_),
            return_delay=np.zeros(len(key), dtype=np.int64),
        )


def _order_lines(chance: Floats, fading: Integers) -> Integers:
    edges = np.cumsum(behaviour.LINES_SHARE, axis=1)[:, :-1]
    return 1 + (chance[:, None] >= edges[fading]).sum(axis=1)


def _second(chance: Floats) -> Integers:
    return _OPENS_SECOND + (chance * _OPEN_SECONDS).astype(np.int64)


def _quantity(chance: Floats) -> Integers:
    """Pieces of a line, 1..24: one in half the lines, falling geometrically."""
    return np.minimum(24, 1 + (np.log1p(-chance) / np.log(0.5)).astype(np.int64))
