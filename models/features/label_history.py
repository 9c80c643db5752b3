"""Fraud labels over time: each statement about a payment replaces earlier ones from its own timestamp on.

Statements are a set, so neither their order of arrival nor repeated deliveries matter. Of statements with the same
timestamp, one that says fraud counts. A statement is one integer, `2 * timestamp + is_fraud` (in µs since 1970, UTC):
the largest one not beyond `2 * t + 1` is the label known at time t.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

__all__ = ["epoch_us", "fraud_spans", "latest_labels", "statements"]


@ibis.udf.scalar.builtin(signature=((dt.Timestamp(timezone="UTC"),), dt.int64))
def epoch_us(moment: Any) -> Any:
    """µs since 1970. (A difference to 1970, which ibis has, takes the engine five times as long.)"""


def statements(labels: Any) -> Any:
    """`transaction_id` and `said`, the integer of a statement; each statement once.

    Args:
        labels: `transaction_id`, `is_fraud`, `labelled_at`; any number of rows per payment.
    """
    known = labels.filter(labels.is_fraud.notnull())
    at: Any = epoch_us(known.labelled_at)
    return known.select("transaction_id", said=at * 2 + known.is_fraud.cast("int64")).distinct()


def fraud_spans(labels: ir.Table) -> ir.Table:
    """`transaction_id`, `since` and `until` (µs, excluded; NULL if it lasts): when payments counted as fraud.

    One row per span; none of payments that were never labelled as fraud. Arguments as for `statements`.
    """
    known: Any = labels
    frauds = known.filter(known.is_fraud).select("transaction_id").distinct()
    turns = _turns(known.semi_join(frauds, "transaction_id"))
    return turns.filter(turns.is_fraud).select(
        "transaction_id", since=epoch_us(turns.labelled_at), until=epoch_us(turns.replaced_at)
    )


def latest_labels(labels: ir.Table) -> ir.Table:
    """`transaction_id`, `is_fraud`, `labelled_at`: the last word on each payment, and since when it has been that.

    Arguments as for `statements`.
    """
    turns = _turns(labels)
    return turns.filter(turns.replaced_at.isnull()).select("transaction_id", "is_fraud", "labelled_at")


def _turns(labels: Any) -> Any:
    """Return first statement on each payment, and those that say otherwise; `replaced_at`: by the next one, or NULL."""
    known = labels.filter(labels.is_fraud.notnull())
    moments = known.group_by("transaction_id", "labelled_at").agg(is_fraud=known.is_fraud.any())
    before = moments.mutate(before=moments.is_fraud.lag().over(_in_time(moments)))
    turns = before.filter(before.before.isnull() | (before.before != before.is_fraud))
    return turns.mutate(replaced_at=turns.labelled_at.lead().over(_in_time(turns)))


def _in_time(rows: Any) -> Any:
    return ibis.window(group_by=rows.transaction_id, order_by=rows.labelled_at)
