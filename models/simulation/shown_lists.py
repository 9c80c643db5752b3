"""Lists of products that the simulated shop shows, one experiment on them, and what customers do then.

A visitor sees eight of the popular products. The variant `popular` orders them by popularity, `preference` by what
this customer likes; a fifth of the slots is shuffled. A product is clicked with the chance that its slot is examined,
times its appeal to the customer: the item-position model of `models.experiments.off_policy`.
"""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.experiments.assignment import Assignment
from models.experiments.slots import SlotShuffle
from models.simulation import customer_behaviour as behaviour
from models.simulation.catalogue import CATEGORIES, ZIPF_POWER, Catalogue
from models.simulation.population import Customers, Population
from models.simulation.random_streams import Floats, Integers, Purpose, keys, uniform

SLOTS, SHUFFLED_SHARE = 8, 0.2
EXPERIMENT, CONTROL, TREATED, NONE = "ranker_trial", "popular", "preference", "none"
#: The experiment begins so many days after the records of the shop, and lasts so long.
BEGINS_AFTER_DAYS, LASTS_DAYS = 28, 28
#: Visits per day, of the purchase rate; chance that a clicked product is put into the cart, and that it is bought.
_VISITS, _CART, _BUYS = 0.8, 0.4, 0.25
#: Products are bought so many days after the click at most, each number of days equally likely.
LONGEST_DELAY_DAYS = 3
#: Shown products are drawn of so many, the most popular ones.
_OFFERED = 64
#: Appeal of a product: of any, and of one of the customer's favourite category.
_APPEAL, _FAVOURITE_APPEAL = 0.06, 0.6
_OPENS_SECOND, _OPEN_SECONDS = 7 * 3600, 15 * 3600
#: From one step to the next: shown, clicked, put into the cart, bought.
STEP_SECONDS = 120
_BLOCK_DAYS = 32


@dataclass(frozen=True)
class Shown:
    """Columns of equal length, one place per slot of each list, in the order of time, list and slot.

    `visit` names the list, `key` are 64 mixed bits of the slot; `variant` is a place in `VARIANTS`. `clicked`, `carted`
    and `bought` say what came of it, `delay` after how many days it is bought.
    """

    visit: NDArray[np.uint64]
    key: NDArray[np.uint64]
    customer: Integers
    day: Integers
    second: Integers
    variant: Integers
    product: Integers
    slot: Integers
    propensity: Floats
    clicked: NDArray[np.bool_]
    carted: NDArray[np.bool_]
    bought: NDArray[np.bool_]
    delay: Integers

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the slots at `places` (numbers or a mask)."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))


#: Variants by their place; the last is that of lists outside of the experiment, which are ordered as the control's.
VARIANTS = (CONTROL, TREATED, NONE)


