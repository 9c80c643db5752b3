"""Shares of categories and forms of ids in the days of a table. Imports polars."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles
from models.watch.profile import Name

#: Values of a column that a profile names; the others are counted together.
_MOST_VALUES, _MOST_FORMS = 40, 6
#: Characters of a value that are kept.
_CHARACTERS = 60
#: Rows of a day whose ids are read for their form.
_SAMPLED_ROWS = 2_048
#: In place of a value that names a person: profiles hold no ids of persons.
AN_ID, OTHERS = "(an id)", "(others)"
#: Share of a day below which a form counts among the others.
_FORM_SHARE = 0.02
#: Share of all rows from which on a category is common, and the number of common ones beyond which none is looked at.
_COMMON, _MOST_COMMON = 0.1, 5

Persons = Callable[[pl.Series], Collection[str]]
Shares = Iterator[tuple[str, str, str, pl.DataFrame]]


def category_shares(rows: pl.DataFrame, roles: Roles, persons: Persons) -> Shares:
    """Yield measure, column, category and its share by day (`delivered_on`, `value`, `n`).

    Args:
        rows: of the days.
        roles: of their columns.
        persons: returns those of some values that are ids of persons; none of them is named.
    """
    for column in roles.categories:
        counted = rows.group_by(DELIVERED_ON, pl.col(column).alias("category")).len().drop_nulls()
        for category, shares in _shares(counted, _named(counted, persons, _MOST_VALUES)):
            yield "category", column, category, shares


def forms(rows: pl.DataFrame, roles: Roles) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Yield column, form and its share by day, of ids that are texts: `a9` is letters, then digits."""
    texts = [name for name in (roles.key, *roles.ids) if rows.schema[name] == pl.String]
    every = pl.max_horizontal(pl.len().over(DELIVERED_ON) // _SAMPLED_ROWS, 1)
    sampled = rows.filter(pl.int_range(pl.len()).over(DELIVERED_ON) % every == 0)
    for column in texts:
        counted = sampled.group_by(DELIVERED_ON, _form(pl.col(column)).alias("category")).len().drop_nulls()
        share = pl.col("len") / pl.col("len").sum().over(DELIVERED_ON)
        common = counted.filter(share >= _FORM_SHARE).group_by("category").agg(pl.col("len").sum())
        listed = common.sort("len", "category", descending=[True, False])["category"].head(_MOST_FORMS * 4)
        for category, shares in _shares(counted, {name: name for name in listed}):
            yield column, category, shares


def missing_by_category(rows: pl.DataFrame, roles: Roles) -> Iterator[tuple[Name, pl.DataFrame]]:
    """Yield by day the share of missing values of a column among the rows of each common category."""
    for category in roles.categories:
        common = common_values(rows[category]) if roles.nullable else []
        if not common:
            continue
        nulls = [pl.col(name).null_count().alias(name) / pl.len() for name in roles.nullable]
        found = (
            rows.filter(pl.col(category).is_in(common))
            .group_by(DELIVERED_ON, category)
            .agg(pl.len().alias("n"), *nulls)
        )
        for (value,), of in found.group_by(category, maintain_order=True):
            for name in roles.nullable:
                shares = of.select(DELIVERED_ON, "n", pl.col(name).alias("value"))
                yield Name("missing", name, f"{category} {value}"), shares


def common_values(column: pl.Series) -> list[str]:
    """Return the common values of a category; none if there is only one, or many."""
    counted = column.drop_nulls().value_counts(sort=True)
    common = counted.filter(pl.col("count") >= _COMMON * len(column))[column.name].to_list()
    return common if 1 < len(common) <= _MOST_COMMON else []


def _form(text: pl.Expr) -> pl.Expr:
    """Return the form of an id: runs of capitals, small letters and digits as one sign each."""
    short = text.str.slice(0, _CHARACTERS)
    classes = {r"[A-Z]+": "A", r"[a-z]+": "a", r"[0-9]+": "9", r"\s": " ", r"[^Aa9 \-_./@:|#,;+]+": "?"}
    for pattern, sign in classes.items():
        short = short.str.replace_all(pattern, sign)
    return short


def _named(counted: pl.DataFrame, persons: Persons, most: int) -> dict[str, str]:
    """Return the most frequent values of any of the days, and the name that each has in profiles."""
    ordered = counted.group_by("category").agg(pl.col("len").sum()).sort("len", "category", descending=[True, False])
    values = ordered["category"].head(most)
    private = persons(values)
    return {value: AN_ID if value in private else value[:_CHARACTERS] for value in values.to_list()}


def _shares(counted: pl.DataFrame, names: dict[str, str]) -> Iterator[tuple[str, pl.DataFrame]]:
    of_day = counted.group_by(DELIVERED_ON).agg(pl.col("len").sum().alias("n"))
    named = counted.with_columns(pl.col("category").replace_strict(names, default=OTHERS, return_dtype=pl.String))
    summed = named.group_by(DELIVERED_ON, "category").agg(pl.col("len").sum()).join(of_day, on=DELIVERED_ON)
    valued = summed.with_columns(value=pl.col("len") / pl.col("n"))
    for (category,), shares in valued.group_by("category", maintain_order=True):
        yield str(category), shares
