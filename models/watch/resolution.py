"""Resolution of times and numbers, and the ends of their distributions: what rounding and cutting off changes."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.categories import common_values
from models.watch.columns import Roles
from models.watch.profile import Name

#: Times that are whole in a unit, in microseconds.
_TIMES = {"full hours": 3_600_000_000, "full minutes": 60_000_000, "full seconds": 1_000_000}
#: Steps that numbers with a fraction are whole in, as parts of one; and those without.
_PARTS, _STEPS = {"multiples of 0.1": 10, "multiples of 0.01": 100}, {"multiples of 10": 10}
#: Distance from a whole number of steps that representing decimals by powers of two can make.
_EXACT = 1e-4
#: Shares of the values that lie below the low end and below the high one.
_LOW, _HIGH = 0.02, 0.98
#: Rows of a day whose order is read.
SAMPLED_ROWS = 1_024

Expressions = Iterator[tuple[Name, pl.Expr]]


def resolution(roles: Roles) -> Expressions:
    """Yield the shares of times and numbers that are whole in a unit."""
    if roles.event:
        micros = pl.col(roles.event).dt.timestamp("us")
        for unit, step in _TIMES.items():
            yield Name("round", roles.event, unit), (micros % step == 0).mean()
    for name in roles.numbers:
        if name in roles.floats:
            for unit, parts in _PARTS.items():
                scaled = pl.col(name) * parts
                yield Name("round", name, unit), ((scaled - scaled.round()).abs() < _EXACT).mean()
        else:
            for unit, step in _STEPS.items():
                yield Name("round", name, unit), (pl.col(name) % step == 0).mean()


def ends(roles: Roles) -> Expressions:
    """Yield the low and the high end of the sizes of each number."""
    for name in roles.numbers:
        size = pl.col(name).abs().cast(pl.Float64)
        yield Name("low", name), size.quantile(_LOW, "nearest")
        yield Name("high", name), size.quantile(_HIGH, "nearest")


def pairs(roles: Roles) -> Expressions:
    """Yield how numbers go together: of any two their correlation, of two in one unit also their ratio.

    A correlation `r` of the logarithms is the share `(1 + r) / 2`.
    """
    for place, one in enumerate(roles.numbers):
        for other in roles.numbers[place + 1 :]:
            logs = [pl.when(pl.col(name) != 0).then(pl.col(name).abs().cast(pl.Float64).log()) for name in (one, other)]
            yield Name("agrees", one, other), (1 + pl.corr(*logs)) / 2
    for one, other in roles.alike:
        both = (pl.col(one) > 0) & (pl.col(other) > 0)
        yield Name("over", one, other), (pl.col(one) > pl.col(other)).mean()
        yield Name("relative", one, other), (pl.col(one) / pl.col(other)).filter(both).log().mean().exp()


def sequence(rows: pl.DataFrame, roles: Roles) -> Iterator[tuple[Name, pl.DataFrame]]:
    """Yield by day the share of rows whose time is not before that of the row with the next smaller key.

    Of all rows, and of those of each common category: a clock of one country that is wrong moves few of all rows.
    """
    if not roles.event or roles.versions:
        return
    every = pl.max_horizontal(pl.len().over(DELIVERED_ON) // SAMPLED_ROWS, 1)
    sampled = rows.select(DELIVERED_ON, roles.key, roles.event, *roles.categories).filter(
        pl.int_range(pl.len()).over(DELIVERED_ON) % every == 0
    )
    is_later = pl.col(roles.event).diff() >= pl.duration()
    groups: dict[str, pl.Expr] = {roles.key: pl.col(DELIVERED_ON).is_not_null()}
    for category in roles.categories:
        for value in common_values(sampled[category]):
            groups[f"{roles.key} in {value}"] = pl.col(category) == value
    of_groups = [
        expression
        for place, among in enumerate(groups.values())
        for expression in (is_later.filter(among).mean().alias(f"value {place}"), among.sum().alias(f"n {place}"))
    ]
    found = sampled.sort(DELIVERED_ON, roles.key).group_by(DELIVERED_ON).agg(*of_groups)
    for place, name in enumerate(groups):
        shares = found.select(DELIVERED_ON, value=f"value {place}", n=f"n {place}")
        yield Name("sequence", roles.event, name), shares.filter(pl.col("n") > 0)
