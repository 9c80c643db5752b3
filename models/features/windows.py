"""Aggregates over sliding windows of time, declared once: compiled to SQL for any history, evaluated online per event.

A window of N days with a delay of D ends D days before the row's moment t: `(t - D - N, t - D]`, left-open and
right-closed. Without a delay it ends with the row itself: of rows at the same instant, those with a smaller id count,
the others do not. Values are integers (cents, flags), so sums do not depend on the order in which they are taken: both
paths divide the same two numbers, and give the same float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

MICROS_PER_DAY = 86_400_000_000

Aggregate = Literal["count", "mean", "max", "deviation", "share"]


@dataclass(frozen=True)
class Window:
    """One aggregate over the rows of one key.

    Attributes:
        name: of the feature.
        key: column whose rows are aggregated, e.g. `customer_id`.
        aggregate: `count` of rows; `mean`, `max` and `deviation` (n-1; 0 for a single row) of `of`; `share` of rows
            whose label is 1 and was known at t (0 without rows).
        days: length, N.
        of: the integer column that is aggregated; None for `count` and `share`.
        scale: what the aggregate is divided by (100: cents to EUR).
        delay_days: how long before t the window ends, D.
    """

    name: str
    key: str
    aggregate: Aggregate
    days: int
    of: str | None = None
    scale: int = 1
    delay_days: int = 0

    @property
    def reach_micros(self) -> int:
        """Nothing that lies at least this long before a row shapes it, in µs."""
        return (self.days + self.delay_days) * MICROS_PER_DAY


@dataclass(frozen=True)
class Derived:
    """A feature computed from others of the same row by operators alone, so that one formula serves both paths.

    `formula` takes `inputs` by position: ibis columns offline, floats online.
    """

    name: str
    inputs: tuple[str, ...]
    formula: Callable[..., Any]
