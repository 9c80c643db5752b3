"""Who shops: every customer's latent traits, drawn from the customer's number alone."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.shop import behaviour
from models.shop.draws import Floats, Integers, Purpose, uniform

_PER = 10**9


@dataclass(frozen=True)
class Customers:
    """Columns of equal length, one place per customer, in the order of their numbers.

    `joined` is the day of the sign-up, `gone` the first day without any purchase; `first_order` the day from which
    orders come at the purchase rate (customers who join later place one order on the day they join).
    """

    number: Integers
    country: Integers
    rate: Integers
    habit: Integers
    joined: Integers
    gone: Integers
    first_order: Integers

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """The customers where `mask` is true."""
        return type(self)(*(getattr(self, field.name)[mask] for field in fields(self)))


@dataclass(frozen=True)
class Population:
    """`size` customers on the first day, and as many sign-ups a day as leave, so that the shop neither grows nor dies.

    Args:
        seed: what all traits are drawn from.
        size: customers on the first day.
        first_day: the day number the shop opens.
    """

    seed: int
    size: int
    first_day: int

    def joined(self, first: int, last: int) -> Customers:
        """Those who sign up on the days `first`..`last`."""
        days = np.arange(max(first, self.first_day), last + 1)
        upto = self._joined_before(np.append(days, last + 1))
        number = np.arange(int(upto[0]), int(upto[-1]))
        return self._with_traits(number, np.repeat(days, np.diff(upto)))

    def shopping(self, first: int, last: int) -> Customers:
        """Those who have joined by `last` and are not gone before `first`; the cost does not grow with the years."""
        everyone = self.joined(first - behaviour.LONGEST_LIFETIME_DAYS, last)
        return everyone.where(everyone.gone > first)

    def _joined_before(self, day: Integers) -> Integers:
        per_day = round(_PER * self.size / behaviour.mean_lifetime_days())
        since = day - self.first_day
        return np.where(since > 0, self.size + (since - 1) * per_day // _PER, 0)

    def _with_traits(self, number: Integers, joined: Integers) -> Customers:
        country = _choice(uniform(self.seed, Purpose.COUNTRY, number), behaviour.COUNTRY_SHARE)
        habit = _choice(uniform(self.seed, Purpose.HABIT, number), behaviour.HABIT_SHARE)
        rate = _choice(uniform(self.seed, Purpose.RATE, number), behaviour.RATE_SHARE)
        chance = uniform(self.seed, Purpose.LIFETIME, number)
        gone = joined + behaviour.lifetime(chance, behaviour.hazard_per_day()[country, habit])
        return Customers(number, country, rate, habit, joined, gone, first_order(joined, self.first_day))


def first_order(joined: Integers, shop_opens: int) -> Integers:
    """From when orders come at the purchase rate: the day after the sign-up, or the day the shop opens."""
    return joined + (joined != shop_opens)


def _choice(chance: Floats, shares: Floats) -> Integers:
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, chance, side="right").astype(np.int64)