class ShownLists:
    """The lists of any day, each day drawn on its own; holds the last few days asked for."""

    def __init__(self, seed: int, population: Population, catalogue: Catalogue) -> None:
        self._seed, self._population, self._catalogue = seed, population, catalogue
        self.happened = lru_cache(maxsize=8)(self._happened)
        self._block = lru_cache(maxsize=2)(self._visiting)

    @property
    def days(self) -> tuple[int, int]:
        """Return first and last day number of the experiment."""
        first = self._population.first_day + BEGINS_AFTER_DAYS
        return first, first + LASTS_DAYS - 1

    def appeal(self, customer: Integers, product: Integers) -> Floats:
        """Return the chance that a customer who examines a product clicks it, shapes broadcast."""
        favourite = (uniform(self._seed, Purpose.SHOWN, customer, 1) * len(CATEGORIES)).astype(np.int64)
        return np.where(self._catalogue.category(product) == favourite, _FAVOURITE_APPEAL, _APPEAL)

    def ranked(self, customer: Integers, day: int) -> tuple[Integers, Integers]:
        """Return products that each visitor may see by popularity, and by preference, shapes `(visitors, SLOTS)`."""
        weights = np.arange(1, _OFFERED + 1, dtype=np.float64) ** -ZIPF_POWER
        offered = np.arange(_OFFERED)
        drawn = uniform(self._seed, Purpose.SHOWN, customer[:, None], day, 2, offered[None, :])
        # Products without replacement by weight: Efraimidis and Spirakis (2006).
        popular = np.sort(np.argsort(-np.log(np.maximum(drawn, 1e-12)) / weights, axis=1)[:, :SLOTS], axis=1)
        order = np.argsort(-self.appeal(customer[:, None], popular), axis=1, kind="stable")
        return popular, np.take_along_axis(popular, order, axis=1)

    def _visiting(self, block: int) -> Customers:
        return self._population.shopping(block * _BLOCK_DAYS, (block + 1) * _BLOCK_DAYS - 1)

    def _happened(self, day: int) -> Shown:
        block = self._block(day // _BLOCK_DAYS)
        active = block.where((block.joined <= day) & (day < block.gone) & (day >= self._population.first_day))
        chance = behaviour.RATES[active.rate] * behaviour.fade(active.gone - day) * _VISITS
        who = active.number[uniform(self._seed, Purpose.SHOWN, active.number, day, 3) < chance]
        second = _OPENS_SECOND + (uniform(self._seed, Purpose.SHOWN, who, day, 4) * _OPEN_SECONDS).astype(np.int64)
        order = np.lexsort((who, second))
        return self._lists(who[order], second[order], day)

    def _lists(self, who: Integers, second: Integers, day: int) -> Shown:
        variant = self._variants(who, day)
        popular, preferred = self.ranked(who, day)
        wanted = np.where((variant == 1)[:, None], preferred, popular)
        places, propensity = _shuffled(who, variant, day)
        product = np.take_along_axis(wanted, places, axis=1)
        slot = np.broadcast_to(np.arange(1, SLOTS + 1), product.shape)
        customer = np.broadcast_to(who[:, None], product.shape)
        key = keys(self._seed, Purpose.SHOWN, customer, day, 5, slot)
        own = key.view(np.int64)
        clicked = uniform(self._seed, Purpose.REACTED, own, 0) < examined(slot) * self.appeal(customer, product)
        bought = clicked & (uniform(self._seed, Purpose.REACTED, own, 1) < _BUYS)
        delay = (uniform(self._seed, Purpose.REACTED, own, 2) * (LONGEST_DELAY_DAYS + 1)).astype(np.int64)
        carted = clicked & (bought | (uniform(self._seed, Purpose.REACTED, own, 3) < _CART))
        columns = {
            "visit": np.broadcast_to(keys(self._seed, Purpose.SHOWN, who, day, 6)[:, None], product.shape),
            "day": np.full(product.shape, day),
            "second": np.broadcast_to(second[:, None], product.shape),
            "variant": np.broadcast_to(variant[:, None], product.shape),
            **{"key": key, "customer": customer, "product": product, "slot": slot, "propensity": propensity},
            **{"clicked": clicked, "carted": carted, "bought": bought, "delay": delay},
        }
        return Shown(**{name: values.ravel() for name, values in columns.items()})

    def _variants(self, who: Integers, day: int) -> Integers:
        first, last = self.days
        if not first <= day <= last:
            return np.full(len(who), 2)
        assignment = Assignment(EXPERIMENT, {CONTROL: 0.5, TREATED: 0.5})
        return np.array([assignment.variant(_id(number)) == TREATED for number in who], dtype=np.int64)


def examined(slot: Integers) -> Floats:
    """Return the chance that a customer looks at a slot, 1 being the first: the position bias of the shop."""
    return 1 / np.sqrt(slot)


def experiment_days(first_day: date) -> tuple[date, date]:
    """Return first and last day of the experiment in a shop whose records begin on `first_day`."""
    first = first_day + timedelta(days=BEGINS_AFTER_DAYS)
    return first, first + timedelta(days=LASTS_DAYS - 1)


def _shuffled(who: Integers, variant: Integers, day: int) -> tuple[Integers, Floats]:
    """Return for each list the place of the product in every slot before the shuffle, and its propensity."""
    slots, at = tuple(map(str, range(SLOTS))), date.fromordinal(day)
    names = (EXPERIMENT, EXPERIMENT, NONE)
    shuffles = [SlotShuffle(name, SHUFFLED_SHARE) for name in names]
    shown = [shuffles[of].shown(slots, _id(number), at) for number, of in zip(who, variant, strict=True)]
    places = np.array([each.products for each in shown], dtype=np.int64).reshape(-1, SLOTS)
    return places, np.array([each.propensities for each in shown]).reshape(-1, SLOTS)


def _id(number: int) -> str:
    """Return the id of a customer, as `models.simulation.rows.customer_id_column` writes it."""
    return f"u{number:08d}"
