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
    for column in roles.ids:
        yield Name("top", column), _top(rows, column)
        yield Name("seen", column), _seen(rows, before, column)
    for column, register in registers.items():
        if column in rows.columns:
            yield Name("unknown", column), _unknown(rows, column, register)
    yield from _copies(rows, before, roles)
    yield from _swaps(rows, before, roles)


def _top(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    counted = rows.group_by(DELIVERED_ON, column).len()
    return counted.group_by(DELIVERED_ON).agg(value=pl.col("len").max() / pl.col("len").sum(), n=pl.col("len").sum())


def _seen(rows: pl.DataFrame, before: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the share of the ids of each day that one of the `LOOKBACK_DAYS` before it had.

    Days with few days before them are left out: they would have fewer seen ids than later ones.
    """
    dated = _again(before.select(DELIVERED_ON, column), rows.select(DELIVERED_ON, column), column)
    return _of(dated.filter(_has_days_before(before, rows, LOOKBACK_DAYS // 2)), "again")


def _again(before: pl.DataFrame, rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the values of each day of `rows`, each once, and if one of the days before it had the value, too."""
    values = pl.concat([before, rows]).drop_nulls().unique().sort(column, DELIVERED_ON)
    gap = (pl.col(DELIVERED_ON) - pl.col(DELIVERED_ON).shift().over(column)).dt.total_days()
    dated = values.with_columns(again=(gap <= LOOKBACK_DAYS).fill_null(value=False))
    return dated.filter(pl.col(DELIVERED_ON).is_in(rows[DELIVERED_ON].unique().implode()))


def _has_days_before(before: pl.DataFrame, rows: pl.DataFrame, days: int) -> pl.Expr:
    first = pl.concat([frame[DELIVERED_ON] for frame in (before, rows)]).min()
    return pl.col(DELIVERED_ON) >= pl.lit(first).dt.offset_by(f"{days}d")


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
    again = _again(past, now, "content").filter(_has_days_before(before, rows, 1))
    yield Name("repeated"), _of(now.join(again, on=[DELIVERED_ON, "content"]), "again")


def _content(roles: Roles) -> pl.Expr:
    columns = [pl.col(name) for name in roles.content]
    if roles.event and roles.event not in roles.versions:
        columns.append(pl.col(roles.event).dt.time().alias("_time"))
    return pl.struct(columns).hash()


def _swaps(rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> Found:
    """Yield the share of each column's values that another column has on these days or on those before."""
    names = [name for name in (roles.key, *roles.ids, *roles.categories) if rows.schema[name] == pl.String]
    held = {name: pl.concat([before[name], rows[name]]).drop_nulls().unique() for name in names}
    every = pl.max_horizontal(pl.len().over(DELIVERED_ON) // _SAMPLED_ROWS, 1)
    sampled = rows.select(DELIVERED_ON, *names).filter(pl.int_range(pl.len()).over(DELIVERED_ON) % every == 0)
    for column in names:
        others = [other for other in names if other != column]
        inside = [pl.col(column).is_in(held[other].implode()).mean().alias(other) for other in others]
        found = sampled.group_by(DELIVERED_ON).agg(pl.len().alias("n"), *inside)
        for other in others:
            yield Name("inside", column, other), found.select(DELIVERED_ON, "n", pl.col(other).alias("value"))
