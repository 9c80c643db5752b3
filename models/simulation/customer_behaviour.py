"""Why the customers of the simulated shop buy, fade and leave: every cause, with its size.

Day numbers are proleptic Gregorian ordinals (`date.toordinal()`). All numbers here are chosen, not estimated, so that
about two fifths of the customers active in the last 180 days buy nothing in the next 90, and so that no single
feature tells which.
"""

from functools import cache

import numpy as np

from models.simulation.random_streams import Floats, Integers

#: Where customers live, their share of the sign-ups, and how fast they leave (times the base hazard).
COUNTRIES = ("Germany", "France", "United Kingdom", "Spain", "Netherlands", "Poland")
COUNTRY_SHARE: Floats = np.array([0.30, 0.22, 0.18, 0.14, 0.09, 0.07])
COUNTRY_HAZARD: Floats = np.array([0.25, 0.7, 1.0, 2.6, 0.5, 4.5])

#: Weekday and weekend shoppers: share, hazard (times the base hazard), factor of the purchase rate Monday..Sunday.
HABIT_SHARE: Floats = np.array([0.65, 0.35])
HABIT_HAZARD: Floats = np.array([0.5, 2.2])
WEEK: Floats = np.array([[1.3, 1.3, 1.3, 1.3, 1.2, 0.4, 0.2], [0.4, 0.4, 0.4, 0.5, 0.8, 2.3, 2.2]])

#: Share of the sign-ups and orders per day of the five classes of purchase rate.
RATE_SHARE: Floats = np.array([0.22, 0.26, 0.24, 0.18, 0.10])
RATES: Floats = np.array([0.012, 0.018, 0.032, 0.075, 0.170])

#: Chance to leave on any day, and the longest time a customer stays.
BASE_HAZARD_PER_DAY = 1 / 1000
LONGEST_LIFETIME_DAYS = 1095

#: Before leaving, customers fade: over these days the rate falls linearly to the floor, baskets shrink, returns rise.
FADE_DAYS = 75
FADE_FLOOR = 0.1

#: Chance that an order is returned (one line of it), when not fading and when fading.
RETURN_SHARE: Floats = np.array([0.05, 0.25])
#: A return comes this many days after its order, each equally likely.
RETURN_DELAYS_DAYS = (2, 3, 4, 5, 6, 7, 8)

#: Lines of an order (1..10), when not fading and when fading: geometric, cut at ten.
LONGEST_ORDER_LINES = 10
_GEOMETRIC = np.power(np.array([[0.68], [0.50]]), np.arange(LONGEST_ORDER_LINES))
LINES_SHARE: Floats = _GEOMETRIC / _GEOMETRIC.sum(axis=1, keepdims=True)


def demand(day: Integers) -> Floats:
    """Return the public factor of the purchase rate on each day, for both habits: shape (2, days), mean about 1."""
    of_year = np.mod(day, 365.25) / 365.25
    season = 1 + 0.15 * np.cos(2 * np.pi * (of_year - 0.92))
    return WEEK[:, (day - 1) % 7] * season


def fade(days_left: Integers) -> Floats:
    """Return factor of the purchase rate when `days_left` (>= 1) days remain before the customer leaves: (0.1, 1]."""
    return np.minimum(1.0, FADE_FLOOR + (1 - FADE_FLOOR) * days_left / FADE_DAYS)


def fading(days_left: Integers) -> Integers:
    """1 where the customer is in the last `FADE_DAYS` days, else 0."""
    return (days_left < FADE_DAYS).astype(np.int64)


def hazard_per_day() -> Floats:
    """Return the chance to leave on any day, by country and habit: shape (countries, 2)."""
    return BASE_HAZARD_PER_DAY * np.outer(COUNTRY_HAZARD, HABIT_HAZARD)


def lifetime(chance: Floats, hazard: Floats) -> Integers:
    """Return the lifetime in days (1..LONGEST_LIFETIME_DAYS) at quantile `chance`: geometric, cut at the longest."""
    stays = np.log1p(-hazard)
    within = -np.expm1(LONGEST_LIFETIME_DAYS * stays)
    days = np.ceil(np.log1p(-chance * within) / stays).astype(np.int64)
    return np.clip(days, 1, LONGEST_LIFETIME_DAYS)


def log_lifetime_share(days: Integers, hazard: Floats) -> Floats:
    """Log of the prior chance of a lifetime of `days`; -inf outside 1..LONGEST_LIFETIME_DAYS."""
    stays = np.log1p(-hazard)
    within = -np.expm1(LONGEST_LIFETIME_DAYS * stays)
    inside = (days >= 1) & (days <= LONGEST_LIFETIME_DAYS)
    return np.where(inside, np.log(hazard / within) + (days - 1) * stays, -np.inf)


def log_lifetime_at_least(days: Integers, hazard: Floats) -> Floats:
    """Log of the prior chance of a lifetime of `days` or more; -inf above LONGEST_LIFETIME_DAYS."""
    stays = np.log1p(-hazard)
    cut = np.exp(LONGEST_LIFETIME_DAYS * stays)
    share = (np.exp(stays * (np.maximum(days, 1) - 1)) - cut) / (1 - cut)
    inside = days <= LONGEST_LIFETIME_DAYS
    return np.where(inside, np.log(np.where(inside, share, 1.0)), -np.inf)


@cache
def mean_lifetime_days() -> float:
    """Return the mean lifetime of a new customer."""
    days = np.arange(1, LONGEST_LIFETIME_DAYS + 1)
    chance = np.exp(log_lifetime_share(days, hazard_per_day()[..., None]))
    return float(np.einsum("c,h,chd,d->", COUNTRY_SHARE, HABIT_SHARE, chance, days))
