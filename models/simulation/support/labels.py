"""Labels of the tickets by agents, days later: mostly right, sometimes another intent, sometimes put right after."""

from dataclasses import dataclass

import numpy as np

from models.simulation.support.intents import INTENTS, MISTAKEN, NAMES, PUT_RIGHT, WRONG_LABEL
from models.simulation.support.tickets import Ticket
from models.simulation.support.wordings import Draws

#: Share of the tickets that get a label; of the right ones, the share that another agent confirms.
LABELLED, CONFIRMED = 0.8, 0.06
#: Longest time until the first label, and from it until the second.
FIRST_DAYS, SECOND_DAYS = 9, 12
#: Share of the labels without urgency; of those with, the share that is wrong.
NO_URGENCY, WRONG_URGENCY = 0.3, 0.03
#: Share of the labels that do not say whether the ticket was handed off.
NO_HAND_OFF = 0.15

#: Share of the labels that name the article that answered; of these, the share that names another one.
NAMES_ARTICLE, WRONG_ARTICLE = 0.6, 0.04

_LABELS, _ARTICLES = 0x2545F4914F6CDD1D, 0x5851F42D4C957F2D
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Label:
    """One label: `day` and `second` (UTC) say when; what is None was not said.

    `answered_about` is the intent whose article the agent named.
    """

    ticket_id: str
    language: str
    intent: str
    urgent: bool | None
    handed_off: bool | None
    answered_about: str | None
    day: int
    second: int


def labels(ticket: Ticket) -> list[Label]:
    """Return the labels of a ticket in the order of time: none, one or two."""
    draws = Draws(ticket.key ^ _LABELS)
    if not draws.happens(LABELLED):
        return []
    wrong = draws.happens(WRONG_LABEL)
    handed_off = draws.happens(_hand_off(ticket))
    day = ticket.day + 1 + draws.below(FIRST_DAYS)
    first = _label(ticket, _other(ticket, draws) if wrong else ticket.intent, handed_off, day, draws)
    if not draws.happens(PUT_RIGHT if wrong else CONFIRMED):
        return [first]
    later = first.day + 1 + draws.below(SECOND_DAYS)
    return [first, _label(ticket, ticket.intent, handed_off, later, draws)]


def _label(ticket: Ticket, intent: str, handed_off: bool, day: int, draws: Draws) -> Label:
    urgent = ticket.urgent != draws.happens(WRONG_URGENCY)
    named = Draws(ticket.key ^ _ARTICLES ^ day)
    says_urgent, says_handed_off = not draws.happens(NO_URGENCY), not draws.happens(NO_HAND_OFF)
    return Label(
        ticket_id=ticket.ticket_id,
        language=ticket.language,
        intent=intent,
        urgent=urgent if says_urgent else None,
        handed_off=handed_off if says_handed_off else None,
        answered_about=_answered_about(ticket, intent, named) if named.happens(NAMES_ARTICLE) else None,
        day=day,
        second=draws.below(_DAY_SECONDS),
    )


def _answered_about(ticket: Ticket, intent: str, draws: Draws) -> str:
    return _other(ticket, draws) if draws.happens(WRONG_ARTICLE) else intent


def _hand_off(ticket: Ticket) -> float:
    """Return the chance that a person has to take the ticket over: half of what is left if it is urgent."""
    chance = INTENTS[ticket.main].hand_off
    return chance + (1 - chance) / 2 if ticket.urgent else chance


def _other(ticket: Ticket, draws: Draws) -> str:
    edges = np.cumsum(MISTAKEN[ticket.main])
    return NAMES[min(int(np.searchsorted(edges, draws.number(), side="right")), len(NAMES) - 1)]
