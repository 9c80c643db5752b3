"""Ids and contents of some days against the days before them and against registers. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles
from models.watch.profile import Name

#: Days before a day in which its ids and contents are looked for.
LOOKBACK_DAYS = 28
#: Rows of a day whose values are looked for in other columns.
_SAMPLED_ROWS = 512

Found = Iterator[tuple[Name, pl.DataFrame]]


def repetition(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles, registers: Mapping[str, pl.DataFrame]) -> Found:
    """Yield measures by day (`delivered_on`, `value`, `n`): rows on one id, ids known or seen before, copies, swaps.

    Args:
        rows: of the days.
        before: of the `LOOKBACK_DAYS` before the first of them.
        roles: of their columns.
        registers: id column -> all ids, with the day of their delivery.
    """
    first_held = before[DELIVERED_ON].min() if len(before) else None
    for column in roles.ids:
        yield Name("top", column), _top(rows, column)
        if first_held is not None:
            yield Name("seen", column), _seen(rows, before, column)
    for column, register in registers.items():
        if column != roles.key and column in rows.columns:
            yield Name("unknown", column), _unknown(rows, column, register)
    yield from _copies(rows, before, roles)
    if first_held is not None:
        yield from _swaps(rows, before, roles)


def _top(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    counted = rows.group_by(DELIVERED_ON, column).len()
    return counted.group_by(DELIVERED_ON).agg(value=pl.col("len").max() / pl.col("len").sum(), n=pl.col("len").sum())


def _seen(rows: pl.DataFrame, before: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the share of the ids of each day that one of the `LOOKBACK_DAYS` before it had."""
    pairs = pl.concat([frame.select(DELIVERED_ON, column) for frame in (before, rows)]).drop_nulls().unique()
    gap = (pl.col(DELIVERED_ON) - pl.col(DELIVERED_ON).shift().over(column)).dt.total_days()
    dated = pairs.sort(column, DELIVERED_ON).with_columns(again=(gap <= LOOKBACK_DAYS).fill_null(value=False))
    first = before[DELIVERED_ON].min()
    # A day with less than the full number of days before it would have fewer seen ids than later ones.
    whole = dated.filter(pl.col(DELIVERED_ON) >= pl.lit(first).dt.offset_by(f"{LOOKBACK_DAYS // 2}d"))
    return _of(whole.filter(pl.col(DELIVERED_ON).is_in(rows[DELIVERED_ON].unique().implode())), "again")


def _unknown(rows: pl.DataFrame, column: str, register: pl.DataFrame) -> pl.DataFrame:
    known = register.group_by(column).agg(pl.col(DELIVERED_ON).min().alias("since"))
    joined = rows.select(DELIVERED_ON, column).drop_nulls().join(known, on=column, how="left")
    late = (pl.col("since") > pl.col(DELIVERED_ON)).fill_null(value=True)
    return _of(joined.with_columns(unknown=late), "unknown")


def _of(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.group_by(DELIVERED_ON).agg(value=pl.col(column).mean(), n=pl.len())


def _copies(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> Found:
    """Yield shares of rows whose content another row of the day, or of the days before, has at the same time of day."""
    if len(roles.content) < 2:
        return
    now, past = (frame.select(DELIVERED_ON, content=_content(roles)) for frame in (rows, before))
    copies = now.with_columns(copy=pl.int_range(pl.len()).over(DELIVERED_ON, "content") > 0)
    yield Name("doubled"), _of(copies, "copy")
    if len(before):
        days = pl.concat([past, now]).unique().sort("content", DELIVERED_ON)
        gap = (pl.col(DELIVERED_ON) - pl.col(DELIVERED_ON).shift().over("content")).dt.total_days()
        again = days.with_columns(again=(gap <= LOOKBACK_DAYS).fill_null(value=False))
        yield Name("repeated"), _of(now.join(again, on=[DELIVERED_ON, "content"]), "again")


def _content(roles: Roles) -> pl.Expr:
    columns = [pl.col(name) for name in roles.content]
    if roles.event and roles.event not in roles.versions:
        columns.append(pl.col(roles.event).dt.time().alias("_time"))
    return pl.struct(columns).hash()


def _swaps(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of each column's values that another column had in the days before."""
    names = [name for name in (roles.key, *roles.ids, *roles.categories) if rows.schema[name] == pl.String]
    held = {name: before[name].drop_nulls().unique() for name in names}
    every = pl.max_horizontal(pl.len().over(DELIVERED_ON) // _SAMPLED_ROWS, 1)
    sampled = rows.select(DELIVERED_ON, *names).filter(pl.int_range(pl.len()).over(DELIVERED_ON) % every == 0)
    for column in names:
        others = [other for other in names if other != column]
        inside = [pl.col(column).is_in(held[other].implode()).mean().alias(other) for other in others]
        found = sampled.group_by(DELIVERED_ON).agg(pl.len().alias("n"), *inside)
        for other in others:
            yield Name("inside", column, other), found.select(DELIVERED_ON, "n", pl.col(other).alias("value"))
