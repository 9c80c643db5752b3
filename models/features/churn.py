"""Features and labels of the churn model, as ibis expressions over the table `orders`.

Cut-off t(D) is the last microsecond of day D (UTC), so a window `(t - N days, t]` is the N calendar days that end with
D, and everything is counted in whole days and whole cents: sums of integers do not depend on the order in which
threads add them, hence the same orders give the same bytes. A row counts from the day on which it was both placed and
delivered (`known_on`); what is delivered later can never change the features of D.
"""

# ibis gives the columns of a table no static types.
# pyright: basic

from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from models.features.churn_definitions import CATEGORIES, DEFINITIONS, FEATURES, HISTORY_DAYS
from models.features.cutoffs import Cutoffs, training_cutoffs

__all__ = ["CATEGORIES", "DEFINITIONS", "FEATURES", "Cutoffs", "churn_features", "churn_labels", "training_cutoffs"]

_KEYS = ("customer_id", "feature_date")
_MICROSECONDS_PER_DAY = 86_400_000_000


def churn_features(orders: ir.Table, cutoffs: ir.Table, *, population_days: int) -> ir.Table:
    """One row per cut-off and customer with a purchase in its last `population_days`, ascending by both.

    Columns: `customer_id`, `feature_date`, `event_timestamp` and `created_timestamp` (both t, µs UTC), `FEATURES`,
    `CATEGORIES`. An order is dated by its latest line known at t.

    Args:
        orders: the lake table `orders`.
        cutoffs: one column `feature_date`, distinct days.
        population_days: length of the window that makes a customer active.
    """
    known = _known_orders(orders, cutoffs)
    totals = _totals(known)
    habits = _habits(known)
    products = _products(orders, cutoffs)
    active = totals.filter(totals.newest_age < population_days)
    joined = active.inner_join(habits, _KEYS).inner_join(products, _KEYS)
    return _named(_measured(joined)).order_by(["feature_date", "customer_id"])


def churn_labels(orders: ir.Table, entities: ir.Table, *, horizon_days: int, as_of: date | None = None) -> ir.Table:
    """`entities` with `churned` (int8): 1 if the customer buys nothing in `(event_timestamp, + horizon_days]`.

    Args:
        orders: the lake table `orders`.
        entities: columns `customer_id`, `event_timestamp` and any others; rows are kept, duplicates too, unordered.
        horizon_days: length of the label window; the caller sees to it that it has ended.
        as_of: count only rows delivered up to this day, so that a label never changes later (None: all rows).
    """
    lines: Any = orders
    bought = lines.filter(~lines.is_return)
    if as_of is not None:
        bought = bought.filter(bought.delivered_on <= ibis.literal(as_of))
    bought = bought.select("customer_id", "ordered_at").distinct()
    moments: Any = entities.select("customer_id", "event_timestamp").distinct()
    within = bought.inner_join(
        moments,
        [
            bought.customer_id == moments.customer_id,
            bought.ordered_at > moments.event_timestamp,
            bought.ordered_at <= moments.event_timestamp + ibis.interval(days=horizon_days),
        ],
    )
    stayed = within.select(moments.customer_id, moments.event_timestamp).distinct().mutate(stayed=ibis.literal(True))
    found: Any = entities.left_join(stayed, ["customer_id", "event_timestamp"])
    return found.select(*entities.columns, churned=found.stayed.isnull().cast("int8"))


def _lines(orders: Any) -> Any:
    """Order lines in whole days and cents, with the day from which each is known."""
    ordered_on = orders.ordered_at.date()
    return orders.select(
        "customer_id",
        "order_id",
        "product_id",
        "is_return",
        "ordered_at",
        "country",
        ordered_day=ordered_on.epoch_days(),
        known_on=ibis.greatest(orders.delivered_on, ordered_on),
        items=orders.quantity.cast("int64").abs(),
        cents=(orders.quantity.abs() * orders.unit_price * 100).round().cast("int64"),
    )


def _at_cutoffs(known: Any, cutoffs: Any) -> Any:
    """Each row once per cut-off at which it is known and not too old, with `feature_date` and `cutoff_day`."""
    days = cutoffs.select("feature_date", cutoff_day=cutoffs.feature_date.epoch_days())
    recent = known.ordered_day > days.cutoff_day - HISTORY_DAYS
    return known.inner_join(days, [known.known_on <= days.feature_date, recent])


