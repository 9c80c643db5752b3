"""Faultless change of the simulated shop: growth, holidays, campaigns, prices, a new country. None of it is a fault."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.simulation.random_streams import Floats, Integers, Purpose, uniform

#: Month and day of days on which less is bought, and the factor that is left; the last days before Christmas are busy.
_QUIET = {(1, 1): 0.55, (5, 1): 0.75, (12, 24): 0.6, (12, 25): 0.5, (12, 26): 0.6, (12, 31): 0.7}


@dataclass(frozen=True)
class Campaign:
    """A sale: more is bought, for less, on the days `first`..`last`."""

    first: date
    last: date
    demand: float = 1.7
    price: float = 0.8

    def covers(self, day: int) -> bool:
        """Return True on its days."""
        return self.first.toordinal() <= day <= self.last.toordinal()


@dataclass(frozen=True)
class Scenario:
    """Changes over time; the default is none.

    Attributes:
        since: day from which growth counts.
        growth_a_year: factor of the demand after a year, at an even pace; 1 is none.
        holidays: whether less is bought on New Year, 1 May and around Christmas, and more in December before it.
        campaigns: sales.
        price_rise: day and factor of a rise of all prices.
        new_country: name of a country to which the shop ships from `new_country_since` on.
        new_country_since: first day of it.
        new_country_share: share of the sign-ups from then on that live there.
    """

    since: date = date(2024, 1, 1)
    growth_a_year: float = 1.0
    holidays: bool = False
    campaigns: tuple[Campaign, ...] = ()
    price_rise: tuple[date, float] | None = None
    new_country: str = ""
    new_country_since: date = date.max
    new_country_share: float = 0.25

    def demand(self, day: int) -> float:
        """Return the factor of all purchase rates on a day number."""
        grown: float = self.growth_a_year ** ((day - self.since.toordinal()) / 365.25)
        for campaign in self.campaigns:
            grown *= campaign.demand if campaign.covers(day) else 1.0
        return grown * (_of_holidays(day) if self.holidays else 1.0)

    def price(self, day: int) -> float:
        """Return the factor of all prices on a day number."""
        factor = 1.0
        for campaign in self.campaigns:
            factor *= campaign.price if campaign.covers(day) else 1.0
        if self.price_rise is not None and day >= self.price_rise[0].toordinal():
            factor *= self.price_rise[1]
        return factor

    def lives_abroad(self, seed: int, number: Integers) -> Floats:
        """Return for each customer number whether the customer would live in the new country, 0 or 1."""
        return (uniform(seed, Purpose.NEW_COUNTRY, number) < self.new_country_share).astype(np.float64)


#: Nothing changes over time.
NO_CHANGE = Scenario()


def in_new_country(table: pa.Table, scenario: Scenario, seed: int, first_number: int) -> pa.Table:
    """Return rows with `customer_id` and `country` in which some of the customers from a number on live elsewhere."""
    ids = pc.fill_null(table["customer_id"], "u0")
    numbers = pc.utf8_ltrim(ids, "u").cast(pa.int64()).to_numpy()
    moved = (numbers >= first_number) & (scenario.lives_abroad(seed, numbers) > 0)
    country = pc.if_else(pa.array(moved), scenario.new_country, table["country"])
    return table.set_column(table.schema.get_field_index("country"), table.schema.field("country"), country)


@lru_cache(maxsize=4096)
def _of_holidays(day: int) -> float:
    when = date.fromordinal(day)
    if (factor := _QUIET.get((when.month, when.day))) is not None:
        return factor
    return 1.0 + 0.35 * when.day / 23 if when.month == 12 and when.day <= 23 else 1.0
