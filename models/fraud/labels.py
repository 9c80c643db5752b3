"""Labels of payments from two sources: the table of labels and analysts' feedback.

Each statement replaces those before it from its own timestamp on, whatever its source; of statements with the same
timestamp, one that says fraud counts (`models.features.label_history`). That does not depend on the order of arrival:
the stream, which reads labels one by one, and a query over all of them give the same values.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

import re
from collections.abc import Iterable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from models.alerts import Feedback
from models.events import Event
from models.features.fraud import features_between
from models.features.label_history import latest_labels
from models.fraud.alerts import labelled_payment
from models.fraud.event_parsing import LABEL

#: One row for each payment of an answered alert, and answer.
FEEDBACK = pa.schema(
    [
        ("transaction_id", pa.int64()),
        ("customer_id", pa.string()),
        ("alert_id", pa.string()),
        ("is_fraud", pa.bool_()),
        ("labelled_at", pa.timestamp("us", "UTC")),
        ("who", pa.string()),
    ]
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def feedback_rows(said: Iterable[Feedback]) -> pa.Table:
    """Return these answers as rows, in `FEEDBACK`."""
    rows = [
        {
            "transaction_id": number,
            "customer_id": one.entity_id,
            "alert_id": one.alert_id,
            "is_fraud": is_fraud,
            "labelled_at": one.labelled_at,
            "who": one.who,
        }
        for one in said
        for number, is_fraud in [labelled_payment(one)]
    ]
    return pa.Table.from_pylist(rows, FEEDBACK)


def event_of(said: Feedback) -> Event:
    """Return the event that carries the label to the stream; the same label gives the same event."""
    number, is_fraud = labelled_payment(said)
    return Event(
        id=_as_attribute(f"{said.alert_id}/{said.evidence_id}/{said.label}"),
        source="/alerts",
        type=LABEL,
        time=said.labelled_at,
        subject=_as_attribute(said.entity_id),
        data={"transaction_id": number, "is_fraud": is_fraud},
    )


def all_labels(labels: ir.Table, feedback: ir.Table) -> ir.Table:
    """Every statement: `transaction_id`, `is_fraud`, `labelled_at`, in no order.

    Args:
        labels: of the source: `transaction_id`, `is_fraud`, `labelled_at`; any number of rows per payment.
        feedback: of analysts: the same columns.
    """
    return ibis.union(_said(labels), _said(feedback))


def learnt_labels(labels: ir.Table, feedback: ir.Table) -> ir.Table:
    """Return last word: `transaction_id`, `is_fraud`, `labelled_at`, one row per payment of which anything was said.

    `labelled_at` is the moment since which it has been the last word. Arguments as for `all_labels`.
    """
    return latest_labels(all_labels(labels, feedback))


def labelled_features(payments: ir.Table, labels: ir.Table, feedback: ir.Table, asked: ir.Table) -> ir.Table:
    """`models.features.fraud.fraud_features` with what the source and analysts said.

    Args:
        payments: see there.
        labels: as for `all_labels`.
        feedback: as for `all_labels`.
        asked: which payments, `models.features.fraud.asked_payments`.
    """
    since: Any = asked.begin.max()
    return features_between(payments, all_labels(labels, feedback), since, asked.end.max())


def labelled_features_known(payments: ir.Table, labels: ir.Table, feedback: ir.Table, asked: ir.Table) -> ir.Table:
    """`labelled_features` without every payment made, and everything said of one, after `asked.until`."""
    until: Any = asked.until.max()
    made, told, answered = (
        one.filter(getattr(one, name) <= until)
        for one, name in ((payments, "paid_at"), (labels, "labelled_at"), (feedback, "labelled_at"))
    )
    return labelled_features(made, told, answered, asked)


def _said(labels: Any) -> Any:
    return labels.filter(labels.is_fraud.notnull()).select("transaction_id", "is_fraud", "labelled_at")


def _as_attribute(text: str) -> str:
    """`text` without what no attribute of a CloudEvent may hold; customers are named by the senders of payments."""
    return _CONTROL.sub(lambda found: f"%{ord(found.group()):02X}", text)
