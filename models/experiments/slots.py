"""Shuffled slots: part of a list changes places by a known chance, so that the log says how others would have done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import shake_256

_BYTES = 8


@dataclass(frozen=True)
class ShownList:
    """Products as they are shown.

    Attributes:
        products: by slot, the first slot first.
        propensities: chance that the product of each slot was shown there, given the list before it was shuffled.
    """

    products: tuple[str, ...]
    propensities: tuple[float, ...]


@dataclass(frozen=True)
class SlotShuffle:
    """Shuffle of a share of the slots, decided by sha3(experiment, customer, day): a re-run gives equal lists.

    `m` of the `k` slots are drawn, and their products change places in a random order; all draws are equally likely.

    Attributes:
        experiment: name of the experiment.
        share: of the slots that are shuffled, 0 to 1; of any share above 0 at least two slots.
    """

    experiment: str
    share: float

    def count(self, slots: int) -> int:
        """Return the number of slots that are shuffled of a list with so many."""
        return min(slots, max(2, round(self.share * slots))) if self.share > 0 and slots > 1 else 0

    def shown(self, products: Sequence[str], customer: str, day: date) -> ShownList:
        """Return a list as it is shown to a customer on a day."""
        slots = len(products)
        drawn = self.count(slots)
        if not drawn:
            return ShownList(tuple(products), (1.0,) * slots)
        text = f"{self.experiment}\n{customer}\n{day.isoformat()}"
        bits = shake_256(text.encode()).digest(2 * slots * _BYTES)
        draws = [bits[at : at + _BYTES] for at in range(0, len(bits), _BYTES)]
        chosen = sorted(sorted(range(slots), key=draws.__getitem__)[:drawn])
        dealt = sorted(chosen, key=lambda slot: draws[slots + slot])
        order = list(range(slots))
        for place, origin in zip(chosen, dealt, strict=True):
            order[place] = origin
        chances = (propensity(slots, drawn, place, origin) for place, origin in enumerate(order))
        return ShownList(tuple(products[origin] for origin in order), tuple(chances))


def propensity(slots: int, drawn: int, place: int, origin: int) -> float:
    """Return the chance that the product of slot `origin` is shown in slot `place`, both counted from 0.

    Of `slots` slots `drawn` are shuffled. It stays if its slot is not drawn, or is drawn and dealt its own product:
    1 - m/k + 1/k. It moves to one other slot if both are drawn and it is dealt there: (m - 1) / (k (k - 1)).
    """
    if drawn < 2:
        return 1.0 if place == origin else 0.0
    if place == origin:
        return 1 - drawn / slots + 1 / slots
    return (drawn - 1) / (slots * (slots - 1))
