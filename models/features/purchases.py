"""Purchases before and after a cut-off, of whatever key: parts of features and labels over the table `orders`.

Cut-off t(D) is the last microsecond of day D (UTC). A line counts from the day on which it was both placed and
delivered; what is delivered later can never change the features of D. Returns are neither purchases nor subtracted.
Everything is counted in whole days, units and cents: sums of integers do not depend on the order of the rows.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date
from typing import Any

import ibis


def purchases_before(orders: Any, cutoffs: Any, key: str, *, history_days: int) -> Any:
    """One row per cut-off, `key` and purchase day that was known by then and is at most `history_days` before it.

    Columns: `key`, `feature_date`, `age` (days before the cut-off's day), `lines`, `units`, `cents`: whole numbers.
    """
    bought = orders.filter(~orders.is_return)
    placed = bought.ordered_at.date()
    lines = bought.select(
        key,
        day=placed.epoch_days(),
        known_on=ibis.greatest(bought.delivered_on, placed),
        units=bought.quantity.cast("int64").abs(),
        cents=(bought.quantity.abs() * bought.unit_price * 100).round().cast("int64"),
    )
    known = lines.inner_join(cutoffs.select("feature_date"), [lines.known_on <= cutoffs.feature_date])
    days = known.group_by(key, "feature_date", "day").agg(
        units=known.units.sum(), cents=known.cents.sum(), lines=known.count()
    )
    aged = days.select(key, "feature_date", "lines", "units", "cents", age=days.feature_date.epoch_days() - days.day)
    return aged.filter(aged.age >= 0, aged.age <= history_days)


def purchases_after(orders: Any, entities: Any, key: str, *, horizon_days: int, as_of: date) -> Any:
    """Add the purchases in `(event_timestamp, + horizon_days]` that were delivered by `as_of` to `entities`.

    Columns: those of `entities`, whose rows are kept, then `lines`, `units` and `cents` (whole numbers, 0 for none).
    """
    lines = orders.filter(~orders.is_return, orders.delivered_on <= ibis.literal(as_of))
    cutoffs = entities.select(key, "event_timestamp").distinct()
    within = lines.inner_join(
        cutoffs,
        [
            lines[key] == cutoffs[key],
            lines.ordered_at > cutoffs.event_timestamp,
            lines.ordered_at <= cutoffs.event_timestamp + ibis.interval(days=horizon_days),
        ],
    )
    found = within.group_by(cutoffs[key], cutoffs.event_timestamp).agg(
        lines=within.count(),
        units=within.quantity.cast("int64").abs().sum(),
        cents=(within.quantity.abs() * within.unit_price * 100).round().cast("int64").sum(),
    )
    joined = entities.left_join(found, [key, "event_timestamp"])
    counts = {name: joined[name].fill_null(0).cast("int64") for name in ("lines", "units", "cents")}
    return joined.select(*entities.columns, **counts)


def end_of_day(day: Any) -> Any:
    """Return the cut-off t of a day: its last microsecond (UTC)."""
    return day.cast("timestamp('UTC')") + ibis.interval(days=1) - ibis.interval(microseconds=1)


def number(column: Any) -> Any:
    """Return the column as float64, with 0 for NULL."""
    return column.fill_null(0).cast("float64")
