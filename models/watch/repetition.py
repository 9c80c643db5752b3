"""Ids and contents of some days against the days before them and against registers. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import permutations

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.codes import CONTENT, DAY, Coded
from models.watch.columns import Roles
from models.watch.profile import Name

#: Days before a day in which its ids and contents are looked for, and days without which nothing is said.
LOOKBACK_DAYS, FEWEST_DAYS = 14, 7
#: Rows of a day whose values are looked for in other columns, and days whose values these have.
_SAMPLED_ROWS, _VALUES_DAYS = 512, 3
_FEWEST_COLUMNS = 2

Found = Iterator[tuple[Name, pl.DataFrame]]


def repetition(
    rows: pl.DataFrame, before: pl.DataFrame, coded: Coded, roles: Roles, registers: Mapping[str, pl.DataFrame]
) -> Found:
    """Yield measures by day (`delivered_on`, `value`, `n`): rows on one id, ids known or seen before, copies, swaps.

    Args:
        rows: of the days.
        before: of the `LOOKBACK_DAYS` before the first of them.
        coded: both, as numbers.
        roles: of their columns.
        registers: id column -> all ids, with the day of their delivery.
    """
    for column in (*roles.ids, *roles.prose):
        if column in roles.ids:
            yield Name("top", column), _top(coded, column)
        again = coded.again(column, within_days=LOOKBACK_DAYS, history_days=FEWEST_DAYS)
        yield Name("seen", column), coded.shares(again, "again")
    for column, register in registers.items():
        if column in rows.columns:
            yield Name("unknown", column), _unknown(rows, column, register)
    if len(roles.ids) > 1:
        yield Name("twice"), _twice(rows, roles)
    if CONTENT in coded.rows.columns:
        yield from _copies(coded)
    yield from _swaps(rows, before, roles)


def _top(coded: Coded, column: str) -> pl.DataFrame:
    most = pl.col("len").max() / pl.col("len").sum()
    return coded.dated(coded.counts(column).group_by(DAY).agg(value=most, n=pl.col("len").sum()))


def _unknown(rows: pl.DataFrame, column: str, register: pl.DataFrame) -> pl.DataFrame:
    """Return the share of the ids of each day, each once, that no register knows at the end of the day."""
    ids = rows.select(DELIVERED_ON, column).drop_nulls().unique()
    named = register.select(column, since=DELIVERED_ON).join(ids.select(column).unique(), on=column, how="semi")
    known = named.group_by(column).agg(pl.col("since").min())
    joined = ids.join(known, on=column, how="left")
    late = (pl.col("since") > pl.col(DELIVERED_ON)).fill_null(value=True)
    return joined.group_by(DELIVERED_ON).agg(value=late.mean(), n=pl.len())


def _copies(coded: Coded) -> Found:
    """Yield shares of rows whose content another row of the day, or of the days before, has at the same time of day."""
    counted = coded.counts(CONTENT)
    rows, several = pl.col("len").sum(), pl.col("len") - 1
    yield Name("doubled"), coded.dated(counted.group_by(DAY).agg(value=several.sum() / rows, n=rows))
    again = coded.again(CONTENT, within_days=LOOKBACK_DAYS, history_days=1)
    both = counted.join(again, on="packed", how="inner")
    repeated = (pl.col("len") * pl.col("again")).sum() / rows
    yield Name("repeated"), coded.dated(both.group_by(DAY).agg(value=repeated, n=rows))


def _twice(rows: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Return the share of rows with the ids, categories and flags of another row of the day: sent again, altered."""
    names = [*roles.ids, *roles.categories, *roles.flags]
    hashed = rows.select(DELIVERED_ON, *names).drop_nulls(list(roles.ids))
    counted = hashed.select(DELIVERED_ON, pl.struct(names).hash().alias("_same")).group_by(DELIVERED_ON, "_same").len()
    several = (pl.col("len") - 1).sum() / pl.col("len").sum()
    return counted.group_by(DELIVERED_ON).agg(value=several, n=pl.col("len").sum())


def _swaps(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of each column's values that another column has on these days or on those just before."""
    names = [name for name in (roles.key, *roles.ids, *roles.categories) if rows.schema[name] == pl.String]
    if len(names) < _FEWEST_COLUMNS:
        return
    first = rows[DELIVERED_ON].min()
    near = before.lazy().filter(pl.col(DELIVERED_ON) >= pl.lit(first) - timedelta(days=_VALUES_DAYS))
    every = pl.max_horizontal(pl.len().over(DELIVERED_ON) // _SAMPLED_ROWS, 1)
    sampled = rows.lazy().select(DELIVERED_ON, *names).filter(pl.int_range(pl.len()).over(DELIVERED_ON) % every == 0)
    long = sampled.unpivot(names, index=DELIVERED_ON, variable_name="column").drop_nulls().collect()
    looked_for = long.lazy().select("column", "value").unique()
    frames = [
        frame.select(pl.lit(name).alias("other"), pl.col(name).alias("value")).join(looked_for, on="value", how="semi")
        for frame, held in ((near, before.columns), (rows.lazy(), rows.columns))
        for name in names
        if name in held
    ]
    inside = looked_for.join(pl.concat(frames).unique(), on="value").filter(pl.col("column") != pl.col("other"))
    counted = long.lazy().join(inside, on=["column", "value"]).group_by(DELIVERED_ON, "column", "other").len()
    of_day = (
        sampled.group_by(DELIVERED_ON).agg(pl.len().alias("n"), *(pl.col(name).count() for name in names)).collect()
    )
    found = {(day, one, other): count for day, one, other, count in counted.collect().iter_rows()}
    for column, other in permutations(names, 2):
        shares = [
            found.get((day, column, other), 0) / held if held else None
            for day, held in zip(of_day[DELIVERED_ON], of_day[column], strict=True)
        ]
        yield (
            Name("inside", column, other),
            of_day.select(DELIVERED_ON, "n").with_columns(value=pl.Series(shares, dtype=pl.Float64)),
        )
