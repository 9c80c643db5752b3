"""What is known of a payment when the source and analysts both say whether it was fraud.

Neither rule depends on the order in which anything was said or arrives: the stream, which meets labels one by one, and
a query over all of them end at the same values.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from models.alerts import Feedback, Verdict
from models.events import Event
from models.features.fraud import fraud_features
from models.payments import LABEL

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
    """These answers as rows, in `FEEDBACK`."""
    return pa.Table.from_pylist([{name: getattr(one, name) for name in FEEDBACK.names} for one in said], FEEDBACK)


def event_of(said: Feedback) -> Event:
    """The event that tells the stream; of the same answer it is always the same one, so publishing it twice is once."""
    verdict: Verdict = "fraud" if said.is_fraud else "ok"
    return Event(
        id=_as_attribute(f"{said.alert_id}/{said.transaction_id}/{verdict}"),
        source="/alerts",
        type=LABEL,
        time=said.labelled_at,
        subject=_as_attribute(said.customer_id),
        data={"transaction_id": said.transaction_id, "is_fraud": said.is_fraud},
    )


def known_frauds(labels: ir.Table, feedback: ir.Table) -> ir.Table:
    """For the windows: `transaction_id`, `is_fraud` (always true), `labelled_at`, one row per payment called fraud.

    It counts from the first moment that anybody called it so; `ok` never takes that back. What the windows of later
    payments saw stays what they were scored with.

    Args:
        labels: of the source: `transaction_id`, `is_fraud`, `labelled_at`.
        feedback: of analysts: the same columns.
    """
    said: Any = ibis.union(*(_said(one).filter(one.is_fraud) for one in (labels, feedback)))
    first = said.group_by("transaction_id").agg(labelled_at=said.labelled_at.min())
    return first.mutate(is_fraud=ibis.literal(value=True))


def learnt_labels(labels: ir.Table, feedback: ir.Table) -> ir.Table:
    """To learn from: `transaction_id`, `is_fraud`, `labelled_at`, one row per payment of which anything was said.

    The source's label counts where there is one, else the analysts' (fraud, if one of them said so); `labelled_at` is
    the first moment that anybody said what counts. Arguments as for `known_frauds`.
    """
    said: Any = ibis.union(
        _said(labels).mutate(by_source=ibis.literal(value=True)),
        _said(feedback).mutate(by_source=ibis.literal(value=False)),
    )
    told: Any = said.group_by("transaction_id").agg(
        source=said.is_fraud.any(where=said.by_source),
        analysts=said.is_fraud.any(where=~said.by_source),
        fraud_at=said.labelled_at.min(where=said.is_fraud),
        ok_at=said.labelled_at.min(where=~said.is_fraud),
    )
    is_fraud: Any = ibis.coalesce(told.source, told.analysts)
    return told.select("transaction_id", is_fraud=is_fraud, labelled_at=is_fraud.ifelse(told.fraud_at, told.ok_at))


def labelled_features(payments: ir.Table, labels: ir.Table, feedback: ir.Table, *, first: date, last: date) -> ir.Table:
    """`models.features.fraud.fraud_features` with what the source and analysts said."""
    return fraud_features(payments, known_frauds(labels, feedback), first=first, last=last)


def _said(labels: Any) -> Any:
    return labels.filter(labels.is_fraud.notnull()).select("transaction_id", "is_fraud", "labelled_at")


def _as_attribute(text: str) -> str:
    """`text` without what no attribute of a CloudEvent may hold; customers are named by whoever sends payments."""
    return _CONTROL.sub(lambda found: f"%{ord(found.group()):02X}", text)
