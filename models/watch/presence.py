"""Ids that usually come and do not come on a day: how many of them, and the most frequent one. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.contracts import DELIVERED_ON
from models.watch.codes import DAY, DAYS, Coded
from models.watch.profile import Name
from models.watch.repetition import FEWEST_DAYS, LOOKBACK_DAYS

#: Share of the days before on which an id comes that is usual, and number of such ids without which nothing is said.
_USUAL_DAYS, _FEWEST_IDS = 0.5, 60
#: Rows a day up to which an id without any is no surprise among many ids; a most frequent one counts from here on.
_BY_CHANCE = 4.0
_SCHEMA = {DELIVERED_ON: pl.Date, "value": pl.Float64, "n": pl.Float64}


def presence(coded: Coded, column: str) -> Iterator[tuple[Name, pl.DataFrame]]:
    """Yield measures of ids by day (`delivered_on`, `value`, `n`): share of usual ones, the most frequent absent one.

    An id is known by the `LOOKBACK_DAYS` before a day; those with fewer rows than `FEWEST_DAYS` there say nothing.
    """
    counts, rows = _matrix(coded, column)
    if not counts.shape[1]:
        return
    sums, days = (np.vstack([np.zeros(counts.shape[1]), one.cumsum(axis=0)]) for one in (counts, counts > 0))
    held = np.concatenate([[0], (rows > 0).cumsum()])
    kept, gone = list[tuple[object, float, float]](), list[tuple[object, float, float]]()
    for number, day in coded.days.items():
        place = number - coded.first
        begin = max(place - LOOKBACK_DAYS, 0)
        of = int(held[place] - held[begin])
        if place < FEWEST_DAYS or not of or not rows[place]:
            continue
        before, here = sums[place] - sums[begin], counts[place] > 0
        usual = (days[place] - days[begin] >= _USUAL_DAYS * of) & (before >= FEWEST_DAYS)
        if usual.sum() >= _FEWEST_IDS:
            kept.append((day, float(here[usual].mean()), float(usual.sum())))
        gone.append((day, max(float(before[~here].max(initial=0.0)) / of, _BY_CHANCE), float(rows[place])))
    yield Name("kept", column), pl.DataFrame(kept, _SCHEMA, orient="row")
    yield Name("gone", column), pl.DataFrame(gone, _SCHEMA, orient="row")


def _matrix(coded: Coded, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows by day and frequent id, and rows by day, from the first day of all rows on."""
    found = coded.counts(column)
    sizes = found["len"].to_numpy().astype(np.float64)
    days = found[DAY].to_numpy().astype(np.int64) - coded.first
    values = found["packed"].to_numpy() // DAYS  # sorted
    keys = np.cumsum(np.diff(values, prepend=values[:1]) != 0)
    frequent = (np.bincount(keys, sizes) >= FEWEST_DAYS)[keys]
    kept = np.cumsum(np.diff(keys[frequent], prepend=keys[frequent][:1]) != 0)
    last = max(coded.days, default=coded.first)
    counts = np.zeros((last - coded.first + 1, int(kept.max(initial=-1)) + 1))
    counts[days[frequent], kept] = sizes[frequent]
    return counts, np.bincount(days, sizes, len(counts)).astype(np.float64)
