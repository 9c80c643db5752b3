"""The storefront of the simulated shop: visits with known preferences, and the stock of each product on each day.

Customers look around twice as often as they order. What one of them looks at depends on a taste for categories, on an
affinity to single products, on popularity, on the price beside the customer's budget, and on the place at which the
shop's lists show the product. What is looked at is put into the cart with a chance that a promotion raises, if it is in
stock. Lines of orders are put into the cart, too: which products these are, `models.simulation.orders` draws from
popularity alone. All numbers here are chosen, not estimated.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.simulation import customer_behaviour as behaviour
from models.simulation.catalogue import CATEGORIES, DAYS_BETWEEN_PRODUCTS, FIRST_PRODUCTS, Catalogue
from models.simulation.orders import Orders
from models.simulation.population import Customers, Population
from models.simulation.random_streams import Floats, Integers, Purpose, poisson, uniform
from models.simulation.scenario import NO_CHANGE, Scenario

#: Visits without an order, per order; products that are looked at in one (1..6, falling geometrically).
VISITS_PER_ORDER = 2.0
_MOST_VISITS, MOST_VIEWS, MORE_VIEWS = 4, 6, 0.68
#: Weight of the favourite category, the second one, and every other one.
TASTE = (16.0, 5.0, 0.25)
#: Weight of a product falls with its number by this power; affinity is U^-power of an even number U, cut at the least.
POPULARITY_POWER, AFFINITY_POWER, LEAST_CHANCE = 0.35, 0.75, 1e-3
#: Price (EUR) that customers of each budget like best, and the standard deviation of its logarithm.
BUDGETS_EUR, BUDGET_WIDTH = np.array([2.0, 6.0, 20.0]), 1.0
#: Position bias: a product at place k of its category's list is looked at with weight k^-power; lists change weekly.
POSITION_POWER, LIST_DAYS = 0.5, 7
#: Chance that what is looked at is put into the cart, as usual and when promoted.
CART_CHANCE, PROMOTED_CART_CHANCE = 0.45, 0.7
#: Share of the visits in which no one is logged in.
ANONYMOUS_SHARE = 0.15
#: One product in so many is promoted in a week, for so much less.
PROMOTED_SHARE, PROMOTED_PRICE = 0.06, 0.8
#: Share of the products that are bought once for a long time.
DURABLE_SHARE = 0.25
_OPENS_SECOND, _OPEN_SECONDS = 7 * 3600, 15 * 3600
_BLOCK_DAYS = 32


@dataclass(frozen=True)
class Offers:
    """The shop's offer of each product at the end of a day, by product number: columns of equal length."""

    on_hand: Integers
    price: Floats
    unit_cost: Floats
    is_promoted: NDArray[np.bool_]
    is_durable: NDArray[np.bool_]
    launched: Integers


@dataclass(frozen=True)
class Events:
    """Columns of equal length, one place per event, in the order of time.

    `customer` is -1 where no one is logged in; `session` numbers the visits of the day; `position` is 0 for products
    that were in no list.
    """

    session: Integers
    customer: Integers
    second: Integers
    product: Integers
    is_cart: NDArray[np.bool_]
    position: Integers


