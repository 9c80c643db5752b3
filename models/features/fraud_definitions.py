"""The features of the fraud model: the one list that code, stream, model and documentation share.

The windows over 1, 7 and 30 days and the two flags are those of Le Borgne, Siblini, Lebichot, Bontempi: Reproducible
Machine Learning for Credit Card Fraud Detection (2022), chapter 3; their published values are a test. The others were
chosen on training weeks before the published one (docs/benchmarks.md).
"""

from typing import Any

from models.features.definitions import Feature
from models.features.windows import Derived, Window

#: A fraud is known this long after the payment, as in the published protocol: victims report, banks investigate.
LABEL_DELAY_DAYS = 7
_DAYS = (1, 7, 30)
_CENTS = 100

WINDOWS: tuple[Window, ...] = (
    *(Window(f"customer_count_{n}d", "customer_id", "count", n) for n in _DAYS),
    *(Window(f"customer_mean_amount_{n}d", "customer_id", "mean", n, "cents", _CENTS) for n in _DAYS),
    Window("customer_deviation_amount_30d", "customer_id", "deviation", 30, "cents", _CENTS),
    Window("customer_max_amount_30d", "customer_id", "max", 30, "cents", _CENTS),
    *(Window(f"terminal_count_{n}d", "terminal_id", "count", n, delay_days=LABEL_DELAY_DAYS) for n in _DAYS),
    *(Window(f"terminal_risk_{n}d", "terminal_id", "share", n, delay_days=LABEL_DELAY_DAYS) for n in _DAYS),
)

#: A payment sees at most so many days before its own: the longest window, and the rest of a day.
LOOKBACK_DAYS = max(window.days + window.delay_days for window in WINDOWS) + 1


def _ratio(one: Any, other: Any) -> Any:
    # A cent is added for customers whose cards were only verified, which costs nothing.
    return one / (other + 0.01)


def _distance(amount: Any, mean: Any, deviation: Any) -> Any:
    # 1 EUR is added, so that a customer with a single payment has a distance of 0 instead of none.
    return (amount - mean) / (deviation + 1.0)


DERIVED: tuple[Derived, ...] = (
    Derived("amount_over_mean_7d", ("amount", "customer_mean_amount_7d"), _ratio),
    Derived("amount_over_mean_30d", ("amount", "customer_mean_amount_30d"), _ratio),
    Derived("mean_1d_over_mean_30d", ("customer_mean_amount_1d", "customer_mean_amount_30d"), _ratio),
    Derived("mean_7d_over_mean_30d", ("customer_mean_amount_7d", "customer_mean_amount_30d"), _ratio),
    Derived(
        "amount_distance_30d",
        ("amount", "customer_mean_amount_30d", "customer_deviation_amount_30d"),
        _distance,
    ),
)


def _meaning(window: Window) -> Feature:
    of_whom = "the customer" if window.key == "customer_id" else "the terminal"
    meanings = {
        "count": (f"payments of {of_whom}", "payments"),
        "mean": (f"mean amount of the payments of {of_whom}", "EUR"),
        "max": (f"largest amount of the payments of {of_whom}", "EUR"),
        "deviation": (f"standard deviation (n-1) of the amounts of {of_whom}; 0 for a single payment", "EUR"),
        "share": (f"share of the payments of {of_whom} known to be fraud", "share"),
    }
    meaning, unit = meanings[window.aggregate]
    ends = f", ending {window.delay_days} days before the payment" if window.delay_days else ""
    return Feature(window.name, meaning, unit, f"{window.days} days{ends}")


#: In the order of the model's columns.
DEFINITIONS: tuple[Feature, ...] = (
    Feature("amount", "amount of the payment", "EUR", "the payment"),
    Feature("is_weekend", "1 on Saturday and Sunday (UTC)", "0 or 1", "the payment"),
    Feature("is_night", "1 from 00:00 to 06:59 (UTC)", "0 or 1", "the payment"),
    *(_meaning(window) for window in WINDOWS),
    Feature("amount_over_mean_7d", "amount over the customer's mean (plus a cent)", "ratio", "7 days"),
    Feature("amount_over_mean_30d", "amount over the customer's mean (plus a cent)", "ratio", "30 days"),
    Feature("mean_1d_over_mean_30d", "the customer's mean of a day over that of 30 days", "ratio", "1 and 30 days"),
    Feature("mean_7d_over_mean_30d", "the customer's mean of 7 days over that of 30 days", "ratio", "7 and 30 days"),
    Feature(
        "amount_distance_30d", "amount minus the customer's mean, over their deviation plus 1 EUR", "ratio", "30 days"
    ),
)

#: Numeric features (float64), in the order of the model's columns.
FEATURES: tuple[str, ...] = tuple(feature.name for feature in DEFINITIONS)

#: What `docs/features.md` says above the list.
PAGE = """\
## Fraud

One row per payment. A window of N days that ends D days before the payment's moment t is `(t - D - N, t - D]`:
left-open, right-closed. Without a delay the payment itself is in it; of payments at one instant, those with a
smaller `transaction_id` are too. A label counts from the moment it became known, but not before the delay has passed.
Amounts are added up in cents, so that no order of adding changes a value.

Declared once, in `models/features/fraud_definitions.py`: as one statement over any history (`tessera features fraud`),
and event by event over the recent payments of a card and a terminal. The two give the same float64 for every payment,
also when events come twice or out of order: what comes late changes the features of payments after it, and those are
given again. The first twelve windows and the two flags equal the values that the Fraud Detection Handbook publishes.
"""
