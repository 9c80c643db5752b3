"""Ids and contents of days as numbers that sort by value, then by day. Imports polars."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles

#: The day is the remainder of a number by this one; the rest is a hash of the value.
DAYS = 1 << 16
CONTENT, DAY = "_content", "_day"


class Coded:
    """Rows of some days and of those before them, as numbers.

    Attributes:
        rows: of the days to measure; each value of an id, category or text with its day.
        every: these rows and those of the days before.
        days: days to measure, by number.
        first: first day of all rows, as a number.
    """

    def __init__(self, rows: pl.DataFrame, before: pl.DataFrame, roles: Roles) -> None:
        self.rows = _coded(rows, roles)
        self.every = pl.concat([_coded(before, roles), self.rows])
        self._dates = dict(rows.select(_day(), DELIVERED_ON).unique().iter_rows())
        self.days = {int(day): date for day, date in self._dates.items()}
        self.first = int(self.every[DAY].min() or 0)  # pyright: ignore[reportArgumentType]
        self._counts: dict[str, pl.DataFrame] = {}

    def counts(self, column: str) -> pl.DataFrame:
        """Return the rows of each value and day, also of days before: `packed`, `len`, `_day`; counted once.

        Args:
            column: an id, a category, or `CONTENT`.
        """
        if column not in self._counts:
            packed = self.every.lazy().select(packed=column).drop_nulls().group_by("packed").len().sort("packed")
            self._counts[column] = packed.with_columns((pl.col("packed") % DAYS).alias(DAY)).collect()
        return self._counts[column]

    def again(self, column: str, *, within_days: int, history_days: int) -> pl.DataFrame:
        """Return the values of each day to measure, each once: `packed`, `again` (one of the days before had it).

        Args:
            column: an id, a category, or `CONTENT`.
            within_days: days before in which a value is looked for.
            history_days: days with fewer days before them are left out.
        """
        return self._again(self.counts(column)["packed"], within_days, history_days)

    def together(self, columns: Sequence[str], *, within_days: int, history_days: int) -> pl.DataFrame:
        """As `again`, for pairs of values."""
        both = self.every.select(combined([pl.col(name) for name in columns]).alias("packed"), DAY)
        packed = both.drop_nulls().select(pack(pl.col("packed"), pl.col(DAY)))["packed"].unique().sort()
        return self._again(packed, within_days, history_days)

    def shares(self, found: pl.DataFrame, value: str) -> pl.DataFrame:
        """Return the mean of a column of `packed` rows by day: `delivered_on`, `value`, `n`."""
        day = pl.col("packed") % DAYS
        return self.dated(found.group_by(day.alias(DAY)).agg(value=pl.col(value).mean(), n=pl.len()))

    def dated(self, found: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of the days to measure, with `delivered_on` in place of the number of the day."""
        measured = found.lazy().filter(pl.col(DAY).is_in(list(self.days)))
        return measured.with_columns(pl.col(DAY).cast(pl.Int32).cast(pl.Date).alias(DELIVERED_ON)).collect()

    def _again(self, packed: pl.Series, within_days: int, history_days: int) -> pl.DataFrame:
        earlier, day = pl.col("packed").shift(1), pl.col("packed") % DAYS
        same = (pl.col("packed") // DAYS) == (earlier // DAYS)
        near = pl.col("packed") - earlier <= within_days
        found = packed.to_frame("packed").lazy().with_columns(again=(same & near).fill_null(value=False))
        days = [each for each in self._dates if each >= self.first + history_days]
        return found.filter(day.is_in(days)).collect()


def same_value(column: str, back: int) -> pl.Expr:
    """Return an expression that is true if the packed number so many rows before is of the same value."""
    return (pl.col(column) // DAYS) == (pl.col(column).shift(back) // DAYS)


def combined(codes: Sequence[pl.Expr]) -> pl.Expr:
    """Return one hash of several, packed or not; the days in them do not count."""
    found = codes[0] // DAYS
    for code in codes[1:]:
        found = found.hash() ^ (code // DAYS)
    return found.hash()


def pack(code: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Return a hash with its day in the low bits."""
    return code - code % DAYS + day


def _day() -> pl.Expr:
    return (pl.col(DELIVERED_ON).cast(pl.Int32).cast(pl.UInt64) % DAYS).alias(DAY)


def _coded(rows: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    names = dict.fromkeys((*roles.things, *roles.categories, *roles.states, *roles.prose))
    code = [pl.when(pl.col(name).is_not_null()).then(pl.col(name).hash()).alias(name) for name in names]
    content = [pl.col(name).hash() for name in roles.content]
    if roles.event and roles.event not in roles.versions:
        content.append(pl.col(roles.event).dt.time().hash())
    logs = [_log(name) for name in roles.measured]
    named = [combined(content).alias(CONTENT)] if len(content) > 1 else []
    times = [pl.col(roles.event).dt.timestamp("us")] if roles.event and not roles.versions else []
    coded = rows.select(_day(), *code, *named, *logs, *times)
    return coded.with_columns(
        pack(pl.col(name), pl.col(DAY)).alias(name) for name in (*names, *([CONTENT] if named else []))
    )


def _log(name: str) -> pl.Expr:
    size = pl.col(name).abs().cast(pl.Float64)
    return pl.when(size > 0).then(size.log()).alias(name)