def _known_orders(orders: Any, cutoffs: Any) -> Any:
    """One row per customer, cut-off and order (purchase or return). `age` 0 is the day of the cut-off."""
    lines = _lines(orders)
    # Orders are added up before they meet the cut-offs: with many cut-offs that is most of the work saved.
    deliveries = lines.group_by("customer_id", "order_id", "is_return", "known_on", "ordered_day").agg(
        ordered_at=lines.ordered_at.max(),
        country=lines.country.max(),
        cents=lines.cents.sum(),
        items=lines["items"].sum(),
        lines=lines.count(),
    )
    seen = _at_cutoffs(deliveries, cutoffs)
    whole = seen.group_by(*_KEYS, "order_id", "is_return").agg(
        ordered_at=seen.ordered_at.max(),
        ordered_day=seen.ordered_day.max(),
        cutoff_day=seen.cutoff_day.max(),
        country=seen.country.max(),
        cents=seen.cents.sum(),
        items=seen["items"].sum(),
        lines=seen.lines.sum(),
    )
    return whole.mutate(age=whole.cutoff_day - whole.ordered_day)


def _totals(known: Any) -> Any:
    """Return count and sums over each customer's orders at each cut-off."""
    bought, returned = ~known.is_return, known.is_return
    age, cents = known.age, known.cents
    micros = known.ordered_at.delta(ibis.timestamp("1970-01-01T00:00:00+00:00"), unit="microsecond")
    weekday = known.ordered_at.day_of_week.index()
    stamped = micros.cast("string").lpad(20, "0").concat(known.country)
    within = {f"orders_{n}": known.count(where=bought & (age < n)) for n in (7, 30, 60, 90, 180)}
    spent = {f"cents_{n}": cents.sum(where=bought & (age < n)) for n in (30, 60, 90, 180)}
    months = {f"month_{n}": (bought & (age >= 30 * n) & (age < 30 * n + 30)).any().cast("int64") for n in range(6)}
    weekdays = {f"weekday_{n}": known.count(where=bought & (weekday == n)) for n in range(7)}
    return known.group_by(*_KEYS).agg(
        **within,
        **spent,
        **months,
        **weekdays,
        newest_age=age.min(where=bought),
        first_micros=micros.min(where=bought),
        last_micros=micros.max(where=bought),
        cutoff_day=known.cutoff_day.max(),
        orders_total=known.count(where=bought),
        cents_total=cents.sum(where=bought),
        items_total=known["items"].sum(where=bought),
        lines_total=known.lines.sum(where=bought),
        hours_total=known.ordered_at.hour().cast("int64").sum(where=bought),
        returns_total=known.count(where=returned),
        returned_cents=cents.sum(where=returned),
        returned_cents_90=cents.sum(where=returned & (age < 90)),
        orders_before_90=known.count(where=bought & (age >= 90) & (age < 180)),
        cents_before_90=cents.sum(where=bought & (age >= 90) & (age < 180)),
        last_country=stamped.max(where=bought),
    )


def _habits(known: Any) -> Any:
    """Return the rhythm of each customer's purchase days at each cut-off."""
    bought = known.filter(~known.is_return)
    days = bought.group_by(*_KEYS, "ordered_day").agg(age=bought.age.max(), cents=bought.cents.sum())
    ordered = ibis.window(group_by=list(_KEYS), order_by="ordered_day")
    days = days.mutate(
        gap=days.ordered_day - days.ordered_day.lag().over(ordered),
        newest=days.ordered_day.lead().over(ordered).isnull(),
    )
    return days.group_by(*_KEYS).agg(
        purchase_days_90=(days.age < 90).sum(),
        purchase_days_total=days.count(),
        gaps=days.gap.count(),
        gap_sum=days.gap.sum(),
        gap_square_sum=(days.gap * days.gap).sum(),
        gap_max=days.gap.max(),
        gap_last=days.gap.max(where=days.newest),
        last_cents=days.cents.max(where=days.newest),
    )


def _products(orders: Any, cutoffs: Any) -> Any:
    """Count the different products that each customer had bought at each cut-off."""
    lines = _lines(orders.filter(~orders.is_return))
    seen = _at_cutoffs(lines.select("customer_id", "product_id", "known_on", "ordered_day"), cutoffs)
    age = seen.cutoff_day - seen.ordered_day
    each = seen.group_by(*_KEYS, "product_id").agg(oldest_age=age.max(), newest_age=age.min())
    return each.group_by(*_KEYS).agg(
        products_90=(each.newest_age < 90).sum(),
        products_total=each.count(),
        new_products_90=(each.oldest_age < 90).sum(),
    )


