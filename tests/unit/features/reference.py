"""The churn features once more, in slow plain Python straight from their definitions: windows are compared as moments,
money is added in exact fractions, and no code is shared with `models.features.churn`.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import mean, stdev
from typing import Any, NamedTuple

from tests.unit.features.orders import Line


class Order(NamedTuple):
    at: datetime
    value: Fraction
    pieces: int
    lines: Sequence[Line]
    country: str


def end_of(day: date) -> datetime:
    return datetime.combine(day, time(23, 59, 59, 999999), UTC)


def orders_of(lines: Sequence[Line], *, returns: bool) -> list[Order]:
    grouped: dict[str, list[Line]] = {}
    for line in lines:
        if line.is_return == returns:
            grouped.setdefault(line.order, []).append(line)
    return [
        Order(
            max(line.ordered_at for line in group),
            sum((Fraction(line.pieces * line.price_cents, 100) for line in group), Fraction(0)),
            sum(line.pieces for line in group),
            group,
            max(line.country for line in group),
        )
        for group in grouped.values()
    ]


def days_between(later: datetime, earlier: datetime) -> float:
    return (later - earlier) / timedelta(days=1)


def ratio(top: Any, bottom: Any) -> float | None:
    return None if top is None or not bottom else float(top / bottom)


def trend(now: Any, before: Any) -> float | None:
    return ratio(now - before, now + before)


def reference_features(lines: Sequence[Line], customer: str, day: date, population_days: int) -> dict[str, Any] | None:
    """The features of one customer at the end of one day, or None if the customer is not in scope."""
    t = end_of(day)
    known = [
        x
        for x in lines
        if x.customer == customer and x.delivered_on <= day and t - timedelta(days=365) < x.ordered_at <= t
    ]
    orders, returns = orders_of(known, returns=False), orders_of(known, returns=True)
    if not any(t - timedelta(days=population_days) < order.at for order in orders):
        return None

    def window(days: int, skip: int = 0, of: Sequence[Order] = orders) -> list[Order]:
        return [x for x in of if t - timedelta(days=days + skip) < x.at <= t - timedelta(days=skip)]

    def value(of: Sequence[Order]) -> Fraction:
        return sum((order.value for order in of), Fraction(0))

    newest, oldest = max(order.at for order in orders), min(order.at for order in orders)
    recency, tenure = days_between(t, newest), days_between(t, oldest)
    dates = sorted({order.at.date() for order in orders})
    gaps = [(b - a).days for a, b in pairwise(dates)]
    spread = stdev(gaps) if len(gaps) > 1 else None
    last_day = value([order for order in orders if order.at.date() == dates[-1]])
    bought = [line for order in orders for line in order.lines]
    first_of: dict[str, date] = {}
    last_of: dict[str, date] = {}
    for line in bought:
        on = line.ordered_at.date()
        first_of[line.product] = min(on, first_of.get(line.product, on))
        last_of[line.product] = max(on, last_of.get(line.product, on))
    horizon = t - timedelta(days=90)
    products_90 = [p for p, on in last_of.items() if end_of(on) > horizon]
    new_90 = [p for p, on in first_of.items() if end_of(on) > horizon]
    weekdays = Counter(order.at.weekday() for order in orders)
    pieces = sum(order.pieces for order in orders)
    return {
        "recency_days": recency,
        "tenure_days": tenure,
        "recency_share": ratio(recency, tenure),
        **{f"orders_{n}": len(window(n)) for n in (7, 30, 90, 180)},
        "orders_total": len(orders),
        "orders_per_30_days": 30 * len(orders) / max(30, tenure),
        "purchase_days_90": len({order.at.date() for order in window(90)}),
        "purchase_days_total": len(dates),
        "active_months_180": sum(bool(window(30, skip=30 * n)) for n in range(6)),
        **{f"spend_{n}": float(value(window(n))) for n in (30, 90, 180)},
        "spend_total": float(value(orders)),
        "basket_value_mean": ratio(value(orders), len(orders)),
        "basket_value_mean_90": ratio(value(window(90)), len(window(90))),
        "basket_value_last": float(last_day),
        "basket_value_last_ratio": ratio(last_day * len(dates), value(orders)),
        "basket_lines_mean": len(bought) / len(orders),
        "basket_items_mean": pieces / len(orders),
        "unit_price_mean": ratio(value(orders), pieces),
        "products_90": len(products_90),
        "products_total": len(first_of),
        "products_per_line": len(first_of) / len(bought),
        "new_product_share_90": ratio(len(new_90), len(products_90)),
        "gap_mean_days": mean(gaps) if gaps else None,
        "gap_std_days": spread,
        "gap_last_days": gaps[-1] if gaps else None,
        "gap_max_days": max(gaps) if gaps else None,
        "overdue_ratio": recency / mean(gaps) if gaps else None,
        "overdue_z": (recency - mean(gaps)) / spread if spread else None,
        "orders_trend_30": trend(len(window(30)), len(window(30, skip=30))),
        "orders_trend_90": trend(len(window(90)), len(window(90, skip=90))),
        "spend_trend_30": trend(value(window(30)), value(window(30, skip=30))),
        "spend_trend_90": trend(value(window(90)), value(window(90, skip=90))),
        "return_count_share": len(returns) / (len(orders) + len(returns)),
        "return_value_share": ratio(value(returns), value(orders)),
        "return_value_share_90": ratio(value(window(90, of=returns)), value(window(90))),
        "weekend_share": (weekdays[5] + weekdays[6]) / len(orders),
        "weekday_top_share": max(weekdays.values()) / len(orders),
        "hour_mean": mean(order.at.hour for order in orders),
        "country": max((order.at, order.country) for order in orders)[1],
    }
