"""The longest time without an event on a day, by the pace of the events around it. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles
from models.watch.profile import Name

#: Events on each side of a gap that tell the pace, and events of a day below which nothing is said.
_AROUND, _FEWEST = 32, 128
_TIME, _PLACE = "_time", "_place"


def gaps(rows: pl.DataFrame, roles: Roles) -> Iterator[tuple[Name, pl.DataFrame]]:
    """Yield by day (`delivered_on`, `value`, `n`) the number of events that the longest gap would usually hold.

    Of events that come independently the largest is about the logarithm of their number. Events at the same time are
    one: the lines of an order. Those of other days than most are left out, since late rows are few.
    """
    if not roles.event or roles.versions:
        return
    date, micros = pl.col(roles.event).dt.date(), pl.col(roles.event).dt.timestamp("us")
    usual = date == date.mode().min().over(DELIVERED_ON)
    times = rows.lazy().filter(usual).select(DELIVERED_ON, micros.alias(_TIME)).unique().sort(DELIVERED_ON, _TIME)
    counted = times.with_columns(pl.int_range(pl.len()).over(DELIVERED_ON).alias(_PLACE), n=pl.len().over(DELIVERED_ON))
    held = counted.filter(pl.col("n") >= _FEWEST).collect()
    if len(held):
        expected = _expected(*(held[name].to_numpy().astype(np.int64) for name in (_TIME, _PLACE, "n")))
        longest = held.select(DELIVERED_ON, "n", value=expected).group_by(DELIVERED_ON, "n").agg(pl.col("value").max())
        yield Name("gap", roles.event), longest


def _expected(times: np.ndarray, place: np.ndarray, of: np.ndarray) -> pl.Series:
    """Return the events that the gap after each event would hold at the pace of those around it; 0 after the last."""
    here, behind = np.arange(len(times)), of - 1 - place
    after = here + (behind > 0)
    first, last = here - np.minimum(place, _AROUND), after + np.clip(behind - 1, 0, _AROUND)
    gap = times[after] - times[here]
    others = np.maximum(times[last] - times[first] - gap, 1)
    return pl.Series(gap * np.maximum(last - first - 1, 1) / others)