class Storefront:
    """Visits and stock of any day, each drawn on its own."""

    def __init__(
        self, seed: int, population: Population, catalogue: Catalogue, orders: Orders, scenario: Scenario = NO_CHANGE
    ) -> None:
        self._seed, self._population, self._catalogue = seed, population, catalogue
        self._orders, self._scenario = orders, scenario
        self._block = lru_cache(maxsize=2)(self._shopping)
        self.offers = lru_cache(maxsize=64)(self._offers)

    def happened(self, day: int) -> Events:
        """All events of `day`."""
        visits, ordered = self._browsed(day), self._ordered(day, 0)
        first = int(visits.session.max(initial=-1)) + 1
        ordered = self._ordered(day, first)
        parts = [np.concatenate([getattr(visits, name), getattr(ordered, name)]) for name in Events.__annotations__]
        order = np.lexsort((parts[4], parts[0], parts[2]))
        return Events(*(part[order] for part in parts))

    def chances(self, number: Integers, day: int) -> Floats:
        """Return the chance of each product to be what a customer looks at on `day`: shape (customers, products).

        Args:
            number: of the customers.
            day: on which.
        """
        product = np.arange(self._catalogue.size(day))
        weight = self._taste(number)[:, self._catalogue.category(product)]
        weight *= (product + 1.0) ** -POPULARITY_POWER * self.places(day) ** -POSITION_POWER
        draw = uniform(self._seed, Purpose.AFFINITY, number[:, None], product[None, :])
        weight *= np.maximum(draw, LEAST_CHANCE) ** -AFFINITY_POWER
        budget = np.log(BUDGETS_EUR)[(uniform(self._seed, Purpose.BUDGET, number) * len(BUDGETS_EUR)).astype(np.int64)]
        dear = (np.log(self.offers(day).price)[None, :] - budget[:, None]) / BUDGET_WIDTH
        weight *= np.exp(-0.5 * dear**2)
        return weight / weight.sum(axis=1, keepdims=True)

    def cart_chances(self, day: int) -> Floats:
        """Return the chance that each product is put into the cart on `day` once it is looked at."""
        offers = self.offers(day)
        return np.where(offers.is_promoted, PROMOTED_CART_CHANCE, CART_CHANCE) * (offers.on_hand > 0)

    def places(self, day: int) -> Integers:
        """Return the place of each product in its category's list on `day`, from 1."""
        product, week = np.arange(self._catalogue.size(day)), day // LIST_DAYS
        category = self._catalogue.category(product)
        order = np.lexsort((uniform(self._seed, Purpose.SHELF_PLACE, product, week), category))
        begins = np.searchsorted(category[order], np.arange(len(CATEGORIES)))
        place = np.empty(len(product), dtype=np.int64)
        place[order] = np.arange(len(product)) - begins[category[order]] + 1
        return place

    def category(self, product: Integers) -> Integers:
        """Return the place in `CATEGORIES` of each product."""
        return self._catalogue.category(product)

    def _taste(self, number: Integers) -> Floats:
        kinds = len(CATEGORIES)
        first = (uniform(self._seed, Purpose.TASTE, number, 0) * kinds).astype(np.int64)
        second = (first + 1 + (uniform(self._seed, Purpose.TASTE, number, 1) * (kinds - 1)).astype(np.int64)) % kinds
        taste = np.full((len(number), kinds), TASTE[2])
        taste[np.arange(len(number)), second] = TASTE[1]
        taste[np.arange(len(number)), first] = TASTE[0]
        return taste

    def _shopping(self, block: int) -> Customers:
        return self._population.shopping(block * _BLOCK_DAYS, (block + 1) * _BLOCK_DAYS - 1)

    def _visits(self, day: int) -> tuple[Integers, Integers]:
        """Return who visits on `day` without ordering, and which visit of theirs it is."""
        block = self._block(day // _BLOCK_DAYS)
        there = block.where((block.joined <= day) & (day < block.gone) & (day >= self._population.first_day))
        rate = behaviour.RATES[there.rate] * behaviour.demand(np.array([day]))[there.habit, 0] * VISITS_PER_ORDER
        rate = rate * behaviour.fade(there.gone - day) * self._scenario.demand(day)
        count = poisson(uniform(self._seed, Purpose.BROWSING, there.number, day), rate, most=_MOST_VISITS)
        who = np.repeat(there.number, count)
        begins = np.repeat(np.cumsum(count) - count, count)
        return who, np.arange(len(who)) - begins

    def _browsed(self, day: int) -> Events:
        who, nth = self._visits(day)
        seed, visit = self._seed, np.arange(len(who))
        views = 1 + np.minimum(
            MOST_VIEWS - 1,
            (np.log1p(-uniform(seed, Purpose.VIEWS, who, day, nth)) / np.log(MORE_VIEWS)).astype(np.int64),
        )
        of = np.repeat(visit, views)
        place = np.arange(len(of)) - np.repeat(np.cumsum(views) - views, views)
        draw = uniform(seed, Purpose.VIEWED, who[of], day, nth[of], place)
        product = self._drawn(who, of, draw, day)
        chance = self.cart_chances(day)[product]
        carted = np.flatnonzero(uniform(seed, Purpose.CARTED, who[of], day, nth[of], place) < chance)
        known = uniform(seed, Purpose.ANONYMOUS, who, day, nth) >= ANONYMOUS_SHARE
        begin = _OPENS_SECOND + (uniform(seed, Purpose.BROWSING, who, day, nth, 1) * _OPEN_SECONDS).astype(np.int64)
        rows = np.concatenate([np.arange(len(of)), carted])
        is_cart = np.arange(len(rows)) >= len(of)
        return Events(
            session=of[rows],
            customer=np.where(known, who, -1)[of[rows]],
            second=begin[of[rows]] + 40 * place[rows] + 20 * is_cart,
            product=product[rows],
            is_cart=is_cart,
            position=self.places(day)[product[rows]],
        )

    def _drawn(self, who: Integers, of: Integers, draw: Floats, day: int) -> Integers:
        """Return the product of each view: one draw from the chances of the visit's customer."""
        if not len(who):
            return np.empty(0, dtype=np.int64)
        unique, row = np.unique(who, return_inverse=True)
        edges = np.cumsum(self.chances(unique, day), axis=1)
        return np.minimum((edges[row[of]] <= draw[:, None]).sum(axis=1), edges.shape[1] - 1)

    def _ordered(self, day: int, first: int) -> Events:
        """Return the carts of the day's orders, a minute before these; visits are numbered from `first` on."""
        lines = self._orders.bought(day)
        _, session = np.unique(lines.order, return_inverse=True)
        none = np.zeros(len(session), dtype=np.int64)
        everything = np.ones(len(session), dtype=np.bool_)
        return Events(first + session, lines.customer, lines.second - 60, lines.product, everything, none)

    def _offers(self, day: int) -> Offers:
        """Return the stock at the end of `day`: it runs down from delivery to delivery, some of it to nothing."""
        seed, product = self._seed, np.arange(self._catalogue.size(day))
        cycle = 14 + (uniform(seed, Purpose.STOCK_CYCLE, product, 0) * 22).astype(np.int64)
        age = day + (uniform(seed, Purpose.STOCK_CYCLE, product, 1) * cycle).astype(np.int64)
        sold = 0.5 + 0.65 * uniform(seed, Purpose.STOCK_CYCLE, product, 2, age // cycle)
        full = 20 + (400 * (product + 1.0) ** -POPULARITY_POWER).astype(np.int64)
        left = np.maximum(0.0, 1 - sold * (age % cycle + 1) / cycle)
        promoted = uniform(seed, Purpose.OFFER, product, day // LIST_DAYS) < PROMOTED_SHARE
        listed = self._catalogue.list_price(product)
        price = np.round(listed * np.where(promoted, PROMOTED_PRICE, 1.0) * self._scenario.price(day), 2)
        cost = np.round(listed * (0.35 + 0.4 * uniform(seed, Purpose.COST, product)), 2)
        added = self._population.first_day + np.maximum(0, product - FIRST_PRODUCTS + 1) * DAYS_BETWEEN_PRODUCTS
        durable = uniform(seed, Purpose.DURABLE, product) < DURABLE_SHARE
        return Offers((full * left).astype(np.int64), np.maximum(price, 0.01), cost, promoted, durable, added)
