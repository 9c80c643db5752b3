"""Numbers of customers and products at a moment, from interactions before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.recommend.interactions import Codes, Days, Ids, Interactions
from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

Numbers = NDArray[np.float32]

#: Days in which an interaction loses 63 % of its weight, of the two decayed counts.
SHORT_DECAY_DAYS, LONG_DECAY_DAYS = 30.0, 90.0
#: Days that count as recent.
RECENT_DAYS = 28.0


@dataclass(frozen=True)
class Profiles:
    """Customers, and each of them with each product of theirs; ages are days before the moment.

    Attributes:
        starts: place of the first pair of each customer, shape `(n_customers + 1,)`.
        product: code, ascending within a customer, shape `(n_pairs,)`.
        count: baskets of the customer with the product.
        last: age of the latest of them.
        first: age of the first.
        short: sum of `exp(-age / SHORT_DECAY_DAYS)`.
        long: sum of `exp(-age / LONG_DECAY_DAYS)`.
        baskets: of each customer, shape `(n_customers,)`.
        latest: age of the customer's last basket; NaN without any.
        since: age of the customer's first basket; NaN without any.
    """

    starts: NDArray[np.int64]
    product: Codes
    count: Numbers
    last: Numbers
    first: Numbers
    short: Numbers
    long: Numbers
    baskets: Numbers
    latest: Numbers
    since: Numbers

    @property
    def size(self) -> int:
        """Number of customers."""
        return self.baskets.size

    def owner(self) -> NDArray[np.int64]:
        """Return the place of each pair's customer, shape `(n_pairs,)`."""
        return np.repeat(np.arange(self.size), np.diff(self.starts))

    def count_of_customers(self) -> Numbers:
        """Return the number of products in all baskets of each customer, one product counted once per basket."""
        return np.bincount(self.owner(), self.count, minlength=self.size).astype(np.float32)

    def matrix(self, products: int, values: Numbers | None = None) -> Sparse:
        """Return customers times products, 1 where the customer has the product, or one value per pair."""
        from scipy.sparse import csr_array

        data = np.ones(self.product.size, np.float32) if values is None else values
        return csr_array((data, self.product, self.starts), shape=(self.size, products))

    def of(self, customers: NDArray[np.integer]) -> Profiles:
        """Return some of the customers, in the order asked for."""
        lengths = np.diff(self.starts)[customers]
        starts = np.r_[0, np.cumsum(lengths)]
        pairs = np.arange(starts[-1]) + np.repeat(self.starts[customers] - starts[:-1], lengths)
        of_pairs = (each[pairs] for each in (self.count, self.last, self.first, self.short, self.long))
        of_customers = (each[customers] for each in (self.baskets, self.latest, self.since))
        return Profiles(starts, self.product[pairs], *of_pairs, *of_customers)


@dataclass(frozen=True)
class ProductNumbers:
    """Numbers of each product, shape `(n_products,)`.

    Attributes:
        count: baskets with it.
        recent: of them, those of the last `RECENT_DAYS`; of all days if nothing has a time.
        earlier: those of the `RECENT_DAYS` before.
        customers: customers who have it.
        repeated: share of its customers who have it in two baskets or more, drawn to the mean by 10 customers.
        gap: mean days between two baskets of one customer with it; NaN if none has two.
        first: age of the first basket with it; NaN without any.
    """

    count: Numbers
    recent: Numbers
    earlier: Numbers
    customers: Numbers
    repeated: Numbers
    gap: Numbers
    first: Numbers

    @cached_property
    def features(self) -> Numbers:
        """Numbers of each product as rankers read them, shape `(n_products, 6)`."""
        trend = (self.recent + 1) / (self.earlier + 1)
        each = (np.log1p(self.recent), np.log1p(self.count), trend, self.first, self.repeated, self.gap)
        return np.stack(each, axis=1).astype(np.float32)


@dataclass(frozen=True)
class History:
    """Everything that candidates and features are made from; codes are those of the interactions."""

    customers: Ids
    products: Ids
    profiles: Profiles
    of_products: ProductNumbers
    is_timed: bool


def history(events: Interactions, now: float | Days) -> History:
    """Return what is known of interactions, all of which are before `now`.

    Args:
        events: interactions.
        now: day since 1970-01-01 that ages count from; an array has one for each customer.
    """
    ages = ages_of(events, now)
    profiles = profiles_of(events, ages)
    return History(events.customers, events.products, profiles, _of_products(events, ages, profiles), events.is_timed)


def ages_of(events: Interactions, now: float | Days) -> Numbers:
    """Return the age of each interaction in days; 0 if they have no times."""
    if not events.is_timed:
        return np.zeros(events.size, np.float32)
    moments = now[events.customer] if isinstance(now, np.ndarray) else now
    return (moments - events.day).astype(np.float32)


def profiles_of(events: Interactions, ages: Numbers) -> Profiles:
    """Return each customer of the interactions with their products."""
    n = events.customers.size
    keys = events.customer.astype(np.int64) * events.products.size + events.product
    begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if keys.size else np.empty(0, np.int64)
    count = np.diff(np.r_[begins, keys.size])
    owners = np.bincount(events.customer[begins], minlength=n)

    def decayed(days: float) -> Numbers:
        return np.add.reduceat(np.exp(-ages / days), begins) if begins.size else ages

    return Profiles(
        np.r_[0, np.cumsum(owners)],
        events.product[begins],
        count.astype(np.float32),
        ages[begins + count - 1],
        ages[begins],
        decayed(SHORT_DECAY_DAYS),
        decayed(LONG_DECAY_DAYS),
        *_of_customers(events.customer, ages, n),
    )


def _of_customers(customer: Codes, ages: Numbers, n: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return baskets, age of the last and age of the first of each customer."""
    order = np.lexsort((ages, customer))
    owner, age = customer[order], ages[order]
    new = np.r_[True, (owner[1:] != owner[:-1]) | (age[1:] != age[:-1])] if owner.size else np.empty(0, bool)
    owner, age = owner[new], age[new]
    baskets = np.bincount(owner, minlength=n)
    latest, since = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    ends = np.cumsum(baskets)
    there = baskets > 0
    latest[there], since[there] = age[(ends - baskets)[there]], age[ends[there] - 1]
    return baskets.astype(np.float32), latest, since


def _of_products(events: Interactions, ages: Numbers, profiles: Profiles) -> ProductNumbers:
    n = events.products.size

    def counted(kept: NDArray[np.bool_], codes: Codes = events.product) -> Numbers:
        return np.bincount(codes[kept], minlength=n).astype(np.float32)

    customers = np.bincount(profiles.product, minlength=n).astype(np.float32)
    twice = counted(profiles.count > 1, profiles.product)
    typical = float(twice.sum() / max(customers.sum(), 1))
    first = np.full(n, np.nan, np.float32)
    np.fmax.at(first, events.product, ages)
    return ProductNumbers(
        np.bincount(events.product, minlength=n).astype(np.float32),
        counted(ages <= RECENT_DAYS),
        counted((ages > RECENT_DAYS) & (ages <= 2 * RECENT_DAYS)),
        customers,
        ((twice + 10 * typical) / (customers + 10)).astype(np.float32),
        _gaps(profiles, n),
        first,
    )


def _gaps(profiles: Profiles, products: int) -> Numbers:
    again = profiles.count > 1
    days = np.bincount(profiles.product[again], (profiles.first - profiles.last)[again], minlength=products)
    times = np.bincount(profiles.product[again], profiles.count[again] - 1, minlength=products)
    return np.where(times > 0, days / np.maximum(times, 1), np.nan).astype(np.float32)
