"""Features and labels of the demand model: units of a product, as ibis expressions over the table `orders`.

A period is as long as the horizon, 7 days by default; the last one ends with the day of the cut-off
(`models/features/purchases.py`). Returns are not subtracted: demand is what is ordered.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from models.features.demand_definitions import BEFORE, FEATURES, WINDOWS, YEAR_DAYS
from models.features.purchases import end_of_day, number, purchases_after, purchases_before


def demand_features(orders: Any, cutoffs: Any, *, population_days: int, horizon_days: int) -> ir.Table:
    """One row per cut-off and product sold in its last `population_days`, ascending by both.

    Columns: `product_id`, `feature_date`, `event_timestamp` (t, µs UTC), `FEATURES`, `seasonal_naive`.
    """
    known = purchases_before(orders, cutoffs, "product_id", history_days=YEAR_DAYS)  # nothing older shapes a feature
    age, units, period, longest = known.age, known.units, horizon_days, horizon_days * WINDOWS[-1]
    sums: dict[str, Any] = {}
    for n in WINDOWS:
        within = age < n * period
        sums |= {f"units_last_{n}": units.sum(where=within), f"lines_last_{n}": known.lines.sum(where=within)}
        sums[f"days_sold_last_{n}"] = known.count(where=within)
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
        event_timestamp=end_of_day(found.feature_date),
        **{name: number(found[name]) for name in FEATURES},
        seasonal_naive=number(ibis.ifelse(has_year, found.same_period_last_year, found.units_last_1)),
    ).order_by(["feature_date", "product_id"])


def demand_labels(orders: Any, entities: Any, *, horizon_days: int, as_of: date) -> ir.Table:
    """`entities` with `units` (float64) ordered in `(event_timestamp, + horizon_days]` and delivered by `as_of`."""
    found = purchases_after(orders, entities, "product_id", horizon_days=horizon_days, as_of=as_of)
    return found.select(*entities.columns, units=number(found.units))
