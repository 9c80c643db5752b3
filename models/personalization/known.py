"""Everything that is known at the end of a day: customers, products, what the shop offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.features.personalization_definitions import FEATURES
from models.personalization.wants import Sources, sources_of
from models.recommend.history import RECENT_DAYS, History, Profiles, ages_of, history, profiles_of
from models.recommend.interactions import Interactions
from models.recommend.rules import Shelf

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
_EPOCH = date(1970, 1, 1)
#: Bands of prices.
PRICE_BANDS = 8
#: Buyers who never came back, by which the share of those who did is drawn to none.
_ONCE = 10.0
#: Popular products of a segment that are remembered.
_POPULAR = 200


@dataclass(frozen=True)
class Offers:
    """The shop's offer of each product, by the place of its id in `ids`, which ascend. NaN where it is not known.

    Attributes:
        ids: product ids.
        on_hand: pieces in stock.
        price: of a piece.
        unit_cost: of a piece, to the shop.
        is_promoted: offered for less.
        is_durable: bought once for a long time.
        launched: day since 1970-01-01 of its launch.
        category: names, "" where it has none.
        name: as customers read it, "" where it is not known.
    """

    ids: NDArray[np.str_]
    on_hand: Floats
    price: Floats
    unit_cost: Floats
    is_promoted: NDArray[np.bool_]
    is_durable: NDArray[np.bool_]
    launched: Floats
    category: NDArray[np.object_]
    name: NDArray[np.object_]

    @property
    def margin(self) -> Floats:
        """Margin of a piece as a share of its price."""
        return 1 - self.unit_cost / self.price


@dataclass(frozen=True)
class Cells:
    """Cells of a category and a band of prices.

    Attributes:
        cell: of each product, shape `(n_products,)`.
        seen: times that products of each cell were looked at, shape `(n_cells,)`.
        kinds: share of each category in these.
        bands: share of each band.
    """

    cell: Codes
    seen: NDArray[np.float32]
    kinds: Floats
    bands: Floats


def shares(groups: Codes, counts: NDArray[np.float32], size: int = 0) -> Floats:
    """Return the share of each group in counts per product, above 0; `size` groups, 0: up to the highest."""
    found = np.bincount(groups, counts, minlength=size or int(groups.max(initial=0)) + 1) + 1e-9
    return found / found.sum()


def repeat_share(bought: Interactions) -> Floats:
    """Return the share of each product's buyers who bought it on two days or more, drawn to 0 by `_ONCE` of them.

    Args:
        bought: purchases.
    """
    n = bought.products.size
    pairs, days = np.unique(bought.customer.astype(np.int64) * n + bought.product, return_counts=True)
    buyers, again = (np.bincount(some % n, minlength=n) for some in (pairs, pairs[days > 1]))
    return again / (buyers + _ONCE)


@dataclass(frozen=True, eq=False)
class Known:
    """The end of a day.

    Attributes:
        day: the day.
        events: interactions by then, with the products of `offers` as codes.
        offers: of each product that was ever ordered, looked at or offered.
        bought: interactions that are purchases, same codes.
        looked: views, same codes; interactions where the shop delivers no visits.
        countries: of each customer of `events`; "" where it is not known.
        version: of all of it: tables and their versions.
        numbers: profile of each customer (`models.features.personalization_definitions.FEATURES`), shape
            `(n_customers, n_features)`, NaN: not known; None: no profile is.
    """

    day: date
    events: Interactions
    bought: Interactions
    looked: Interactions
    offers: Offers
    countries: NDArray[np.object_]
    version: str = ""
    numbers: NDArray[np.float32] | None = None

    @cached_property
    def history(self) -> History:
        """Numbers of customers and products, as of the end of the day."""
        return history(self.events, self.now)

    @cached_property
    def views(self) -> Profiles:
        """Profiles of interactions and views."""
        return profiles_of(self.looked, ages_of(self.looked, self.now))

    @cached_property
    def seen(self) -> NDArray[np.float32]:
        """Times that each product was looked at on another day or by another customer, shape `(n_products,)`."""
        return np.bincount(self.looked.product, minlength=self.offers.ids.size).astype(np.float32)

    @cached_property
    def has_visits(self) -> bool:
        """True if the shop delivers visits: `looked` are views then."""
        chosen, looked = self.events, self.looked
        same = (np.array_equal(getattr(chosen, name), getattr(looked, name)) for name in ("customer", "product", "day"))
        return not all(same)

    @cached_property
    def sources(self) -> Sources:
        """Carts per view and lines of orders per view (`models.personalization.wants`)."""
        return sources_of(self.events, self.bought, self.looked)

    @cached_property
    def price_bands(self) -> Codes:
        """Band of each product's price, from 1: `PRICE_BANDS` equal shares of the products; 0: it is not known."""
        price = self.offers.price
        there = ~np.isnan(price)
        edges = np.quantile(price[there], np.linspace(0, 1, PRICE_BANDS + 1)[1:-1]) if there.any() else price[:0]
        return np.where(there, np.searchsorted(edges, price, side="right") + 1, 0)

    @property
    def now(self) -> float:
        """Day since 1970-01-01 from which ages count: the one after `day`."""
        return float((self.day - _EPOCH).days + 1)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Product id -> code."""
        return {id: place for place, id in enumerate(self.offers.ids.tolist())}

    @cached_property
    def shelf(self) -> Shelf:
        """The offers as rules read them."""
        names, codes = np.unique(self.offers.category.astype(str), return_inverse=True)
        kinds = np.where(names[codes] == "", -1, codes).astype(np.int64)
        offers = self.offers
        again = repeat_share(self.bought)
        return Shelf(offers.ids, offers.on_hand, offers.is_durable, again, offers.is_promoted, kinds, names.tolist())

    @cached_property
    def kinds(self) -> Codes:
        """Category of each product, from 1; 0: it has none."""
        return np.maximum(self.shelf.category, -1) + 1

    @cached_property
    def cells(self) -> Cells:
        """Cells of categories and bands of prices, by what was looked at."""
        bands, seen = PRICE_BANDS + 1, self.seen
        kinds, cell = shares(self.kinds, seen), self.kinds * bands + self.price_bands
        counts = np.bincount(cell, seen, minlength=kinds.size * bands).astype(np.float32)
        return Cells(cell, counts, kinds, shares(self.price_bands, seen, bands))

    @cached_property
    def usual_kinds(self) -> Floats:
        """Share of each of `kinds` in all interactions."""
        counts = np.bincount(self.kinds, self.history.of_products.count, minlength=len(self.shelf.categories) + 1)
        return counts / max(counts.sum(), 1.0)

    @cached_property
    def log_price(self) -> Floats:
        """Logarithm of each product's price."""
        return np.log(self.offers.price)

    @cached_property
    def margins(self) -> Floats:
        """Margin of a piece of each product over the median one, at least 0.01; 1 where it is not known."""
        margin = self.offers.price - self.offers.unit_cost
        there = ~np.isnan(margin)
        usual = float(np.median(margin[there])) if there.any() else 0.0
        return np.where(there, np.maximum(margin / usual, 0.01), 1.0) if usual > 0 else np.ones(margin.size)

    @cached_property
    def offered(self) -> NDArray[np.float32]:
        """Numbers of each offer as rankers read them, shape `(n_products, 5)`; NaN where unknown."""
        offers = self.offers
        stocked = np.where(np.isnan(offers.on_hand), np.nan, offers.on_hand > 0)
        each = (stocked, offers.is_promoted, self.log_price, offers.margin, self.now - offers.launched)
        return np.stack([np.asarray(one, np.float32) for one in each], axis=1)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """Segments by which popularity is counted: all customers (""), then each country."""
        return ("", *(name for name in np.unique(self.countries.astype(str)).tolist() if name))

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """Interactions of the last 28 days, a little of all earlier ones: shape (segments, products)."""
        recent = self.now - self.events.day <= RECENT_DAYS
        owners, overall = self.countries[self.events.customer], self.history.of_products.count
        size, tie = self.offers.ids.size, overall / (1 + overall.max(initial=0))
        chosen = [recent if not name else recent & (owners == name) for name in self.segments]
        counts = [np.bincount(self.events.product[kept], minlength=size) + tie for kept in chosen]
        return np.stack(counts).astype(np.float32)

    @cached_property
    def popular(self) -> Mapping[str, Codes]:
        """Country -> products by the interactions of its customers in the last 28 days; "" for all; most first."""
        return {
            name: np.argsort(-counts, kind="stable")[:_POPULAR]
            for name, counts in zip(self.segments, self.popularity, strict=True)
        }

    def customer(self, id: str) -> int:
        """Return the place of a customer, -1 if nothing is known of them."""
        ids = self.events.customers
        place = int(np.searchsorted(ids, id)) if ids.size else 0
        return place if place < ids.size and ids[place] == id else -1

    def numbers_of(self, customers: Codes) -> NDArray[np.float32]:
        """Return the profiles of customers by place, NaN for -1 and for what is not known."""
        found = np.full((customers.size, len(FEATURES)), np.nan, np.float32)
        if self.numbers is not None:
            there = customers >= 0
            found[there] = self.numbers[customers[there]]
        return found

    def owned(self, customer: int, within_days: float) -> Codes:
        """Return the products that a customer bought in the last days."""
        if customer < 0:
            return np.empty(0, np.int64)
        begin, end = self.bought.rows_of(customer)
        recent = self.now - self.bought.day[begin:end] <= within_days
        return self.bought.product[begin:end][recent].astype(np.int64)


class Days(Protocol):
    """Gives what was known at the end of a day."""

    def at(self, day: str) -> Known:
        """Return what was known at the end of `day` (YYYY-MM-DD)."""
        ...


@dataclass(frozen=True)
class OneDay:
    """One day, for any day that is asked for: golden records, tests, training."""

    known: Known

    def at(self, day: str) -> Known:  # noqa: ARG002 - it knows one
        """Return it."""
        return self.known
