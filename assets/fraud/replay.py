"""Payments of the lake and their labels as the events they once were."""

from collections.abc import Iterator
from datetime import date, timedelta

from assets.fraud import feedback as alert_feedback
from models.events import Event
from resources.engine.port import Engine
from resources.lake.port import Lake

#: Labels that became known later than so many days after the last payment are not replayed.
LABEL_DAYS = 31


def history(lake: Lake, engine: Engine, first: date, last: date) -> Iterator[Event]:
    """Events of the payments of the days `first`..`last` and of their labels, ascending by time, streamed.

    Analysts' labels are among them: a stream that begins anew counts them as the one before did.
    """
    from models.fraud.replay import events_of, payment_history

    labelled = last + timedelta(days=LABEL_DAYS)
    tables = {
        "payments": lake.refer("payments", first=first),
        "labels": lake.refer("payment_labels", first=first, last=labelled),
        "feedback": alert_feedback.answers(lake, first=first, last=labelled),
    }
    for batch in engine.query(payment_history, tables, first=first, last=last):
        yield from events_of(batch)