def _ratio(top: Any, bottom: Any) -> Any:
    return top.cast("float64") / bottom.cast("float64").nullif(0.0)


def _measured(t: Any) -> Any:
    """Everything that is a ratio of counts and sums."""
    end = (t.cutoff_day + 1) * _MICROSECONDS_PER_DAY - 1
    gap_mean = _ratio(t.gap_sum, t.gaps)
    variance = _ratio(t.gaps * t.gap_square_sum - t.gap_sum * t.gap_sum, t.gaps * (t.gaps - 1))
    t = t.mutate(
        recency_days=_ratio(end - t.last_micros, ibis.literal(_MICROSECONDS_PER_DAY)),
        tenure_days=_ratio(end - t.first_micros, ibis.literal(_MICROSECONDS_PER_DAY)),
        gap_mean_days=gap_mean,
        gap_std_days=variance.sqrt(),
        **{f"spend_{n}": t[f"cents_{n}"].fill_null(0).cast("float64") / 100 for n in (30, 90, 180, "total")},
    )
    return t.mutate(_recency_features(t) | _basket_features(t) | _change_features(t) | _time_of_week_features(t))


def _recency_features(t: Any) -> dict[str, Any]:
    return {
        "recency_share": _ratio(t.recency_days, t.tenure_days),
        "orders_per_30_days": t.orders_total * 30.0 / ibis.greatest(t.tenure_days, 30.0),
        "active_months_180": sum((t[f"month_{n}"] for n in range(1, 6)), t.month_0),
        "gap_last_days": t.gap_last,
        "gap_max_days": t.gap_max,
        "overdue_ratio": _ratio(t.recency_days, t.gap_mean_days),
        "overdue_z": _ratio(t.recency_days - t.gap_mean_days, t.gap_std_days),
    }


def _basket_features(t: Any) -> dict[str, Any]:
    return {
        "basket_value_mean": _ratio(t.spend_total, t.orders_total),
        "basket_value_mean_90": _ratio(t.spend_90, t.orders_90),
        "basket_value_last": t.last_cents.cast("float64") / 100,
        "basket_value_last_ratio": _ratio(t.last_cents * t.purchase_days_total, t.cents_total),
        "basket_lines_mean": _ratio(t.lines_total, t.orders_total),
        "basket_items_mean": _ratio(t.items_total, t.orders_total),
        "unit_price_mean": _ratio(t.spend_total, t.items_total),
        "products_per_line": _ratio(t.products_total, t.lines_total),
        "new_product_share_90": _ratio(t.new_products_90, t.products_90),
    }


def _change_features(t: Any) -> dict[str, Any]:
    def trend(now: Any, before: Any) -> Any:
        return _ratio(now.fill_null(0) - before.fill_null(0), now.fill_null(0) + before.fill_null(0))

    return {
        "orders_trend_30": trend(t.orders_30, t.orders_60 - t.orders_30),
        "orders_trend_90": trend(t.orders_90, t.orders_before_90),
        "spend_trend_30": trend(t.cents_30, t.cents_60 - t.cents_30.fill_null(0)),
        "spend_trend_90": trend(t.cents_90, t.cents_before_90),
        "return_count_share": _ratio(t.returns_total, t.orders_total + t.returns_total),
        "return_value_share": _ratio(t.returned_cents.fill_null(0), t.cents_total),
        "return_value_share_90": _ratio(t.returned_cents_90.fill_null(0), t.cents_90),
    }


def _time_of_week_features(t: Any) -> dict[str, Any]:
    return {
        "weekend_share": _ratio(t.weekday_5 + t.weekday_6, t.orders_total),
        "weekday_top_share": _ratio(ibis.greatest(*(t[f"weekday_{n}"] for n in range(7))), t.orders_total),
        "hour_mean": _ratio(t.hours_total, t.orders_total),
    }


def _named(t: Any) -> Any:
    moment = t.feature_date.cast("timestamp('UTC')") + ibis.interval(days=1) - ibis.interval(microseconds=1)
    return t.select(
        "customer_id",
        "feature_date",
        event_timestamp=moment,
        created_timestamp=moment,
        **{name: t[name].cast("float64") for name in FEATURES},
        country=t.last_country.substr(20),
    )
