"""Bayes-optimal fraud scores of the simulated shop: a bound that no score can beat in expectation.

It is a posterior with more knowledge than any real model has: the generating laws, each card's usual amount, and of
every payment that is a week old both the label and the fraud scenario. Given these, terminals and cards are
independent: each is a chain of days (the age of its last compromise), observed through its payments.
"""

from dataclasses import dataclass

import numpy as np

from models.simulation.cards import STOLEN_DAYS, STOLEN_PER_DAY
from models.simulation.payments import (
    AMOUNT_DEVIATION,
    LABEL_DAYS,
    LARGE_AMOUNT,
    THIEF_FACTOR,
    THIEF_SHARE,
    Paid,
    Payments,
)
from models.simulation.random_streams import Floats, Integers
from models.simulation.terminals import SKIMMED_DAYS, SKIMMED_PER_DAY

_SETTLING_DAYS = 60
_DAY, _ALL_TIME = 86_400, 2**40  # seconds
_CERTAIN = 700.0
_BELOW_ZERO = 0.022750131948179195  # chance of a normal number below -2: such an amount is drawn again, evenly


def best_chance(payments: Payments, first: int, last: int) -> Floats:
    """Return the chance of fraud of every payment of the days `first`..`last`, in the order of time, each 0..1."""
    days = range(first - _SETTLING_DAYS, last + 1)
    paid = Paid.joined(payments.happened(day) for day in days)
    usual = np.concatenate([_usual_amounts(payments, day) for day in days])
    skimmed = np.concatenate([payments.terminals.skimmed(day)[payments.happened(day).terminal] for day in days])
    own, thiefs = _density(paid.amount, usual), _density(paid.amount / THIEF_FACTOR, usual) / THIEF_FACTOR
    stays = np.log(1 - THIEF_SHARE)
    at_terminal = _Watch(
        holder=paid.terminal,
        second=_seconds(paid),
        known=np.where(skimmed, _CERTAIN, -_CERTAIN),
        unknown=np.zeros(len(skimmed)),
        per_day=SKIMMED_PER_DAY,
        hold_days=SKIMMED_DAYS,
    ).chance(first)
    of_card = _Watch(
        holder=paid.customer,
        second=_seconds(paid),
        known=np.where(paid.scenario == 3, _CERTAIN, stays),
        unknown=np.log(1 - THIEF_SHARE + THIEF_SHARE * thiefs / own),
        per_day=STOLEN_PER_DAY,
        hold_days=STOLEN_DAYS,
    ).chance(first)
    now = paid.day >= first
    thief = of_card * THIEF_SHARE * thiefs[now]
    owner = (1 - of_card * THIEF_SHARE) * own[now]
    by_owner = owner / (thief + owner) * (paid.amount[now] <= LARGE_AMOUNT)
    return 1 - by_owner * (1 - at_terminal)


@dataclass(frozen=True)
class _Watch:
    """Payments in the order of time at holders (terminals or cards) that may be in wrong hands.

    `known` and `unknown` say how much likelier (as a logarithm) a payment is if its holder is in wrong hands: once it
    is known what it was, and before. `per_day` is the chance of falling into them, which then last `hold_days`.
    """

    holder: Integers
    second: Integers
    known: Floats
    unknown: Floats
    per_day: float
    hold_days: int

    def chance(self, first: int) -> Floats:
        """Return chance that the holder is in wrong hands, by what is known before each payment from day `first` on."""
        names, holder = np.unique(self.holder, return_inverse=True)
        known, unknown = (_Sums(holder, self.second, each) for each in (self.known, self.unknown))
        everyone, found = np.arange(len(names)), []
        belief, step = self._chain(len(names))
        for day in range(self.second[0] // _DAY, self.second[-1] // _DAY + 1):
            # `belief` is that of the morning a week ago, by all that was known of the days before it.
            past, today = day - LABEL_DAYS, np.flatnonzero((self.second // _DAY == day) & (day >= first))
            who, second = holder[today], self.second[today]
            week_ago = second - LABEL_DAYS * _DAY
            now = _seen(belief[who], known.between(who, past * _DAY, week_ago + 1))
            now = _seen(now, unknown.between(who, week_ago + 1, (past + 1) * _DAY)) @ step
            for between in range(past + 1, day):
                now = _seen(now, unknown.between(who, between * _DAY, (between + 1) * _DAY)) @ step
            now = _seen(now, unknown.between(who, day * _DAY, second))
            found.append(1 - now[:, -1])
            belief = _seen(belief, known.between(everyone, past * _DAY, (past + 1) * _DAY)) @ step
        return np.concatenate(found)

    def _chain(self, holders: int) -> tuple[Floats, Floats]:
        """Return the shares of the states in the long run, for each holder, and the chances from one day to the next.

        In state k the holder fell into wrong hands k days ago; in the last state it is in right ones.
        """
        free = self.hold_days
        state = np.arange(free + 1)
        share: Floats = np.power(1 - self.per_day, state) * np.where(state < free, self.per_day, 1.0)
        step = np.zeros((free + 1, free + 1))
        step[state, np.minimum(state + 1, free)] = 1 - self.per_day
        step[:, 0] += self.per_day
        return np.tile(share, (holders, 1)), step


class _Sums:
    """Sums of numbers at payments, by holder and span of time."""

    def __init__(self, holder: Integers, second: Integers, each: Floats) -> None:
        order = np.lexsort((second, holder))
        self._place = holder[order] * _ALL_TIME + second[order]
        self._upto = np.append(0.0, np.cumsum(each[order]))

    def between(self, holder: Integers, begin: Integers | int, end: Integers | int) -> Floats:
        """Return the sum over the payments of each holder from second `begin` to before second `end`."""
        first, after = (np.searchsorted(self._place, holder * _ALL_TIME + second) for second in (begin, end))
        return self._upto[after] - self._upto[first]


def _seen(belief: Floats, likelier: Floats) -> Floats:
    """Beliefs (a row each) after something that is `likelier` (as a logarithm) in wrong hands than in right ones."""
    # Scaled so that nothing overflows: the larger of both factors is 1.
    weight = belief * np.exp(np.minimum(likelier, 0))[:, None]
    weight[:, -1] = belief[:, -1] * np.exp(-np.maximum(likelier, 0))
    return weight / weight.sum(axis=1, keepdims=True)


def _usual_amounts(payments: Payments, day: int) -> Floats:
    cards, paid = payments.cards(day), payments.happened(day)
    return cards.usual_amount[np.searchsorted(cards.customer, paid.customer)]


def _density(amount: Floats, usual: Floats) -> Floats:
    """Density of the amounts of a card that is used by its owner."""
    deviation = AMOUNT_DEVIATION * usual
    normal = np.exp(-0.5 * ((amount - usual) / deviation) ** 2) / (np.sqrt(2 * np.pi) * deviation)
    return normal + np.where(amount <= 2 * usual, _BELOW_ZERO / (2 * usual), 0.0)


def _seconds(paid: Paid) -> Integers:
    return paid.day * _DAY + paid.second
