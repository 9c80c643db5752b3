"""Earlier moments: interactions before them, and the next basket of each customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.recommend.config import FoldsConfig
from models.recommend.interactions import Interactions
from models.recommend.ranking_metrics import Targets, targets

#: Customers with a next basket that a cut-off should have, as long as the horizon can be made longer.
_WANTED_CUSTOMERS = 200
_FIRST_HORIZON_DAYS = 28.0


@dataclass(frozen=True)
class Fold:
    """Interactions before a moment, and the next basket of each customer after it.

    Attributes:
        known: interactions before `now`.
        now: day since 1970-01-01; 0 without times.
        taken: next baskets of customers who are known.
    """

    known: Interactions
    now: float
    taken: Targets


def folds(events: Interactions, now: float, config: FoldsConfig, *, seed: int) -> list[Fold]:
    """Return earlier moments, the latest first; fewer than `config.cutoffs` if the interactions do not go back so far.

    With times: moments at equal distances before `now`. Without: one random product of half of the customers is held
    out, twice.
    """
    if not events.is_timed:
        return _held_out(events, config, seed)
    days = float(config.horizon_days or _horizon(events, now))
    moments = [now - days * number for number in range(1, config.cutoffs + 1)]
    earliest = float(events.day.min()) + 2 * days if events.size else now
    found = [_cut(events, moment, days) for moment in moments if moment >= min(earliest, moments[0])]
    return [each for each in found if each.taken.customers.size]


def _horizon(events: Interactions, now: float) -> float:
    """Return 28 days; more if too few customers come in them, less if all of the time is short."""
    span = now - float(events.day.min())
    days = min(_FIRST_HORIZON_DAYS, max(1.0, span // 6))
    while days * 2 < span / 3 and _cut(events, now - days, days).taken.customers.size < _WANTED_CUSTOMERS:
        days *= 2
    return days


def _cut(events: Interactions, moment: float, days: float) -> Fold:
    before = events.day < moment
    after = ~before & (events.day < moment + days)
    is_known = np.bincount(events.customer[before], minlength=events.customers.size) > 0
    next_day = np.full(events.customers.size, np.inf, np.float32)
    np.fmin.at(next_day, events.customer[after], events.day[after])
    chosen = after & is_known[events.customer] & (events.day == next_day[events.customer])
    return Fold(events.chosen(before), moment, targets(events.customer[chosen], events.product[chosen]))


def _held_out(events: Interactions, config: FoldsConfig, seed: int) -> list[Fold]:
    """Return two folds of different customers; a customer has at least one product left."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(events.customer, minlength=events.customers.size)
    draw = np.argsort(np.argsort(rng.random(events.size), kind="stable"))
    first = np.full(events.customers.size, events.size)
    np.minimum.at(first, events.customer, draw)
    is_first = (draw == first[events.customer]) & (counts[events.customer] > 1)
    half = rng.permutation(events.customers.size) % 2
    found = []
    for part in range(min(2, max(config.cutoffs, 2))):
        out = is_first & (half[events.customer] == part)
        found.append(Fold(events.chosen(~out), 0.0, targets(events.customer[out], events.product[out])))
    return [each for each in found if each.taken.customers.size]
