"""Features of the fraud model for any history of payments, as one ibis expression over payments and labels.

The same declarations (`fraud_definitions`) are evaluated per event by `models.features.fraud_online`; a test compares
the two row by row.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from models.features.fraud_definitions import DERIVED, FEATURES, WINDOWS
from models.features.windows import MICROS_PER_DAY, Window

__all__ = ["FEATURES", "IDENTITY", "fraud_features"]

#: What names a row, before the features.
IDENTITY = ("transaction_id", "customer_id", "terminal_id", "event_timestamp")
#: Payments of one key at one instant that are told apart by their ids; the order key leaves room for so many.
_PEERS = 1024
_EPOCH = "1970-01-01T00:00:00+00:00"
_FIRST_DAY_OF_WEEKEND = 5  # Monday is 0
_LAST_HOUR_OF_NIGHT = 6


def fraud_features(payments: ir.Table, labels: ir.Table, *, first: date, last: date) -> ir.Table:
    """One row per payment of the days `first`..`last`, ascending by moment and id: `IDENTITY`, then `FEATURES`.

    Args:
        payments: columns `transaction_id` (int64, unique), `customer_id`, `terminal_id`, `paid_at` (µs UTC), `amount`
            (EUR, >= 0); all of the 37 days before `first` too, or windows miss what is not there.
        labels: columns `transaction_id`, `is_fraud`, `labelled_at` (when it became known); one row per payment at most.
        first: first day, UTC.
        last: last day, included.
    """
    rows = _ordered(payments)
    labelled = _risks(rows, labels)
    windows = {one.name: _over(rows, one) for one in WINDOWS if one.aggregate != "share"}
    counted = rows.mutate(**windows).inner_join(labelled, "transaction_id")
    day = counted.paid_at.date()
    asked = counted.filter(day.between(ibis.literal(first), ibis.literal(last)))
    shares = {one.name: _share(asked, one) for one in WINDOWS if one.aggregate == "share"}
    flagged: Any = asked.mutate(
        **shares,
        is_weekend=(asked.paid_at.day_of_week.index() >= _FIRST_DAY_OF_WEEKEND).cast("float64"),
        is_night=(asked.paid_at.hour() <= _LAST_HOUR_OF_NIGHT).cast("float64"),
    )
    derived: Any = flagged.mutate(**{one.name: one.formula(*(flagged[name] for name in one.inputs)) for one in DERIVED})
    named = derived.mutate(
        event_timestamp=derived.paid_at, **{name: derived[name].cast("float64") for name in FEATURES}
    )
    return named.select(*IDENTITY, *FEATURES).order_by(["event_timestamp", "transaction_id"])


def _micros(moment: Any) -> Any:
    return moment.delta(ibis.timestamp(_EPOCH), unit="microsecond")


def _ordered(payments: Any) -> Any:
    """Payments with integer time and money, and an order key in which no two of one customer are equal."""
    cents = (payments.amount * 100).round().cast("int64")
    micros = payments.mutate(micros=_micros(payments.paid_at), cents=cents, amount=cents.cast("float64") / 100.0)
    peers = ibis.window(group_by=[micros.customer_id, micros.micros], order_by=micros.transaction_id)
    return micros.mutate(place=micros.micros * (2 * _PEERS) + ibis.row_number().over(peers))


def _over(rows: Any, one: Window) -> Any:
    """The aggregate of a window over all rows; a `share` is made of two others instead."""
    over = _frame(rows, one)
    count: Any = rows.count().over(over)
    if one.aggregate == "count":
        return count
    values = rows[one.of]
    if one.aggregate == "max":
        return values.max().over(over) / float(one.scale)
    total: Any = values.sum().over(over).cast("float64")
    count = count.cast("float64")
    if one.aggregate == "mean":
        return total / count / float(one.scale)
    squares = (values * values).sum().over(over).cast("float64")
    spread: Any = ibis.greatest(squares - total * total / count, 0.0)
    variance = spread / ibis.greatest(count - 1.0, 1.0)
    return variance.sqrt() / float(one.scale)


def _frame(rows: Any, one: Window) -> Any:
    """The rows of the window, by an integer order key: exact at both ends."""
    if one.delay_days:
        bounds = (-(one.reach_micros - 1), -one.delay_days * MICROS_PER_DAY)
        return ibis.window(group_by=rows[one.key], order_by=rows.micros, range=bounds)
    # The left end falls between two instants for every place among peers, as long as there are fewer than _PEERS.
    return ibis.window(
        group_by=rows[one.key], order_by=rows.place, range=(-(one.reach_micros * 2 * _PEERS - _PEERS), 0)
    )


def _risks(rows: Any, labels: Any) -> Any:
    """Per payment, for each `share` window, the number of its rows that were known to be fraud at its moment.

    A running sum over the few frauds instead of a frame: each enters when it is known and old enough, and leaves when
    its payment is too old. A label that comes late counts from then on, and no earlier.
    """
    shares = [one for one in WINDOWS if one.aggregate == "share"]
    frauds = rows.inner_join(labels.filter(labels.is_fraud), "transaction_id")
    known = ibis.greatest(_micros(frauds.labelled_at), frauds.micros + shares[0].delay_days * MICROS_PER_DAY)
    frauds = frauds.mutate(known=known)
    leaving = {one.name: frauds.micros + one.reach_micros for one in shares}
    nothing = {one.name: ibis.literal(0, "int64") for one in shares}
    moves = [
        frauds.select(
            "terminal_id",
            transaction_id=ibis.null("int64"),
            at=frauds.known,
            is_payment=ibis.literal(0, "int8"),
            **{name: (frauds.known < end).cast("int64") for name, end in leaving.items()},
        )
    ]
    moves += [
        frauds.filter(frauds.known < end).select(
            "terminal_id",
            transaction_id=ibis.null("int64"),
            at=end,
            is_payment=ibis.literal(0, "int8"),
            **{**nothing, name: ibis.literal(-1, "int64")},
        )
        for name, end in leaving.items()
    ]
    payments = rows.select(
        "terminal_id", "transaction_id", at=rows.micros, is_payment=ibis.literal(1, "int8"), **nothing
    )
    moved: Any = ibis.union(payments, *moves)
    so_far = ibis.window(group_by=moved.terminal_id, order_by=[moved["at"], moved.is_payment], rows=(None, 0))
    sums = moved.mutate(**{one.name: moved[one.name].sum().over(so_far) for one in shares})
    return sums.filter(sums.is_payment == 1).select(
        "transaction_id", **{f"{one.name}_frauds": sums[one.name] for one in shares}
    )


def _share(rows: Any, one: Window) -> Any:
    frauds = rows[f"{one.name}_frauds"].cast("float64")
    return frauds / ibis.greatest(_denominator(rows, one), 1).cast("float64")


def _denominator(rows: Any, share: Window) -> Any:
    """The count over the same window, which is a feature too."""
    same = (share.key, share.days, share.delay_days)
    return next(
        rows[one.name] for one in WINDOWS if one.aggregate == "count" and (one.key, one.days, one.delay_days) == same
    )
