"""Features of a ticket: what was known of its customer; the one list that documentation shows."""

from models.features.definitions import Feature

_EVER = "all that was delivered by the day and happened before the ticket"

DEFINITIONS: tuple[Feature, ...] = (
    Feature("orders", "orders that were placed", "orders", _EVER),
    Feature("returns", "returns and cancellations", "orders", _EVER),
    Feature("last_orders", "the order that the ticket names, then the newest", "id, day, lines", "at most 3"),
    Feature("earlier_tickets", "tickets of the same customer", "tickets", _EVER),
    Feature("last_intents", "intents of earlier tickets, by the newest label that was known", "intent", "at most 3"),
    Feature("customer_score", "last published score of another application", "0 to 1", "the 31 days before"),
)

FEATURES = tuple(one.name for one in DEFINITIONS)

PAGE = """## Support

One row per ticket, on the day it was delivered: its text, and its customer's history as of the moment it was opened,
as JSON (`history`). Guests have none. `settings.support.customer_score_of` names the application of `customer_score`.
"""
