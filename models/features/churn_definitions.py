"""The features of the churn model: the one list that code, store, model and documentation share."""

from models.features.definitions import Feature

#: Nothing older than so many days shapes a feature: values depend neither on how much history a lake happens to hold
#: nor on the age of the shop, and the work of a night stays bounded.
HISTORY_DAYS = 365
_ALL = f"{HISTORY_DAYS} days"
_90 = "90 days"
_180 = "180 days"

#: In the order of the model's columns.
DEFINITIONS: tuple[Feature, ...] = (
    Feature("recency_days", "time since the last purchase", "days", _ALL),
    Feature("tenure_days", "time since the first purchase of the window", "days", _ALL),
    Feature("recency_share", "recency over tenure: near 1 after a single early purchase", "share", _ALL),
    Feature("orders_7", "orders placed", "orders", "7 days"),
    Feature("orders_30", "orders placed", "orders", "30 days"),
    Feature("orders_90", "orders placed", "orders", _90),
    Feature("orders_180", "orders placed", "orders", _180),
    Feature("orders_total", "orders placed", "orders", _ALL),
    Feature("orders_per_30_days", "orders placed per 30 days of tenure (at least 30 days)", "orders", _ALL),
    Feature("purchase_days_90", "days with at least one order", "days", _90),
    Feature("purchase_days_total", "days with at least one order", "days", _ALL),
    Feature("active_months_180", "30-day blocks, counted back from the cut-off, with an order", "0..6", _180),
    Feature("spend_30", "value of orders, before returns", "currency of the order", "30 days"),
    Feature("spend_90", "value of orders, before returns", "currency of the order", _90),
    Feature("spend_180", "value of orders, before returns", "currency of the order", _180),
    Feature("spend_total", "value of orders, before returns", "currency of the order", _ALL),
    Feature("basket_value_mean", "mean value of an order", "currency of the order", _ALL),
    Feature("basket_value_mean_90", "mean value of an order", "currency of the order", _90),
    Feature("basket_value_last", "value bought on the last purchase day", "currency of the order", "last purchase day"),
    Feature("basket_value_last_ratio", "value of the last purchase day over that of a mean one", "ratio", _ALL),
    Feature("basket_lines_mean", "mean number of lines of an order", "lines", _ALL),
    Feature("basket_items_mean", "mean number of pieces of an order", "pieces", _ALL),
    Feature("unit_price_mean", "value over pieces", "currency of the order", _ALL),
    Feature("products_90", "different products bought", "products", _90),
    Feature("products_total", "different products bought", "products", _ALL),
    Feature("products_per_line", "different products over order lines: 1 if nothing is bought again", "share", _ALL),
    Feature("new_product_share_90", "share of the products of the window never bought before it", "share", _90),
    Feature("gap_mean_days", "mean distance of neighbouring purchase days", "days", _ALL),
    Feature("gap_std_days", "standard deviation (n-1) of these distances", "days", _ALL),
    Feature("gap_last_days", "distance of the last two purchase days", "days", _ALL),
    Feature("gap_max_days", "largest distance of neighbouring purchase days", "days", _ALL),
    Feature("overdue_ratio", "recency over the mean gap: above 1 the next purchase is overdue", "ratio", _ALL),
    Feature("overdue_z", "recency minus the mean gap, in standard deviations of the gaps", "z", _ALL),
    Feature("orders_trend_30", "(a-b)/(a+b), a: orders of the window, b: of the window before", "-1..1", "2 x 30 days"),
    Feature("orders_trend_90", "(a-b)/(a+b), a: orders of the window, b: of the window before", "-1..1", "2 x 90 days"),
    Feature("spend_trend_30", "(a-b)/(a+b), a: spend of the window, b: of the window before", "-1..1", "2 x 30 days"),
    Feature("spend_trend_90", "(a-b)/(a+b), a: spend of the window, b: of the window before", "-1..1", "2 x 90 days"),
    Feature("return_count_share", "returns over orders and returns", "share", _ALL),
    Feature("return_value_share", "value returned over value bought", "ratio", _ALL),
    Feature("return_value_share_90", "value returned over value bought", "ratio", _90),
    Feature("weekend_share", "share of orders placed on Saturday or Sunday (UTC)", "share", _ALL),
    Feature("weekday_top_share", "share of orders on the customer's most common weekday (UTC)", "share", _ALL),
    Feature("hour_mean", "mean hour of the day at which orders are placed (UTC)", "hours", _ALL),
)

#: Numeric features (float64, NULL where undefined), in the order of the model's columns.
FEATURES: tuple[str, ...] = tuple(feature.name for feature in DEFINITIONS)
#: String features: the country of the latest order.
CATEGORIES: tuple[str, ...] = ("country",)

#: Days since the first order that a home holds of a customer: it grows with a young home.
HISTORY_FEATURE = "tenure_days"
_REACH_DAYS = {
    _ALL: HISTORY_DAYS,
    _180: 180,
    _90: 90,
    "30 days": 30,
    "7 days": 7,
    "2 x 30 days": 60,
    "2 x 90 days": 180,
    "last purchase day": 0,
}
#: Days of history that a home must hold before a feature looks as it will later; a product is new by all of them.
LOOK_BACK_DAYS: dict[str, int] = {
    **{feature.name: _REACH_DAYS[feature.window] for feature in DEFINITIONS},
    "new_product_share_90": HISTORY_DAYS,
}

#: What `docs/features.md` says above the list.
PAGE = """\
## Churn

One row per customer and day. The cut-off t of a day is its last microsecond (UTC); a window of N days is
`(t - N days, t]`, which is that day and the N-1 before it. Only rows placed and delivered by t count, so a row that
arrives late changes later days, never this one. An order is dated by its latest line; returns are not orders. Undefined
values are NULL (a customer with one purchase day has no gap). Money is in the currency of the order, not converted.

Defined once, in `models/features/churn.py`; training, nightly scoring and the online store read the same rows.
How much each group of features is worth is measured in [benchmarks.md](benchmarks.md).
"""
#: Rows below the list: features that are no numbers.
MORE_ROWS = ("| `country` | country of the latest order, the only text | ISO name or code | last order |",)
