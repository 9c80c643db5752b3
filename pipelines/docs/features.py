"""The page of the documentation that lists the features."""

from collections.abc import Sequence

from models.features import churn_definitions, fraud_definitions
from models.features.definitions import Feature

_CHURN = """\
# Features

## Churn

One row per customer and day. The cut-off t of a day is its last microsecond (UTC); a window of N days is
`(t - N days, t]`, which is that day and the N-1 before it. Only rows placed and delivered by t count, so a row that
arrives late changes later days, never this one. An order is dated by its latest line; returns are not orders. Undefined
values are NULL (a customer with one purchase day has no gap). Money is in the currency of the order, not converted.

Defined once, in `models/features/churn.py`; training, nightly scoring and the online store read the same rows.
How much each group of features is worth is measured in [benchmarks.md](benchmarks.md).
"""

_FRAUD = """\

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

_HEADER = ["| feature | meaning | unit | window |", "|---|---|---|---|"]


def features_page() -> str:
    """Markdown: what a row is, then every feature with its meaning, unit and window, for each application."""
    country = "| `country` | country of the latest order, the only text | ISO name or code | last order |"
    churn = [_CHURN, *_HEADER, *_rows(churn_definitions.DEFINITIONS), country]
    fraud = [_FRAUD, *_HEADER, *_rows(fraud_definitions.DEFINITIONS)]
    return "\n".join([*churn, *fraud]) + "\n"


def _rows(features: Sequence[Feature]) -> list[str]:
    return [f"| `{one.name}` | {one.meaning} | {one.unit} | {one.window} |" for one in features]
