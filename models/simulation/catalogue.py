"""The shop's catalogue: the products of the first day and those added since."""

from dataclasses import dataclass

import numpy as np

from models.simulation.random_streams import Floats, Integers, Purpose, uniform

CATEGORIES = ("home", "kitchen", "garden", "toys", "stationery", "textiles", "seasonal", "gifts")
FIRST_PRODUCTS = 400
#: One product is added each time this many days have passed.
DAYS_BETWEEN_PRODUCTS = 20
#: Popularity falls with the product's number by this power (Zipf's law).
ZIPF_POWER = 0.9


@dataclass(frozen=True)
class Catalogue:
    """Products numbered from 0 in the order they were added; their traits are drawn from the number alone."""

    seed: int
    first_day: int

    def size(self, day: int) -> int:
        """Return number of products that exist on `day`."""
        return FIRST_PRODUCTS + max(0, day - self.first_day) // DAYS_BETWEEN_PRODUCTS

    def added(self, day: int) -> Integers:
        """Return the products that exist from `day` on; all the first ones on the first day."""
        before = 0 if day <= self.first_day else self.size(day - 1)
        return np.arange(before, self.size(day) if day >= self.first_day else 0)

    def category(self, product: Integers) -> Integers:
        """Return the place in `CATEGORIES` of each product."""
        return (uniform(self.seed, Purpose.CATEGORY, product) * len(CATEGORIES)).astype(np.int64)

    def list_price(self, product: Integers) -> Floats:
        """Price of a piece, 0.80 to about 80 euros, most of them cheap; in whole cents."""
        return np.round(0.80 * np.exp(4.6 * uniform(self.seed, Purpose.PRICE, product) ** 1.7), 2)

    def bought(self, chance: Floats, day: int) -> Integers:
        """Return the product bought at quantile `chance` of popularity among those that exist on `day`."""
        weight = np.arange(1, self.size(day) + 1, dtype=np.float64) ** -ZIPF_POWER
        edges = np.cumsum(weight / weight.sum())[:-1]
        return np.searchsorted(edges, chance, side="right").astype(np.int64)
