"""Card payments of a day, with their fraud, free of defects. Laws and their sources: `models.simulation.cards`."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.simulation.cards import CARD_SHARE, TERMINALS_PER_CARD, Cards, cards_of, stolen
from models.simulation.population import Population
from models.simulation.random_streams import Floats, Integers, Purpose, keys, normal, poisson, uniform
from models.simulation.scenario import NO_CHANGE, Scenario
from models.simulation.terminals import Reach, Terminals

#: Amounts spread around a card's usual one by this share of it; none is negative.
AMOUNT_DEVIATION = 0.5
#: Scenario 1: an amount above this (EUR), as the owner would pay it, is fraud.
LARGE_AMOUNT = 220.0
#: Scenario 3: of the payments of a stolen card this share is the thief's, who pays so many times the amount.
THIEF_SHARE, THIEF_FACTOR = 1 / 3, 5
#: Which payments were fraud becomes known this many days after each of them.
LABEL_DAYS = 7

_BLOCK_DAYS = 32
_MOST_A_DAY = 24  # above it: a chance below 1e-10 at the highest rate
_NOON, _TIME_DEVIATION, _DAY_SECONDS = 43_200, 20_000, 86_400


@dataclass(frozen=True)
class Paid:
    """Columns of equal length, one place per payment, in the order of time.

    `key` are 64 mixed bits of its own, `day` and `second` say when (UTC), `number` is the running number of the day,
    `amount` is in EUR. `scenario` says why it is fraud: 0 it is none, 1 large amount, 2 terminal in wrong hands,
    3 the thief's; of two the higher.
    """

    key: NDArray[np.uint64]
    customer: Integers
    terminal: Integers
    day: Integers
    second: Integers
    number: Integers
    amount: Floats
    scenario: Integers

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the payments at `places` (numbers or a mask)."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All payments of `parts`, one after the other."""
        many = list(parts)
        return cls(*(np.concatenate([getattr(part, field.name) for part in many]) for field in fields(cls)))


class Payments:
    """The payments of any day, each drawn on its own; holds the last few days asked for."""

    def __init__(self, seed: int, population: Population, scenario: Scenario = NO_CHANGE) -> None:
        self._seed, self._population, self._scenario = seed, population, scenario
        self.terminals = Terminals(seed, max(1, round(population.size * CARD_SHARE * TERMINALS_PER_CARD)))
        self.happened = lru_cache(maxsize=16)(self._happened)
        self._block = lru_cache(maxsize=2)(self._cards)

    def cards(self, day: int) -> Cards:
        """Return the cards in use on `day`; none before the records begin."""
        return self._in_use(day)[0]

    def _cards(self, block: int) -> tuple[Cards, Reach]:
        customers = self._population.shopping(block * _BLOCK_DAYS, (block + 1) * _BLOCK_DAYS - 1)
        cards = cards_of(self._seed, customers, self.terminals.side)
        return cards, self.terminals.in_reach(cards.x, cards.y)

    def _in_use(self, day: int) -> tuple[Cards, Integers, Reach]:
        """Return the cards in use on `day`, their places in the reach, and the reach."""
        cards, reach = self._block(day // _BLOCK_DAYS)
        used = (cards.joined <= day) & (day < cards.gone) & (day >= self._population.first_day)
        return cards.where(used), np.flatnonzero(used), reach

    def _happened(self, day: int) -> Paid:
        seed = self._seed
        cards, place, reach = self._in_use(day)
        rate = cards.rate * self._scenario.demand(day)
        count = poisson(uniform(seed, Purpose.PAYMENTS, cards.customer, day), rate, most=_MOST_A_DAY)
        whose = np.repeat(np.arange(len(count)), count)
        nth = np.arange(len(whose)) - np.searchsorted(whose, whose)
        key = keys(seed, Purpose.PAYMENTS, cards.customer[whose], day, nth)
        second = np.trunc(_NOON + _TIME_DEVIATION * normal(seed, Purpose.PAYMENT_SECOND, key.view(np.int64)))
        terminal = reach.chosen(place[whose], uniform(seed, Purpose.TERMINAL, key.view(np.int64)))
        # As published, what falls outside the day or finds no terminal is not paid.
        kept = np.flatnonzero((second > 0) & (second < _DAY_SECONDS) & (terminal >= 0))
        kept = kept[np.lexsort((nth[kept], cards.customer[whose[kept]], second[kept]))]
        whose, key, terminal = whose[kept], key[kept], terminal[kept]
        amount, scenario = self._amounts(cards, whose, key.view(np.int64), terminal, day)
        return Paid(
            key=key,
            customer=cards.customer[whose],
            terminal=terminal,
            day=np.full(len(key), day),
            second=second[kept].astype(np.int64),
            number=np.arange(len(key)),
            amount=amount,
            scenario=scenario,
        )

    def _amounts(
        self, cards: Cards, whose: Integers, key: Integers, terminal: Integers, day: int
    ) -> tuple[Floats, Integers]:
        """Amount and scenario of each payment."""
        seed, usual = self._seed, cards.usual_amount[whose]
        drawn = usual * (1 + AMOUNT_DEVIATION * normal(seed, Purpose.AMOUNT, key))
        drawn = np.where(drawn < 0, 2 * usual * uniform(seed, Purpose.AMOUNT_INSTEAD, key), drawn)
        large, skimmed = drawn > LARGE_AMOUNT, self.terminals.skimmed(day)[terminal]
        thiefs = stolen(seed, cards.customer, day)[whose] & (uniform(seed, Purpose.THIEF, key) < THIEF_SHARE)
        scenario = np.select([thiefs, skimmed, large], [3, 2, 1], 0).astype(np.int64)
        # Rounded last, unlike the published ones: else no amount of a thief would end in anything but 0 or 5 cents.
        amount: Floats = drawn * np.where(thiefs, THIEF_FACTOR, 1)
        return amount.round(2), scenario
