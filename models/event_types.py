"""Types of events by the application that reads them: all read one queue, and each leaves out those of others."""

from collections.abc import Mapping

PAYMENT = "payment"
PAYMENT_LABELLED = "payment.labelled"
TICKET_OPENED = "ticket.opened"
#: A list was shown, with the chance of each slot; what customers did then.
EXPOSURE_SHOWN = "exposure.shown"
OUTCOME_HAPPENED = "outcome.happened"

READ_BY: Mapping[str, tuple[str, ...]] = {
    "fraud": (PAYMENT, PAYMENT_LABELLED),
    "support": (TICKET_OPENED,),
    "experiments": (EXPOSURE_SHOWN, OUTCOME_HAPPENED),
}


def is_of_another(type: str, app: str) -> bool:
    """Return True if another application reads events of this type and this one does not."""
    return type not in READ_BY[app] and any(type in types for types in READ_BY.values())
