"""The features of the demand model: the one list that code, model and documentation share."""

from models.features.definitions import Feature

#: Lengths of windows that end with the cut-off, in periods; a period is as long as the horizon, 7 days by default.
WINDOWS = (1, 2, 4, 8, 13)
#: Single periods before the last one.
BEFORE = range(1, 8)
#: The same days a year earlier, a whole number of weeks back.
YEAR_DAYS = 364
_YEAR = f"{YEAR_DAYS} days"
_LONGEST = f"{WINDOWS[-1]} periods"

#: In the order of the model's columns.
DEFINITIONS: tuple[Feature, ...] = (
    *(Feature(f"units_last_{n}", "units ordered", "units", f"{n} periods") for n in WINDOWS),
    *(Feature(f"lines_last_{n}", "order lines", "lines", f"{n} periods") for n in WINDOWS),
    *(Feature(f"days_sold_last_{n}", "days with at least one order line", "days", f"{n} periods") for n in WINDOWS),
    *(Feature(f"units_{n}_before", "units ordered", "units", f"the period {n} periods earlier") for n in BEFORE),
    Feature("recency_days", "time since the last order line", "days", _YEAR),
    Feature("tenure_days", "time since the first order line of the window", "days", _YEAR),
    Feature("units_max_day", "most units ordered on one day", "units", _LONGEST),
    Feature("price_mean", "value over units", "currency of the order", _LONGEST),
    Feature("same_period_last_year", "units ordered", "units", f"the period after, {YEAR_DAYS} days earlier"),
)
FEATURES: tuple[str, ...] = tuple(feature.name for feature in DEFINITIONS)
#: Baselines: units of the last period; those of the same days a year ago, or of the last period for younger products.
BASELINES = {"last period": "units_last_1", "seasonal naive": "seasonal_naive"}
#: Days since the first order that is held of a product: it grows with a young home.
HISTORY_FEATURE = "tenure_days"


def look_back_days(horizon_days: int) -> dict[str, int]:
    """Return the days of history that a home must hold before each feature looks as it will later."""
    oldest = dict.fromkeys(("recency_days", HISTORY_FEATURE), YEAR_DAYS + 1)  # the cut-off's own day and those before
    longest = dict.fromkeys(("units_max_day", "price_mean"), WINDOWS[-1])
    windows = {f"{what}_last_{n}": n for what in ("units", "lines", "days_sold") for n in WINDOWS}
    periods = longest | windows | {f"units_{n}_before": n + 1 for n in BEFORE}
    days = oldest | {"same_period_last_year": YEAR_DAYS}
    return days | {name: count * horizon_days for name, count in periods.items()}


PAGE = """## Demand

One row per product and cut-off with an order line in the last `settings.demand.population_days` days. Returns are not
subtracted: demand is what is ordered. A line counts from the day on which it was both placed and delivered.
"""
