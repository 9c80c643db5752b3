"""Payments and labels of the past as events, in the order in which they happened.

The same row is always the same event, so that what the queue holds already is left out.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from collections.abc import Iterator
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from models.alerts import Feedback
from models.events import Event
from models.fraud.alerts import FRAUD, OK
from models.fraud.event_parsing import LABEL, PAYMENT
from models.fraud.labels import event_of
from models.timestamps import to_epoch_micros


def payment_history(
    payments: ir.Table, labels: ir.Table, feedback: ir.Table | None = None, *, first: date, last: date
) -> ir.Table:
    """One row per payment of the days `first`..`last` and one per label of such a payment, whenever it became known.

    Ascending by `happened_at` (µs UTC); of one moment labels come first, then payments by id. Columns that only
    payments have are NULL in labels, and the other way round; `alert_id` is that of an analyst's label.
    """
    moment: Any = payments.paid_at
    paid: Any = payments.filter(moment.date().between(ibis.literal(first), ibis.literal(last)))
    rows = paid.select(
        happened_at=paid.paid_at,
        is_payment=ibis.literal(value=True),
        transaction_id=paid.transaction_id,
        customer_id=paid.customer_id,
        terminal_id=paid.terminal_id,
        amount=paid.amount,
        is_fraud=ibis.null("boolean"),
        alert_id=ibis.null("string"),
    ).union(_told(labels, paid, alert_id=ibis.null("string")))
    if feedback is not None:
        rows = rows.union(_told(feedback, paid, alert_id=feedback.alert_id))
    return rows.order_by(["happened_at", "is_payment", "transaction_id", "alert_id", "is_fraud"])


def events_of(rows: pa.RecordBatch) -> Iterator[Event]:
    """Yield the events of such rows."""
    for row in rows.to_pylist():
        number, customer, at = row["transaction_id"], row["customer_id"], row["happened_at"]
        if row["alert_id"] is not None:
            label = FRAUD if row["is_fraud"] else OK
            yield event_of(Feedback(str(number), customer, row["alert_id"], label, at, who=""))
            continue
        if row["is_payment"]:
            source, kind, names = "/payments", PAYMENT, ("transaction_id", "customer_id", "terminal_id", "amount")
            name = str(number)
        else:
            source, kind, names = "/payment_labels", LABEL, ("transaction_id", "is_fraud")
            # A payment may be labelled again.
            name = f"{number}/{to_epoch_micros(at)}/{'fraud' if row['is_fraud'] else 'ok'}"
        data = {column: row[column] for column in names}
        yield Event(id=name, source=source, type=kind, time=at, subject=customer, data=data)


def _told(labels: Any, paid: Any, *, alert_id: Any) -> Any:
    """Build the label rows of these payments for the replayed history."""
    said: Any = labels.select("transaction_id", "is_fraud", "labelled_at", alert_id=alert_id)
    told = said.inner_join(paid.select("transaction_id", "customer_id"), "transaction_id")
    return told.select(
        happened_at=told.labelled_at,
        is_payment=ibis.literal(value=False),
        transaction_id=told.transaction_id,
        customer_id=told.customer_id,
        terminal_id=ibis.null("string"),
        amount=ibis.null("float64"),
        is_fraud=told.is_fraud,
        alert_id=told.alert_id,
    )
