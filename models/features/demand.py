"""Features and labels of the demand model: units of a product, as ibis expressions over the table `orders`.

Cut-off t(D) is the last microsecond of day D (UTC). A period is as long as the horizon, 7 days by default; the last
one ends with D. A line counts from the day on which it was both placed and delivered. Returns are not subtracted:
demand is what is ordered.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from models.features.demand_definitions import BEFORE, FEATURES, WINDOWS, YEAR_DAYS


def demand_features(orders: Any, cutoffs: Any, *, population_days: int, horizon_days: int) -> ir.Table:
    """One row per cut-off and product sold in its last `population_days`, ascending by both.

    Columns: `product_id`, `feature_date`, `event_timestamp` (t, µs UTC), `FEATURES`, `seasonal_naive`.
    """
    known = _known_sales(orders, cutoffs)
    age, units, period, longest = known.age, known.units, horizon_days, horizon_days * WINDOWS[-1]
    sums: dict[str, Any] = {}
    for n in WINDOWS:
        within = age < n * period
        sums |= {f"units_last_{n}": units.sum(where=within), f"lines_last_{n}": known.lines.sum(where=within)}
        sums[f"days_sold_last_{n}"] = known.day.nunique(where=within)
    for n in BEFORE:
        sums[f"units_{n}_before"] = units.sum(where=(age >= n * period) & (age < (n + 1) * period))
    found: Any = known.group_by("product_id", "feature_date").agg(
        **sums,
        recency_days=age.min(),
        tenure_days=age.max(),
        units_max_day=units.max(where=age < longest),
        price_mean=known.cents.sum(where=age < longest) / 100.0 / units.sum(where=age < longest).nullif(0),
        same_period_last_year=units.sum(where=(age >= YEAR_DAYS - period) & (age < YEAR_DAYS)),
    )
    found = found.filter(found.recency_days < population_days)
    has_year = found.tenure_days >= YEAR_DAYS - 1
    return found.select(
        "product_id",
        "feature_date",
        event_timestamp=_cutoff(found.feature_date),
        **{name: _number(found[name]) for name in FEATURES},
        seasonal_naive=_number(ibis.ifelse(has_year, found.same_period_last_year, found.units_last_1)),
    ).order_by(["feature_date", "product_id"])


def demand_labels(orders: Any, entities: Any, *, horizon_days: int, as_of: date) -> ir.Table:
    """`entities` with `units` (float64) ordered in `(event_timestamp, + horizon_days]` and delivered by `as_of`."""
    lines = orders.filter(~orders.is_return, orders.delivered_on <= ibis.literal(as_of))
    cutoffs = entities.select("product_id", "event_timestamp").distinct()
    within = lines.inner_join(
        cutoffs,
        [
            lines.product_id == cutoffs.product_id,
            lines.ordered_at > cutoffs.event_timestamp,
            lines.ordered_at <= cutoffs.event_timestamp + ibis.interval(days=horizon_days),
        ],
    )
    sold = within.group_by(cutoffs.product_id, cutoffs.event_timestamp).agg(units=within.quantity.abs().sum())
    found = entities.left_join(sold, ["product_id", "event_timestamp"])
    return found.select(*entities.columns, units=_number(found.units))


def _known_sales(orders: Any, cutoffs: Any) -> Any:
    """Units, lines and value (cents) of each cut-off, product and day, from purchases known by then; `age` in days."""
    bought = orders.filter(~orders.is_return)
    placed = bought.ordered_at.date()
    lines = bought.select(
        "product_id",
        day=placed.epoch_days(),
        known_on=ibis.greatest(bought.delivered_on, placed),
        units=bought.quantity.cast("int64").abs(),
        cents=(bought.quantity.abs() * bought.unit_price * 100).round().cast("int64"),
    )
    known = lines.inner_join(cutoffs.select("feature_date"), [lines.known_on <= cutoffs.feature_date])
    days = known.group_by("product_id", "feature_date", "day").agg(
        units=known.units.sum(), cents=known.cents.sum(), lines=known.count()
    )
    aged = days.mutate(age=days.feature_date.epoch_days() - days.day)
    return aged.filter(aged.age >= 0, aged.age <= YEAR_DAYS)  # nothing older shapes a feature


def _number(column: Any) -> Any:
    return column.fill_null(0).cast("float64")


def _cutoff(day: Any) -> Any:
    return day.cast("timestamp('UTC')") + ibis.interval(days=1) - ibis.interval(microseconds=1)
