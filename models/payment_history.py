"""Payments and labels of the past as events, in the order in which they happened."""

# ibis gives the columns of a table no static types.
# pyright: basic

from collections.abc import Iterator
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from models.events import Event
from models.payments import LABEL, PAYMENT


def payment_history(payments: ir.Table, labels: ir.Table, *, first: date, last: date) -> ir.Table:
    """One row per payment of the days `first`..`last` and one per label of such a payment, whenever it became known.

    Ascending by `happened_at` (µs UTC); of one moment labels come first, then payments by id. Columns that only
    payments have are NULL in labels, and the other way round.
    """
    moment: Any = payments.paid_at
    paid: Any = payments.filter(moment.date().between(ibis.literal(first), ibis.literal(last)))
    told: Any = labels.inner_join(paid.select("transaction_id", "customer_id"), "transaction_id")
    rows = paid.select(
        happened_at=paid.paid_at,
        is_payment=ibis.literal(value=True),
        transaction_id=paid.transaction_id,
        customer_id=paid.customer_id,
        terminal_id=paid.terminal_id,
        amount=paid.amount,
        is_fraud=ibis.null("boolean"),
    ).union(
        told.select(
            happened_at=told.labelled_at,
            is_payment=ibis.literal(value=False),
            transaction_id=told.transaction_id,
            customer_id=told.customer_id,
            terminal_id=ibis.null("string"),
            amount=ibis.null("float64"),
            is_fraud=told.is_fraud,
        )
    )
    return rows.order_by(["happened_at", "is_payment", "transaction_id"])


def events_of(rows: pa.RecordBatch) -> Iterator[Event]:
    """The events of such rows: the same row always has the same id."""
    for row in rows.to_pylist():
        number = row["transaction_id"]
        if row["is_payment"]:
            source, kind, names = "/payments", PAYMENT, ("transaction_id", "customer_id", "terminal_id", "amount")
        else:
            source, kind, names = "/payment_labels", LABEL, ("transaction_id", "is_fraud")
        data = {name: row[name] for name in names}
        named = {"id": str(number), "source": source, "type": kind}
        yield Event(**named, time=row["happened_at"], subject=row["customer_id"], data=data)
