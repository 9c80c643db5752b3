"""Bayes-optimal intents of the simulated tickets: an accuracy that no classifier can exceed in expectation.

It is a posterior with more knowledge than any real model has: the generating laws, the situation of the one who writes,
and which way to write was chosen, however it was misspelt. What remains open are ways to write that several intents
share, and which of two intents is the main one.
"""

from collections.abc import Sequence

import numpy as np

from models.simulation.random_streams import Floats
from models.simulation.support.intents import (
    CHANCE,
    MAIN_FIRST,
    MISTAKEN,
    NAMES,
    PUT_RIGHT,
    SITUATIONS,
    TWO_CHANCE,
    UNCLEAR_CHANCE,
    WRONG_LABEL,
    second_chance,
)
from models.simulation.support.tickets import Ticket

#: Share of the newest labels that are wrong, once all labels have come.
WRONG_IN_THE_END = WRONG_LABEL * (1 - PUT_RIGHT)


def intent_chances(tickets: Sequence[Ticket]) -> Floats:
    """Return the chance that each intent (`intents.NAMES`) is the main one of each ticket: shape (tickets, intents)."""
    return np.stack([_posterior(ticket) for ticket in tickets]) if tickets else np.empty((0, len(NAMES)))


def label_chances(tickets: Sequence[Ticket], wrong: float = WRONG_IN_THE_END) -> Floats:
    """Return the chance that each intent is the ticket's newest label: shape (tickets, intents).

    Args:
        tickets: any.
        wrong: share of the labels that name another intent; `WRONG_LABEL` for first labels.
    """
    chance = intent_chances(tickets)
    return (1 - wrong) * chance + wrong * (chance @ MISTAKEN)


def best_accuracy(chances: Floats) -> float:
    """Return the best reachable accuracy: the mean chance of each ticket's likeliest intent, 0..1."""
    return float(chances.max(axis=1).mean())


def _posterior(ticket: Ticket) -> Floats:
    situation = SITUATIONS.index(ticket.situation)
    weight = np.zeros(len(NAMES))
    if ticket.second_intent >= 0:
        for main, second, first in (
            (ticket.main, ticket.second_intent, ticket.main_first),
            (ticket.second_intent, ticket.main, not ticket.main_first),
        ):
            pair = CHANCE[situation][main] * TWO_CHANCE[main] * second_chance(situation, main)[second]
            weight[main] = pair * (MAIN_FIRST if first else 1 - MAIN_FIRST)
    elif ticket.group >= 0:
        weight = CHANCE[situation] * (1 - TWO_CHANCE) * UNCLEAR_CHANCE[ticket.group]
    else:
        weight[ticket.main] = 1.0
    return weight / weight.sum()
