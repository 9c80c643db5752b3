"""Relations between columns: ids that belong together, values of the same thing on days before. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.categories import common_values
from models.watch.codes import DAY, DAYS, Coded, same_value
from models.watch.columns import Roles
from models.watch.numbering import numbering
from models.watch.presence import presence
from models.watch.profile import Name
from models.watch.repetition import FEWEST_DAYS, LOOKBACK_DAYS

#: Pairs of values below which nothing is said of their ratio.
_FEWEST_PAIRS = 20
#: Logarithm of the largest ratio of two values of one thing that counts as it is.
_LARGEST_LOG = 5.0
#: Measure -> logarithm of the ratio to the usual value of the same id from which on a row counts.
_OFF = {"off": 0.1, "far": 1.6}
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
    for column in dict.fromkeys((roles.key, *roles.ids)):
        if column not in recurring:
            yield from numbering(rows, column)
    states = [("steady", roles.key, name) for name in roles.states] if roles.key in recurring else []
    for measure, one, other in (*(("together", *pair) for pair in combinations(recurring, 2)), *states):
        pairs = coded.together((one, other), within_days=LOOKBACK_DAYS, history_days=FEWEST_DAYS)
        yield Name(measure, one, other), coded.shares(pairs, "again")
    for number in roles.measured:
        changes = [_Changes(coded, column, number) for column in recurring]
        for each in changes:
            yield from each.measures()
        if changes:
            yield from min(changes, key=lambda each: each.size).by_category(rows, roles)


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
    times = [roles.event] if roles.event and not roles.versions else []
    others = dict.fromkeys((*roles.ids, *roles.categories, *times))
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


class _Changes:
    """Values beside those of the same id on days before.

    Compared is the median of its last three days, so that one odd day does not make those after it odd.

    Attributes:
        size: mean size of the logarithm of the ratio.
    """

    def __init__(self, coded: Coded, column: str, number: str) -> None:
        self._coded, self._column, self._number = coded, column, number
        every = coded.every.select(DAY, column, number).drop_nulls()
        typical = every.group_by(column).agg(pl.col(DAY).first(), pl.col(number).mean()).sort(column)
        earlier = [pl.when(same_value(column, back)).then(pl.col(number).shift(back)) for back in (1, 2, 3)]
        low, high, total = pl.min_horizontal(*earlier), pl.max_horizontal(*earlier), pl.sum_horizontal(*earlier)
        median = pl.when(earlier[2].is_not_null()).then(total - low - high).otherwise((low + high) / 2)
        self._change = (pl.col(number) - pl.col("_usual")).clip(-_LARGEST_LOG, _LARGEST_LOG)
        self._ids = typical.with_columns(_usual=median).drop_nulls("_usual")
        self._rows = coded.rows.join(self._ids.select(column, "_usual"), on=column)
        size = self._ids.select(self._change.abs().mean()).item()
        self.size = float("inf") if size is None else float(size)

    def measures(self) -> Found:
        """Yield the typical ratio, the mean size of its logarithm, and the shares of rows that are far off."""
        means = {"ratio": self._change.mean().exp(), "change": self._change.abs().mean()}
        yield from self._means(self._ids, means, self._column)
        yield from self._means(
            self._rows, {name: (self._change.abs() > least).mean() for name, least in _OFF.items()}, self._column
        )

    def by_category(self, rows: pl.DataFrame, roles: Roles) -> Found:
        """Yield the typical ratio among the rows of each common category."""
        for category in roles.categories:
            for value in common_values(rows[category]):
                of_value = self._rows.filter(pl.col(category) // DAYS == pl.lit(value).hash() // DAYS)
                yield from self._means(of_value, {"ratio": self._change.mean().exp()}, f"{self._column} in {value}")

    def _means(self, rows: pl.DataFrame, means: Mapping[str, pl.Expr], of: str) -> Found:
        found = rows.group_by(DAY).agg(n=pl.len(), **means).filter(pl.col("n") >= _FEWEST_PAIRS)
        dated = self._coded.dated(found)
        for measure in means:
            yield Name(measure, self._number, of), dated.select(DELIVERED_ON, "n", pl.col(measure).alias("value"))
