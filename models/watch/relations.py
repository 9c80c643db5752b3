"""Relations between columns: ids that belong together, values of the same thing on days before. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles
from models.watch.profile import Name
from models.watch.repetition import LOOKBACK_DAYS

#: Pairs of values below which nothing is said of their ratio.
_FEWEST_PAIRS = 20
#: Logarithm of the largest ratio of two values of one thing that counts as it is.
_LARGEST_LOG = 5.0

Found = Iterator[tuple[Name, pl.DataFrame]]


def relations(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles, registers: Mapping[str, pl.DataFrame]) -> Found:
    """Yield measures by day (`delivered_on`, `value`, `n`).

    Args:
        rows: of the days.
        before: of the `LOOKBACK_DAYS` before the first of them.
        roles: of their columns.
        registers: id column -> all ids, with the day of their delivery and columns that both tables have.
    """
    yield from _mixed(rows, roles)
    yield from _pairs(rows, before, roles)
    for column, register in registers.items():
        yield from _agreeing(rows, column, register, roles)
    for column in roles.ids:
        for number in roles.numbers:
            yield from _ratios(rows, before, column, number)


def _mixed(rows: pl.DataFrame, roles: Roles) -> Found:
    """Yield, for each id and other column, the share of ids of several rows that have several values of it."""
    others = (*roles.ids, *roles.categories)
    codes = rows.select(DELIVERED_ON, *(pl.col(name).hash().alias(name) for name in dict.fromkeys(others)))
    for column in roles.ids:
        named = [name for name in others if name != column]
        several = [(pl.col(name).min() != pl.col(name).max()).alias(name) for name in named]
        groups = codes.group_by(DELIVERED_ON, column).agg(pl.len().alias("_rows"), *several)
        found = (
            groups.filter(pl.col("_rows") > 1)
            .group_by(DELIVERED_ON)
            .agg(pl.len().alias("n"), *(pl.col(name).mean() for name in named))
        )
        for name in named:
            yield Name("mixed", column, name), found.select(DELIVERED_ON, "n", pl.col(name).alias("value"))


def _pairs(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of the pairs of two ids that were together in the days before."""
    for one, other in ((a, b) for a, b in permutations(roles.ids, 2) if a < b):
        columns = [DELIVERED_ON, one, other]
        every = (
            pl.concat([before.select(columns), rows.select(columns)])
            .drop_nulls()
            .unique()
            .sort(columns[1:] + columns[:1])
        )
        gap = (pl.col(DELIVERED_ON) - pl.col(DELIVERED_ON).shift().over(one, other)).dt.total_days()
        dated = every.with_columns(again=(gap <= LOOKBACK_DAYS).fill_null(value=False))
        first = every[DELIVERED_ON].min()
        whole = dated.filter(
            pl.col(DELIVERED_ON).is_in(rows[DELIVERED_ON].unique().implode())
            & (pl.col(DELIVERED_ON) >= pl.lit(first).dt.offset_by(f"{LOOKBACK_DAYS // 2}d"))
        )
        yield Name("together", one, other), whole.group_by(DELIVERED_ON).agg(value=pl.col("again").mean(), n=pl.len())


def _agreeing(rows: pl.DataFrame, column: str, register: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of rows with another category than the register has for the same id."""
    shared = [name for name in roles.categories if name in register.columns]
    if not shared or column not in rows.columns:
        return
    known = register.unique(column, keep="first").select(column, *(pl.col(name).alias(f"_{name}") for name in shared))
    joined = rows.select(DELIVERED_ON, column, *shared).join(known, on=column, how="inner")
    for name in shared:
        differs = pl.col(name) != pl.col(f"_{name}")
        found = joined.group_by(DELIVERED_ON).agg(value=differs.mean(), n=pl.len())
        yield Name("differs", name, column), found


def _ratios(rows: pl.DataFrame, before: pl.DataFrame, column: str, number: str) -> Found:
    """Yield typical ratio and spread of the ratios of values to those of the same id on days before.

    Compared is the median of its last three days, so that one odd day does not make those after it odd.
    """
    columns = [DELIVERED_ON, column, number]
    size = pl.col(number).abs().cast(pl.Float64)
    every = pl.concat([before.select(columns), rows.select(columns)]).drop_nulls().filter(pl.col(number) != 0)
    typical = every.group_by(DELIVERED_ON, column).agg(size.log().mean().alias("_log")).sort(column, DELIVERED_ON)
    earlier = pl.concat_list(pl.col("_log").shift(back).over(column) for back in (1, 2, 3))
    change = pl.col("_log") - earlier.list.drop_nulls().list.median()
    known = typical.with_columns(_change=change.clip(-_LARGEST_LOG, _LARGEST_LOG)).drop_nulls("_change")
    known = known.filter(pl.col(DELIVERED_ON).is_in(rows[DELIVERED_ON].unique().implode()))
    found = known.group_by(DELIVERED_ON).agg(
        n=pl.len(), ratio=pl.col("_change").mean().exp(), spread=pl.col("_change").std()
    )
    found = found.filter(pl.col("n") >= _FEWEST_PAIRS)
    yield Name("ratio", number, column), found.select(DELIVERED_ON, "n", pl.col("ratio").alias("value"))
    yield Name("change", number, column), found.select(DELIVERED_ON, "n", pl.col("spread").alias("value"))
