"""Relations between columns: ids that belong together, values of the same thing on days before. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.codes import DAY, DAYS, Coded, same_value
from models.watch.columns import Roles
from models.watch.presence import presence
from models.watch.profile import Name
from models.watch.repetition import FEWEST_DAYS, LOOKBACK_DAYS

#: Pairs of values below which nothing is said of their ratio.
_FEWEST_PAIRS = 20
#: Logarithm of the largest ratio of two values of one thing that counts as it is.
_LARGEST_LOG = 5.0
#: Share of the ids of a day that come again; below it, ids name something new each time (orders).
_RECURRING = 0.05

Found = Iterator[tuple[Name, pl.DataFrame]]


def relations(rows: pl.DataFrame, coded: Coded, roles: Roles, registers: Mapping[str, pl.DataFrame]) -> Found:
    """Yield measures by day (`delivered_on`, `value`, `n`).

    Args:
        rows: of the days.
        coded: these and the rows of the days before, as numbers.
        roles: of their columns.
        registers: id column -> all ids, with the day of their delivery and columns that both tables have.
    """
    yield from _mixed(coded, roles)
    for column, register in registers.items():
        yield from _agreeing(rows, column, register, roles)
    recurring = [column for column in roles.things if _recurs(coded, column)]
    for column in recurring:
        yield from presence(coded, column)
        yield Name("newcomer", column), _newcomer(coded, column)
    for one, other in combinations(recurring, 2):
        pairs = coded.together((one, other), within_days=LOOKBACK_DAYS, history_days=FEWEST_DAYS)
        yield Name("together", one, other), coded.shares(pairs, "again")
    for column in recurring:
        for number in roles.measured:
            yield from _ratios(coded, column, number)


def _recurs(coded: Coded, column: str) -> bool:
    again = coded.counts(column)["packed"].to_numpy() // DAYS
    values = np.count_nonzero(np.diff(again)) + 1
    return len(again) > 0 and bool(1 - values / len(again) >= _RECURRING)


def _newcomer(coded: Coded, column: str) -> pl.DataFrame:
    """Return the share of rows on the most frequent id that the days before did not have: a new default, if large."""
    again = coded.again(column, within_days=LOOKBACK_DAYS, history_days=FEWEST_DAYS)
    joined = again.join(coded.counts(column), on="packed")
    new = (pl.col("len") * ~pl.col("again")).max() / pl.col("len").sum()
    return coded.dated(joined.group_by(DAY).agg(value=new, n=pl.col("len").sum()))


def _mixed(coded: Coded, roles: Roles) -> Found:
    """Yield, for each id and other column, the share of ids of several rows that have several values of it."""
    others = dict.fromkeys((*roles.ids, *roles.categories))
    for column in roles.ids:
        named = [name for name in others if name != column]
        several = [(pl.col(name).min() != pl.col(name).max()).alias(name) for name in named]
        groups = coded.rows.drop_nulls(column).group_by(column).agg(pl.col(DAY).first(), pl.len(), *several)
        means = [pl.col(name).mean() for name in named]
        found = coded.dated(groups.filter(pl.col("len") > 1).group_by(DAY).agg(pl.len().alias("n"), *means))
        for name in named:
            yield Name("mixed", column, name), found.select(DELIVERED_ON, "n", pl.col(name).alias("value"))


def _agreeing(rows: pl.DataFrame, column: str, register: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of rows with another category than the register has for the same id."""
    shared = [name for name in roles.categories if name in register.columns]
    if not shared or column not in rows.columns:
        return
    asked = register.join(rows.select(column).unique(), on=column, how="semi")
    known = asked.unique(column, keep="first").select(column, *(pl.col(name).alias(f"_{name}") for name in shared))
    joined = rows.select(DELIVERED_ON, column, *shared).join(known, on=column, how="inner")
    for name in shared:
        differs = pl.col(name) != pl.col(f"_{name}")
        found = joined.group_by(DELIVERED_ON).agg(value=differs.mean(), n=pl.len())
        yield Name("differs", name, column), found


def _ratios(coded: Coded, column: str, number: str) -> Found:
    """Yield the typical ratio of values to those of the same id on days before, and the mean size of its logarithm.

    Compared is the median of its last three days, so that one odd day does not make those after it odd.
    """
    every = coded.every.select(DAY, column, number).drop_nulls()
    typical = every.group_by(column).agg(pl.col(DAY).first(), pl.col(number).mean()).sort(column)
    earlier = [pl.when(same_value(column, back)).then(pl.col(number).shift(back)) for back in (1, 2, 3)]
    low, high, total = pl.min_horizontal(*earlier), pl.max_horizontal(*earlier), pl.sum_horizontal(*earlier)
    median = pl.when(earlier[2].is_not_null()).then(total - low - high).otherwise((low + high) / 2)
    change = (pl.col(number) - median).clip(-_LARGEST_LOG, _LARGEST_LOG)
    known = typical.with_columns(_change=change).drop_nulls("_change")
    found = known.group_by(DAY).agg(
        n=pl.len(), ratio=pl.col("_change").mean().exp(), spread=pl.col("_change").abs().mean()
    )
    found = coded.dated(found.filter(pl.col("n") >= _FEWEST_PAIRS))
    yield Name("ratio", number, column), found.select(DELIVERED_ON, "n", pl.col("ratio").alias("value"))
    yield Name("change", number, column), found.select(DELIVERED_ON, "n", pl.col("spread").alias("value"))
