"""Features of the fraud model for any history of payments, as one ibis expression over payments and labels.

The same declarations (`fraud_definitions`) are evaluated per event by `models.features.fraud_online`; a test compares
the two row by row.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from models.features.fraud_definitions import DERIVED, FEATURES, WINDOWS
from models.features.label_history import epoch_us, fraud_spans
from models.features.windows import MICROS_PER_DAY, Window

__all__ = ["FEATURES", "IDENTITY", "asked_payments", "features_between", "fraud_features"]

#: What names a row, before the features.
IDENTITY = ("transaction_id", "customer_id", "terminal_id", "event_timestamp")
#: Aggregates made of a window's size (and its frauds) once all windows are there: sorts carry fewer columns.
_OF_SIZE = ("count", "share")
#: 1970-01-01 was a Thursday, whose distance from Monday this is; and that of Saturday.
_THURSDAY, _WEEKEND = 3 * MICROS_PER_DAY, 5 * MICROS_PER_DAY
_NIGHT_MICROS = 7 * 3_600_000_000


def fraud_features(payments: ir.Table, labels: ir.Table, *, first: date, last: date) -> ir.Table:
    """One row per payment of the days `first`..`last`, ascending by moment and id: `IDENTITY`, then `FEATURES`.

    Args:
        payments: columns `transaction_id` (int64, unique), `customer_id`, `terminal_id`, `paid_at` (µs UTC), `amount`
            (EUR, >= 0); all of the 37 days before `first` too, or windows miss what is not there.
        labels: columns `transaction_id`, `is_fraud`, `labelled_at` (when it became known); of several rows of one
            payment, each replaces those before it from its own moment on (`models.features.label_history`).
        first: first day, UTC.
        last: last day, included.
    """
    return features_between(payments, labels, _begin(first), _begin(last) + MICROS_PER_DAY)


def features_between(payments: ir.Table, labels: ir.Table, begin: Any, end: Any) -> ir.Table:
    """As `fraud_features`, one row per payment since `begin` and before `end`: µs since 1970, numbers or scalars."""
    rows: Any = exact(payments)
    # The terminals' windows first: each next sort carries all columns that were added before it.
    counted = _windows_of(_windows_of(rows, "terminal_id"), "customer_id")
    counted = counted.left_join(_frauds(rows, labels), "transaction_id")
    asked = counted.filter(counted.micros >= begin, counted.micros < end)
    of_sizes = {one.name: _of_size(asked, one) for one in WINDOWS if one.aggregate in _OF_SIZE}
    flagged: Any = asked.mutate(
        **of_sizes,
        amount=asked.cents.cast("float64") / 100.0,
        is_weekend=((asked.micros + _THURSDAY) % (7 * MICROS_PER_DAY) >= _WEEKEND).cast("float64"),
        is_night=(asked.micros % MICROS_PER_DAY < _NIGHT_MICROS).cast("float64"),
    )
    derived: Any = flagged.mutate(**{one.name: one.formula(*(flagged[name] for name in one.inputs)) for one in DERIVED})
    named = derived.mutate(
        event_timestamp=derived.paid_at, **{name: derived[name].cast("float64") for name in FEATURES}
    )
    return named.select(*IDENTITY, *FEATURES).order_by(["event_timestamp", "transaction_id"])


def asked_payments(first: date, last: date, until: datetime | None = None) -> pa.Table:
    """One row that says which payments: `begin` and `end` of `features_between`, and `until`, UTC.

    A table, so that the SQL of the features is the same for all days: compiling it takes half a second.
    """
    return pa.table(
        {
            "begin": pa.array([_begin(first)], pa.int64()),
            "end": pa.array([_begin(last) + MICROS_PER_DAY], pa.int64()),
            "until": pa.array([until], pa.timestamp("us", "UTC")),
        }
    )


def _begin(day: date) -> int:
    return (day - date(1970, 1, 1)).days * MICROS_PER_DAY


def exact(payments: Any) -> Any:
    """Payments with integer time and money: the keys, `paid_at`, `micros` (µs since 1970, UTC), `cents` (EUR cents)."""
    return payments.select(
        "transaction_id",
        "customer_id",
        "terminal_id",
        "paid_at",
        micros=epoch_us(payments.paid_at),
        cents=(payments.amount * 100).round().cast("int64"),
    )


def _windows_of(rows: Any, key: str) -> Any:
    """Return the rows with the size of every window of a key, and what is aggregated over more than its size."""
    windows = [one for one in WINDOWS if one.key == key]
    sized = rows.mutate(**{_size(one): _rows_in(rows, one) for one in windows})
    return sized.mutate(**{one.name: _aggregate(sized, one) for one in windows if one.aggregate not in _OF_SIZE})


def _size(one: Window) -> str:
    """Column with the number of rows in the window; others of this key may have the same."""
    return f"{one.key}_rows_{one.days}d_{one.delay_days}d_ago"


def _rows_in(rows: Any, one: Window) -> Any:
    if one.delay_days:
        return rows.count().over(_delayed(rows, one))
    # Those up to the row itself without those too old: cheaper than a frame of time in which no two rows are equal.
    until: Any = ibis.row_number().over(ibis.window(group_by=rows[one.key], order_by=_in_order(rows)))
    too_old = ibis.window(group_by=rows[one.key], order_by=rows.micros, range=(None, -one.reach_micros))
    return until + 1 - rows.count().over(too_old)


def _aggregate(rows: Any, one: Window) -> Any:
    over, values = _frame(rows, one), rows[one.of]
    if one.aggregate == "max":
        return values.max().over(over) / float(one.scale)
    total: Any = values.sum().over(over).cast("float64")
    count = rows[_size(one)].cast("float64")
    if one.aggregate == "mean":
        return total / count / float(one.scale)
    squares = (values * values).sum().over(over).cast("float64")
    spread: Any = ibis.greatest(squares - total * total / count, 0.0)
    variance = spread / ibis.greatest(count - 1.0, 1.0)
    return variance.sqrt() / float(one.scale)


def _frame(rows: Any, one: Window) -> Any:
    """Return the rows of the window, exact at both ends."""
    if one.delay_days:
        return _delayed(rows, one)
    back = rows[_size(one)] - 1
    return ibis.window(group_by=rows[one.key], order_by=_in_order(rows), preceding=back, following=0)


def _delayed(rows: Any, one: Window) -> Any:
    bounds = (-(one.reach_micros - 1), -one.delay_days * MICROS_PER_DAY)
    return ibis.window(group_by=rows[one.key], order_by=rows.micros, range=bounds)


def _in_order(rows: Any) -> list[Any]:
    """Return an order in which no two rows of a key are equal."""
    return [rows.micros, rows.transaction_id]


def _frauds(rows: Any, labels: Any) -> Any:
    """For each `share` window, the number of its rows that were known to be fraud at a payment's moment.

    A running sum over the few frauds instead of a frame: each enters when it is known and old enough, and leaves when
    its payment is too old or a later label takes it back. A label that comes late counts from then on, and no earlier.
    Only payments at terminals that ever had a fraud are there.
    """
    shares = [one for one in WINDOWS if one.aggregate == "share"]
    frauds = rows.inner_join(fraud_spans(labels), "transaction_id")
    known = ibis.greatest(frauds.since, frauds.micros + shares[0].delay_days * MICROS_PER_DAY)
    frauds = frauds.mutate(known=known)
    too_old = {one.name: frauds.micros + one.reach_micros for one in shares}
    leaving = {name: ibis.least(ibis.coalesce(frauds.until, end), end) for name, end in too_old.items()}
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
    touched = rows.semi_join(frauds, "terminal_id")
    payments = touched.select(
        "terminal_id", "transaction_id", at=touched.micros, is_payment=ibis.literal(1, "int8"), **nothing
    )
    moved: Any = ibis.union(payments, *moves)
    so_far = ibis.window(group_by=moved.terminal_id, order_by=[moved["at"], moved.is_payment], rows=(None, 0))
    sums = moved.mutate(**{one.name: moved[one.name].sum().over(so_far) for one in shares})
    return sums.filter(sums.is_payment == 1).select(
        "transaction_id", **{f"{one.name}_frauds": sums[one.name] for one in shares}
    )


def _of_size(rows: Any, one: Window) -> Any:
    size = rows[_size(one)]
    if one.aggregate == "count":
        return size
    return ibis.coalesce(rows[f"{one.name}_frauds"], 0).cast("float64") / ibis.greatest(size, 1).cast("float64")
