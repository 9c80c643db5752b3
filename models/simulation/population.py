"""The shop's population: every customer's latent traits, drawn from the customer's number alone."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.simulation import customer_behaviour as behaviour
from models.simulation.random_streams import Floats, Integers, Purpose, uniform

_PER = 10**9


@dataclass(frozen=True)
class Customers:
    """Columns of equal length, one place per customer, in the order of their numbers.

    `joined` is the day of the sign-up, on which one order is placed; from the next day on orders come by chance.
    `gone` is the first day without any purchase.
    """

    number: Integers
    country: Integers
    rate: Integers
    habit: Integers
    joined: Integers
    gone: Integers

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the customers where `mask` is true."""
        return type(self)(*(getattr(self, field.name)[mask] for field in fields(self)))


@dataclass(frozen=True)
class Population:
    """About `size` customers on any day: as many sign up as leave, and did so long before the shop's records begin.

    Args:
        seed: what all traits are drawn from.
        size: active customers on a day, on average.
        first_day: the day number on which the records begin; who was gone by then is not in them.
    """

    seed: int
    size: int
    first_day: int

    def joined(self, first: int, last: int) -> Customers:
        """Those who sign up on the days `first`..`last` and are seen in the records."""
        days = np.arange(max(first, self._origin()), last + 1)
        upto = self._joined_before(np.append(days, last + 1))
        number: Integers = np.arange(int(upto[0]), int(upto[-1]))
        everyone = self._with_traits(number, np.repeat(days, np.diff(upto)))
        return everyone.where(everyone.gone > self.first_day)

    def shopping(self, first: int, last: int) -> Customers:
        """Those who have joined by `last` and are not gone on `first`; the cost does not grow with the years."""
        everyone = self.joined(first - behaviour.LONGEST_LIFETIME_DAYS + 1, last)
        return everyone.where(everyone.gone > first)

    def appearing(self, day: int) -> Customers:
        """Those who enter the records on `day`: who signs up on it, and on the first day everyone there is."""
        if day <= self.first_day:
            return self.shopping(day, day) if day == self.first_day else self.joined(day, day - 1)
        return self.joined(day, day)

    def first_number(self, day: int) -> int:
        """Return the number of the first customer who signs up on `day` or later."""
        return int(self._joined_before(np.array([max(day, self._origin())]))[0])

    def _origin(self) -> int:
        return self.first_day - behaviour.LONGEST_LIFETIME_DAYS + 1

    def _joined_before(self, day: Integers) -> Integers:
        per_day = round(_PER * self.size / behaviour.mean_lifetime_days())
        return np.maximum(0, day - self._origin()) * per_day // _PER

    def _with_traits(self, number: Integers, joined: Integers) -> Customers:
        country = _choice(uniform(self.seed, Purpose.COUNTRY, number), behaviour.COUNTRY_SHARE)
        habit = _choice(uniform(self.seed, Purpose.HABIT, number), behaviour.HABIT_SHARE)
        rate = _choice(uniform(self.seed, Purpose.RATE, number), behaviour.RATE_SHARE)
        chance = uniform(self.seed, Purpose.LIFETIME, number)
        gone = joined + behaviour.lifetime(chance, behaviour.hazard_per_day()[country, habit])
        return Customers(number, country, rate, habit, joined, gone)


def _choice(chance: Floats, shares: Floats) -> Integers:
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, chance, side="right").astype(np.int64)
