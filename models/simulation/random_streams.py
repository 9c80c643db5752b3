"""Random numbers addressed by what they are for, so that any day of the shop can be drawn on its own."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_ABOVE = 2.0**-53


class Purpose(IntEnum):
    """Purpose of a random number; two purposes never share numbers."""

    COUNTRY = 1
    RATE = 2
    HABIT = 3
    LIFETIME = 4
    ORDERS = 5
    LINES = 6
    SECOND = 7
    PRODUCT = 8
    QUANTITY = 9
    PROMOTION = 10
    RETURNED = 11
    RETURN_DELAY = 12
    RETURN_LINE = 13
    RETURN_SECOND = 14
    LATE = 15
    LATE_DELAY = 16
    DUPLICATE = 17
    REDELIVERED = 18
    NULL_CUSTOMER = 19
    WRONG_UNIT = 20
    UNREADABLE_QUANTITY = 21
    CATEGORY = 22
    PRICE = 23
    CARD = 24
    CARD_X = 25
    CARD_Y = 26
    CARD_RATE = 27
    USUAL_AMOUNT = 28
    STOLEN = 29
    PAYMENTS = 30
    PAYMENT_SECOND = 31
    TERMINAL = 32
    AMOUNT = 33
    AMOUNT_INSTEAD = 34
    THIEF = 35
    SKIMMED = 36
    TERMINAL_X = 37
    TERMINAL_Y = 38
    NEGATIVE_AMOUNT = 39
    NO_TERMINAL = 40
    ORDER_TICKET = 41
    RETURN_TICKET = 42
    CUSTOMER_TICKET = 43
    GUEST_TICKET = 44
    LANGUAGE = 45
    BLANK_TEXT = 46
    ARTICLE = 47
    NEW_COUNTRY = 48
    TASTE = 49
    AFFINITY = 50
    BUDGET = 51
    BROWSING = 52
    VIEWS = 53
    VIEWED = 54
    CARTED = 55
    ANONYMOUS = 56
    SHELF_PLACE = 57
    STOCK_CYCLE = 58
    DURABLE = 59
    OFFER = 60
    COST = 61
    SHOWN = 62
    REACTED = 63


def keys(seed: int, purpose: Purpose, *counters: Integers | int) -> NDArray[np.uint64]:
    """64 mixed bits for each position of the broadcast `counters`.

    Each counter is folded in by the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford),
    a bijection: different counters give different bits, and nothing has to be drawn in order.
    """
    bits = np.full(1, (seed * 64 + purpose) % 2**64, dtype=np.uint64)
    for counter in (0, *counters):
        bits = _mixed((bits ^ np.asarray(counter).astype(np.uint64)) + _GOLDEN)
    return bits


def uniform(seed: int, purpose: Purpose, *counters: Integers | int) -> Floats:
    """Return a number in [0, 1) for each position of the broadcast `counters`; see `keys`."""
    return (keys(seed, purpose, *counters) >> np.uint64(11)).astype(np.float64) * _ABOVE


def normal(seed: int, purpose: Purpose, *counters: Integers | int) -> Floats:
    """Return a standard normal number for each position of the broadcast `counters`, by the rule of Box and Muller."""
    radius = np.sqrt(-2 * np.log1p(-uniform(seed, purpose, *counters, 0)))
    return radius * np.cos(2 * np.pi * uniform(seed, purpose, *counters, 1))


def poisson(chance: Floats, rate: Floats, *, most: int) -> Integers:
    """Return the Poisson number at quantile `chance`, cut at `most`."""
    share = np.exp(-rate)
    below, count = share.copy(), np.zeros(len(rate), dtype=np.int64)
    for number in range(1, most + 1):
        count += chance >= below
        share = share * rate / number
        below += share
    return count


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
