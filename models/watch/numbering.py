"""Running numbers and the texts that quote ids: rows that are lost, or on other rows. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.columns import Roles
from models.watch.profile import Name

#: Digits at the end of an id that number it, and numbers of a day without which nothing is said.
_DIGITS, _FEWEST = 6, 6

Found = Iterator[tuple[Name, pl.DataFrame]]


def numbering(rows: pl.DataFrame, column: str) -> Found:
    """Yield by day (`delivered_on`, `value`, `n`) the share of running numbers that the next one follows.

    Of ids that are numbered without holes it is about 1, and lost rows are holes. Ids that end in anything else than
    digits have none.
    """
    last = pl.col(column).cast(pl.String).str.tail(_DIGITS).cast(pl.Int64, strict=False)
    numbers = rows.lazy().select(DELIVERED_ON, number=last).drop_nulls().unique().sort(DELIVERED_ON, "number")
    follows = (pl.col("number").diff() == 1).mean()
    found = numbers.group_by(DELIVERED_ON).agg(value=follows, n=pl.len()).filter(pl.col("n") >= _FEWEST)
    yield Name("numbered", column), found.collect()


def quoting(rows: pl.DataFrame, roles: Roles) -> Found:
    """Yield by day the share of ids that stand in a text of the same row: the order that a message is about."""
    for text in roles.texts:
        for column in (roles.key, *roles.ids):
            if rows.schema[column] == pl.String:
                inside = pl.col(text).str.contains(pl.col(column), literal=True)
                both = rows.select(DELIVERED_ON, text, column).drop_nulls()
                yield Name("quoted", column, text), both.group_by(DELIVERED_ON).agg(value=inside.mean(), n=pl.len())
