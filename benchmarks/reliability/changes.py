"""Building blocks of mutations: changes to any column of any table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import polars as pl

from benchmarks.reliability.mutation import Delivered

Change = Callable[[Delivered], pl.DataFrame]


def nothing(one: Delivered) -> pl.DataFrame:
    """No rows at all: no file came."""
    return one.rows.clear()


def share(kept: float) -> Change:
    """A random share of the rows."""

    def change(one: Delivered) -> pl.DataFrame:
        return one.rows.filter(pl.Series(one.draws().random(one.rows.height) < kept))

    return change


def share_of(column: str, kept: float) -> Change:
    """All rows of a share of the values of a column: of some customers, orders, terminals."""

    def change(one: Delivered) -> pl.DataFrame:
        values = one.rows[column].unique().sort()
        left = values.filter(pl.Series(one.draws().random(len(values)) < kept))
        return one.rows.filter(pl.col(column).is_in(left.implode()))

    return change


def where(condition: pl.Expr) -> Change:
    """Keep only the rows that meet a condition."""
    return lambda one: one.rows.filter(condition)


def set_to(**columns: pl.Expr) -> Change:
    """Replace columns by expressions."""
    return lambda one: one.rows.with_columns(**columns)


def null_share(column: str, part: float) -> Change:
    """A share of a column's values is missing."""

    def change(one: Delivered) -> pl.DataFrame:
        gone = pl.Series(one.draws().random(one.rows.height) < part)
        return one.rows.with_columns(pl.when(~gone).then(pl.col(column)).alias(column))

    return change


def shuffled(*columns: str) -> Change:
    """Values of these columns, together, on other rows."""

    def change(one: Delivered) -> pl.DataFrame:
        order = one.draws().permutation(one.rows.height)
        return one.rows.with_columns(one.rows.select(columns)[order.tolist()])

    return change


def swapped(one_column: str, other: str) -> Change:
    """Two columns of equal type changed places."""
    return set_to(**{one_column: pl.col(other), other: pl.col(one_column)})


def multiplied(times: int, key: str | None = None) -> Change:
    """Every row so many times; with a key, the copies have keys of their own."""

    def change(one: Delivered) -> pl.DataFrame:
        return pl.concat([_renamed(one.rows, key, copy) for copy in range(times)])

    return change


def repeated_day(event: str, key: str | None = None) -> Change:
    """The rows of the day before instead; with a key, under new keys and with the times of today."""

    def change(one: Delivered) -> pl.DataFrame:
        again = one.earlier()
        if key is None:
            return again
        return _renamed(again, key, 1).with_columns(pl.col(event).dt.offset_by("1d"))

    return change


def shifted(column: str, **by: int) -> Change:
    """Times moved, e.g. by `hours=-12`."""
    return set_to(**{column: pl.col(column) + timedelta(**by)})


def years(column: str, count: int) -> Change:
    """Times moved by years."""
    return set_to(**{column: pl.col(column).dt.offset_by(f"{count}y")})


def most_frequent(column: str) -> Change:
    """A column that holds its most frequent value only."""

    def change(one: Delivered) -> pl.DataFrame:
        value = one.rows[column].drop_nulls().mode().sort()[0]
        return one.rows.with_columns(pl.lit(value, one.rows.schema[column]).alias(column))

    return change


def without_most_frequent(column: str, place: int = 0) -> Change:
    """Rows without the most frequent value of a column (place 0), the second one, ... the rarest (place -1)."""

    def change(one: Delivered) -> pl.DataFrame:
        counts = one.rows[column].drop_nulls().value_counts(sort=True)
        return one.rows.filter(pl.col(column) != counts[column][place])

    return change


def without_share_of_most_frequent(column: str, part: float) -> Change:
    """Rows without the most frequent values of a column, so many of all its values."""

    def change(one: Delivered) -> pl.DataFrame:
        counts = one.rows[column].drop_nulls().value_counts(sort=True)
        gone = counts[column].head(max(1, round(part * len(counts))))
        return one.rows.filter(~pl.col(column).is_in(gone.implode()))

    return change


def without_minutes(column: str, first: int, minutes: int) -> Change:
    """Rows without those of some minutes of the day: a queue that lost a batch. `first`: minutes after midnight."""
    minute = pl.col(column).dt.hour().cast(pl.Int32) * 60 + pl.col(column).dt.minute()
    return where(~minute.is_between(first, first + minutes - 1))


def default_share(column: str, part: float, value: str | float) -> Change:
    """A share of a column's values is a default of the source instead."""

    def change(one: Delivered) -> pl.DataFrame:
        gone = pl.Series(one.draws().random(one.rows.height) < part)
        default = pl.lit(value, one.rows.schema[column])
        return one.rows.with_columns(pl.when(gone).then(default).otherwise(pl.col(column)).alias(column))

    return change


def moved_rows(*columns: str) -> Change:
    """Values of these columns one row further: a join or a sort that is off by one."""
    return set_to(**{column: pl.col(column).shift(1, fill_value=pl.col(column).last()) for column in columns})


def next_number(column: str) -> pl.Expr:
    """Ids of a letter and digits, each the next one."""
    number = pl.col(column).str.slice(1)
    return pl.col(column).str.head(1) + (number.cast(pl.Int64) + 1).cast(pl.String).str.zfill(number.str.len_chars())


def again_with(key: str, part: float, **columns: pl.Expr) -> Change:
    """A share of the rows once more, with keys of their own and small changes: retries of a sender."""

    def change(one: Delivered) -> pl.DataFrame:
        again = one.rows.filter(pl.Series(one.draws().random(one.rows.height) < part))
        return pl.concat([one.rows, _renamed(again, key, 1).with_columns(**columns)])

    return change


def only_in(part: float, inner: Change) -> Change:
    """Another change, of a share of the rows: one of several machines is at fault."""

    def change(one: Delivered) -> pl.DataFrame:
        chosen = pl.Series(one.draws().random(one.rows.height) < part)
        faulty = inner(Delivered(one.day, one.rows.filter(chosen), one.before))
        return pl.concat([one.rows.filter(~chosen), faulty])

    return change


def values_of_yesterday(key: str, *columns: str) -> Change:
    """Values that these columns had the day before for the same thing: a job upstream stands still."""

    def change(one: Delivered) -> pl.DataFrame:
        old = one.earlier().select(key, *(pl.col(name).alias(f"_{name}") for name in columns))
        joined = one.rows.join(old, on=key, how="left", maintain_order="left")
        kept = [pl.coalesce(f"_{name}", name).alias(name) for name in columns]
        return joined.with_columns(kept).select(one.rows.columns)

    return change


def _renamed(rows: pl.DataFrame, key: str | None, copy: int) -> pl.DataFrame:
    if key is None or not copy:
        return rows
    if rows.schema[key] == pl.String:
        return rows.with_columns((pl.col(key) + f"-{copy}").alias(key))
    return rows.with_columns((pl.col(key) + copy * 1_000_000).alias(key))
