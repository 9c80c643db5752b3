"""Profiles of customers, as an ibis expression over the table `orders`; windows end with the day of the cut-off."""

# ibis gives the columns of a table no static types.
# pyright: basic

from typing import Any

import ibis
import ibis.expr.types as ir

from models.features.personalization_definitions import FEATURES, WINDOWS, YEAR_DAYS
from models.features.purchases import end_of_day, number

_KEYS = ("customer_id", "feature_date")


def personalization_features(orders: Any, cutoffs: Any, *, population_days: int) -> ir.Table:
    """One row per cut-off and customer with a purchase in its last `population_days`, ascending by both.

    Columns: `customer_id`, `feature_date`, `event_timestamp` and `created_timestamp` (t, µs UTC), `country` of the
    newest line, `FEATURES`.
    """
    lines = _known(orders, cutoffs)
    days = lines.group_by(*_KEYS, "age").agg(lines=lines.count(), units=lines.units.sum(), cents=lines.cents.sum())
    sums: dict[str, Any] = {}
    for n in WINDOWS:
        sums |= {f"orders_days_{n}": days.count(where=days.age < n), f"lines_{n}": days.lines.sum(where=days.age < n)}
    found: Any = days.group_by(*_KEYS).agg(
        **sums,
        recency_days=days.age.min(),
        tenure_days=days.age.max(),
        price_mean=days.cents.sum() / 100.0 / days.units.sum().nullif(0),
    )
    of_products = lines.group_by(*_KEYS).agg(
        products=lines.product_id.nunique(), country=lines.country.argmax(lines.place)
    )
    joined: Any = found.filter(found.recency_days < population_days).inner_join(of_products, _KEYS)
    moment = end_of_day(joined.feature_date)
    return joined.select(
        *_KEYS,
        "country",
        event_timestamp=moment,
        created_timestamp=moment,
        **{name: number(joined[name]) for name in FEATURES},
    ).order_by(["feature_date", "customer_id"])


def _known(orders: Any, cutoffs: Any) -> Any:
    """Return the purchases that were known at each cut-off; `place` orders the lines of a customer in time."""
    bought = orders.filter(~orders.is_return)
    placed = bought.ordered_at.date()
    lines = bought.select(
        "customer_id",
        "product_id",
        "country",
        place=bought.ordered_at.cast("string") + "|" + bought.order_line_id,
        day=placed.epoch_days(),
        known_on=ibis.greatest(bought.delivered_on, placed),
        units=bought.quantity.cast("int64").abs(),
        cents=(bought.quantity.abs() * bought.unit_price * 100).round().cast("int64"),
    )
    known = lines.inner_join(cutoffs.select("feature_date"), [lines.known_on <= cutoffs.feature_date])
    aged = known.mutate(age=known.feature_date.epoch_days() - known.day)
    return aged.filter(aged.age >= 0, aged.age < YEAR_DAYS)
