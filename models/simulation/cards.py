"""Card holders and their payment behaviour: every trait is drawn from the customer's number alone.

The laws of payments and frauds, in this file, in `terminals` and in `payments`, are those of Le Borgne, Siblini,
Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection (2022), chapter 3, with 5,000 cards
and 10,000 terminals. Written anew from the description; deviations are noted where they occur.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.simulation.population import Customers
from models.simulation.random_streams import Floats, Integers, Purpose, uniform

#: Share of the customers who have a card of ours; the published cards are all there are.
CARD_SHARE = 1 / 3
TERMINALS_PER_CARD = 2
#: Payments a day, and the usual amount in EUR: each card has its own, every one in these ranges equally likely.
LEAST_RATE, MOST_RATE = 0.0, 4.0
LEAST_AMOUNT, MOST_AMOUNT = 5.0, 100.0
#: Chance that a card is stolen on a day, and how many days the thief uses it, the first included.
STOLEN_PER_DAY = 3 / 5_000
STOLEN_DAYS = 14


@dataclass(frozen=True)
class Cards:
    """Columns of equal length, one place per card, in the order of the customers' numbers.

    Cards are used from the day `joined` on and before the day `gone`. `x` and `y` are where the owner lives, `rate`
    the payments a day on average, `usual_amount` the mean of their amounts in EUR.
    """

    customer: Integers
    joined: Integers
    gone: Integers
    x: Floats
    y: Floats
    rate: Floats
    usual_amount: Floats

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the cards where `mask` is true."""
        return type(self)(*(getattr(self, field.name)[mask] for field in fields(self)))


def cards_of(seed: int, customers: Customers, side: float) -> Cards:
    """Return the cards of those customers who have one; their owners live on a square of `side` units."""
    who = customers.where(uniform(seed, Purpose.CARD, customers.number) < CARD_SHARE)

    def between(least: float, most: float, purpose: Purpose) -> Floats:
        return least + (most - least) * uniform(seed, purpose, who.number)

    return Cards(
        customer=who.number,
        joined=who.joined,
        gone=who.gone,
        x=between(0.0, side, Purpose.CARD_X),
        y=between(0.0, side, Purpose.CARD_Y),
        rate=between(LEAST_RATE, MOST_RATE, Purpose.CARD_RATE),
        usual_amount=between(LEAST_AMOUNT, MOST_AMOUNT, Purpose.USUAL_AMOUNT),
    )


def stolen(seed: int, customer: Integers, day: int) -> NDArray[np.bool_]:
    """Mark the customers whose card a thief uses on `day`, besides the owner."""
    begins = np.arange(day - STOLEN_DAYS + 1, day + 1)
    return uniform(seed, Purpose.STOLEN, customer[:, None], begins).min(axis=1) < STOLEN_PER_DAY
