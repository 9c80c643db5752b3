"""Intents of the simulated shop's tickets: how often each occurs in which situation, how urgent it is, what blurs it.

All numbers are chosen, not estimated. Urgency is simulated, too: it follows these laws and no real desk's.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.simulation.random_streams import Floats

#: Circumstances of the one who writes: no order is concerned; an order of up to a day ago; one that is on its way; one
#: that should have arrived; goods that were sent back.
Situation = Literal["none", "fresh", "waiting", "arrived", "returned"]
SITUATIONS: tuple[Situation, ...] = ("none", "fresh", "waiting", "arrived", "returned")

OUT_OF_SCOPE = "oos"


@dataclass(frozen=True)
class Intent:
    """One intent.

    Attributes:
        name: as agents label it.
        weights: how often it occurs in each of `SITUATIONS`, relative to the others.
        urgency: log odds that such a ticket is urgent, before wording and situation.
        hand_off: chance that a person has to take it over.
    """

    name: str
    weights: tuple[float, float, float, float, float]
    urgency: float
    hand_off: float


INTENTS: tuple[Intent, ...] = (
    Intent("where_is_my_order", (0, 1, 14, 3, 0), -2.2, 0.05),
    Intent("not_received", (0, 0, 1, 6, 0), -0.6, 0.40),
    Intent("cancel_order", (0, 10, 3, 0, 0), -0.4, 0.10),
    Intent("change_address", (0, 7, 3, 0, 0), -0.4, 0.15),
    Intent("change_order", (0, 7, 1, 0, 0), -1.0, 0.30),
    Intent("invoice_request", (2, 2, 2, 3, 0), -3.5, 0.02),
    Intent("double_charge", (1, 4, 2, 1, 0), -0.3, 0.50),
    Intent("payment_failed", (3, 3, 0, 0, 0), -1.2, 0.20),
    Intent("coupon_fails", (4, 2, 0, 0, 0), -2.2, 0.10),
    Intent("gift_card", (4, 0, 0, 0, 0), -3.0, 0.10),
    Intent("loyalty_points", (3, 0, 1, 1, 0), -3.5, 0.10),
    Intent("damaged_item", (0, 0, 1, 8, 0), -1.2, 0.35),
    Intent("wrong_item", (0, 0, 1, 6, 0), -1.2, 0.30),
    Intent("missing_item", (0, 0, 1, 6, 0), -1.3, 0.30),
    Intent("wrong_size", (0, 0, 1, 6, 1), -2.5, 0.05),
    Intent("return_request", (0, 1, 1, 8, 0), -2.8, 0.03),
    Intent("refund_late", (0, 0, 0, 1, 14), -1.2, 0.30),
    Intent("refund_amount", (0, 0, 0, 1, 7), -1.4, 0.45),
    Intent("warranty_repair", (4, 0, 0, 1, 0), -1.8, 0.30),
    Intent("device_connection", (6, 0, 0, 2, 0), -1.6, 0.15),
    Intent("device_setup", (4, 0, 0, 2, 0), -2.2, 0.10),
    Intent("product_question", (7, 1, 0, 0, 0), -3.2, 0.05),
    Intent("availability", (5, 0, 0, 0, 0), -3.2, 0.02),
    Intent("login_problem", (7, 0, 1, 0, 0), -1.0, 0.10),
    Intent("account_change", (4, 1, 0, 0, 0), -2.6, 0.10),
    Intent("account_delete", (2, 0, 0, 0, 0), -2.2, 0.60),
    Intent("newsletter_unsubscribe", (4, 0, 0, 0, 0), -2.8, 0.02),
    Intent("shipping_cost", (5, 1, 0, 0, 0), -3.2, 0.02),
    Intent("fraud_report", (2, 1, 0, 0, 0), 2.0, 0.95),
    Intent("complaint", (3, 0, 2, 3, 2), -0.2, 0.80),
    Intent("praise", (2, 0, 0, 2, 0), -5.0, 0.02),
    Intent(OUT_OF_SCOPE, (9, 0, 0, 0, 0), -3.5, 0.10),
)
NAMES = tuple(intent.name for intent in INTENTS)
_PLACE = {name: place for place, name in enumerate(NAMES)}

#: Chance of each intent in each situation: shape (situations, intents), rows sum to 1.
_WEIGHTS: Floats = np.array([intent.weights for intent in INTENTS], dtype=np.float64).T
CHANCE: Floats = _WEIGHTS / _WEIGHTS.sum(axis=1, keepdims=True)

#: Ways to write that leave open which of several intents is meant: the chance that somebody with an intent writes so.
UNCLEAR: dict[str, dict[str, float]] = {
    "waiting": {"where_is_my_order": 0.12, "not_received": 0.22, "refund_late": 0.14},
    "goods": {"damaged_item": 0.10, "wrong_item": 0.18, "wrong_size": 0.16, "return_request": 0.08},
    "money": {"double_charge": 0.18, "payment_failed": 0.12, "refund_amount": 0.16, "refund_late": 0.04},
    "account": {"login_problem": 0.10, "account_change": 0.14, "fraud_report": 0.12},
    "code": {"coupon_fails": 0.12, "gift_card": 0.16, "loyalty_points": 0.14},
    "device": {"device_connection": 0.14, "device_setup": 0.12, "warranty_repair": 0.16},
    "open_order": {"cancel_order": 0.10, "change_order": 0.16, "change_address": 0.12},
    "vague": {"complaint": 0.16, "oos": 0.08, "where_is_my_order": 0.03},
    "before_buying": {"product_question": 0.10, "availability": 0.12, "shipping_cost": 0.08},
}
GROUPS = tuple(UNCLEAR)
#: The same as an array: shape (groups, intents).
UNCLEAR_CHANCE: Floats = np.array([[members.get(name, 0.0) for name in NAMES] for members in UNCLEAR.values()])

#: Chance that a ticket has two intents, and that the main one of them is written first.
TWO_INTENTS, MAIN_FIRST = 0.12, 0.8
#: Intents that come alone: no one writes about the weather and a refund at once.
ALONE = ("oos", "praise", "complaint")
_PAIRS: Floats = np.array([name not in ALONE for name in NAMES], dtype=np.float64)
TWO_CHANCE: Floats = TWO_INTENTS * _PAIRS

#: Log odds of urgency that a wording adds (none, mild, strong), and having waited long does.
WORDING_SHARE = (0.72, 0.18, 0.10)
WORDING_URGENCY = (0.0, 0.8, 2.4)
LONG_WAIT_DAYS, LONG_WAIT_URGENCY = 7, 0.8

#: Chance that an agent's label names another intent, one that is written alike; and that this is put right later.
WRONG_LABEL, PUT_RIGHT = 0.03, 0.5


def second_chance(situation: int, main: int) -> Floats:
    """Return the chance of each intent to be the second one of a ticket whose main one is `main`."""
    chance = CHANCE[situation] * _PAIRS
    chance[main] = 0.0
    return chance / chance.sum()


def _mistaken() -> Floats:
    """Return the chance of each wrong label (column) for each intent (row): equal for all that are written alike."""
    shared = (UNCLEAR_CHANCE > 0).astype(np.float64)
    alike = (shared.T @ shared > 0) & ~np.eye(len(NAMES), dtype=np.bool_)
    # Who is written like nothing else is taken for small talk, and small talk for a complaint.
    for name in NAMES:
        if not alike[_PLACE[name]].any():
            alike[_PLACE[name], _PLACE["complaint" if name == OUT_OF_SCOPE else OUT_OF_SCOPE]] = True
    return alike / alike.sum(axis=1, keepdims=True)


MISTAKEN: Floats = _mistaken()
