"""The day of each row: its own or, where it cannot be read, that of the nearest readable row above it."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

from collections.abc import Sequence
from datetime import date

import duckdb

from resources.source.facts import Facts
from resources.source.mapping import Bound
from resources.source.spool import FILE, ROW

#: Temporary table: the place and the delivery day of each row whose own day cannot be read.
_CARRIED = "tessera_carried"


def carry_days(connection: duckdb.DuckDBPyConnection, bounds: Sequence[Bound], otherwise: date) -> None:
    """Make the temporary table of the rows whose own day cannot be read, with their day of delivery."""
    days = " UNION ALL ".join(
        f"SELECT {FILE}, {ROW}, {bound.day()} AS day FROM tessera_rows_{number} WHERE {bound.counted()}"
        for number, bound in enumerate(bounds)
    )
    connection.execute(
        f"CREATE TEMP TABLE {_CARRIED} AS SELECT {FILE}, {ROW}, "
        f"coalesce(last_value(day IGNORE NULLS) OVER (PARTITION BY {FILE} ORDER BY {ROW}), "
        f"min(day) OVER (PARTITION BY {FILE}), DATE '{otherwise}') AS carried_on "
        f"FROM ({days}) QUALIFY day IS NULL"
    )


def own_days(number: int, bound: Bound, facts: Facts, first: date | None, last: date | None) -> str:
    """Return the rows of one shape with their day as `tessera_day`."""
    rows = f"SELECT * FROM tessera_rows_{number} WHERE {bound.counted()}"
    if facts.all_readable:
        near = bound.near(first, last) if first and last else "true"
        return f"SELECT *, {bound.day()} AS tessera_day FROM ({rows} AND {near})"
    return (
        f"SELECT *, coalesce({bound.day()}, carried_on) AS tessera_day "
        f"FROM (SELECT * FROM ({rows}) LEFT JOIN {_CARRIED} USING ({FILE}, {ROW}))"
    )
