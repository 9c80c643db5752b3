"""The page of the documentation that lists the features."""

from collections.abc import Sequence

from models.features.churn_definitions import DEFINITIONS
from models.features.definitions import Feature

_INTRODUCTION = """\
# Features of the churn model

One row per customer and day. The cut-off t of a day is its last microsecond (UTC); a window of N days is
`(t - N days, t]`, which is that day and the N-1 before it. Only rows placed and delivered by t count, so a row that
arrives late changes later days, never this one. An order is dated by its latest line; returns are not orders. Undefined
values are NULL (a customer with one purchase day has no gap). Money is in the currency of the order, not converted.

Defined once, in `models/features/churn.py`; training, nightly scoring and the online store read the same rows.
How much each group of features is worth is measured in [benchmarks.md](benchmarks.md).
"""


def features_page() -> str:
    """Markdown: what a cut-off is, then every feature with its meaning, unit and window."""
    rows = ["| feature | meaning | unit | window |", "|---|---|---|---|", *_rows(DEFINITIONS)]
    country = "| `country` | country of the latest order, the only text | ISO name or code | last order |"
    return "\n".join([_INTRODUCTION, *rows, country]) + "\n"


def _rows(features: Sequence[Feature]) -> list[str]:
    return [f"| `{one.name}` | {one.meaning} | {one.unit} | {one.window} |" for one in features]
