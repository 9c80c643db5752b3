"""The features of a customer's profile: the one list that code, lists and documentation share."""

from models.features.definitions import Feature

#: Nothing older shapes a profile.
YEAR_DAYS = 365
WINDOWS = (28, 91, 365)
#: A missed night or a weekend is bridged by older profiles; after this many days they count as unknown.
MAX_AGE_DAYS = 8

DEFINITIONS: tuple[Feature, ...] = (
    *(Feature(f"orders_days_{n}", "days with an order", "days", f"{n} days") for n in WINDOWS),
    *(Feature(f"lines_{n}", "order lines", "lines", f"{n} days") for n in WINDOWS),
    Feature("products", "distinct products", "products", f"{YEAR_DAYS} days"),
    Feature("recency_days", "time since the last order line", "days", f"{YEAR_DAYS} days"),
    Feature("tenure_days", "time since the first order line of the window", "days", f"{YEAR_DAYS} days"),
    Feature("price_mean", "value over units", "currency of the order", f"{YEAR_DAYS} days"),
)
FEATURES: tuple[str, ...] = tuple(feature.name for feature in DEFINITIONS)

PAGE = """## Personalization

One row per customer and day with an order line in the last `settings.personalization.population_days` days: whom lists
are made for, and what a profile says of them. What the ranker knows of pairs of a customer and a product is in
[personalization.md](personalization.md). Returns are not subtracted. A line counts from the day on which it was both
placed and delivered.
"""
