"""Facts collected by one pass over the rows of files: counts, the first day, and the notation of ids and times."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from models.errors import TesseraError
from resources.source.formats import broken
from resources.source.mapping import Bound
from resources.source.scan import Shape
from resources.source.spool import FILE
from resources.source.values import exact_below, zones_in


@dataclass(frozen=True)
class Facts:
    """Facts from one pass over all rows: counts, first day, and the notation of ids and times.

    `zones` has an entry for each shape, see `Bound`.
    """

    rows: int
    counted: int
    first_day: date | None
    all_readable: bool
    written_as_floats: dict[str, list[str]]
    zones: list[dict[str, dict[str, str]]]


def read_facts(
    connection: duckdb.DuckDBPyConnection, shapes: Sequence[Shape], bounds: Sequence[Bound], rows: int
) -> Facts:
    """Return the facts about the rows of the views `tessera_rows_<n>`, one for each shape.

    Args:
        connection: where the views are.
        shapes: files by their columns.
        bounds: the mapping over each of them.
        rows: records in the files, counted before they were parsed.

    Raises:
        TesseraError: ids in floats that are not exact, or another number of rows than was counted.
    """
    floats: dict[str, list[str]] = {}
    found: list[tuple[int, int, date | None, int]] = []
    zones: list[dict[str, dict[str, str]]] = []
    for number, (shape, bound) in enumerate(zip(shapes, bounds, strict=True)):
        view = f"tessera_rows_{number}"
        _refuse_inexact_ids(connection, view, bound)
        if shape.is_text:
            for column, files in _written_as_floats(connection, view, bound).items():
                floats.setdefault(column, []).extend(files)
        zones.append({column: zones_in(connection, view, value) for column, value in bound.times()})
        days = f"SELECT {replace(bound, zones=zones[-1]).day()} AS day FROM {view} WHERE {bound.counted()}"
        total = connection.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0]
        found.append((total, *connection.execute(f"SELECT count(*), min(day), count(day) FROM ({days})").fetchall()[0]))
    seen = sum(each[0] for each in found)
    if seen != rows:
        raise TesseraError(
            f"The files from {str(shapes[0].files[0])!r} on hold {rows} rows, but {seen} could be read.",
            expected="as many rows as were counted before they were read",
            todo="Report this with the files: rows would be lost.",
        )
    days_known = [each[2] for each in found if each[2] is not None]
    counted, readable = sum(each[1] for each in found), sum(each[3] for each in found)
    return Facts(rows, counted, min(days_known, default=None), counted == readable, floats, zones)


def _refuse_inexact_ids(connection: duckdb.DuckDBPyConnection, view: str, bound: Bound) -> None:
    """Raise TesseraError where a float is so large that it may stand for another id."""
    for column, value, kind in bound.ids():
        if (limit := exact_below(kind)) is None:
            continue
        found = connection.execute(
            f"SELECT {FILE}, max(abs({value})) FROM {view} WHERE abs({value}) >= {limit} AND isfinite({value}) "
            f"GROUP BY ALL ORDER BY ALL LIMIT 1"
        ).fetchone()
        if found:
            raise broken(
                Path(str(found[0])),
                "parquet",
                f"{column.name} ({bound.mapping.source(column.name)}) is {found[1]:.0f} in a column of type {kind}, "
                f"which does not hold every integer from {limit} on: it may be another id",
                "Write the ids as integers or texts.",
            )


def _written_as_floats(connection: duckdb.DuckDBPyConnection, view: str, bound: Bound) -> dict[str, list[str]]:
    """Contract column -> files in which each of its ids is a text such as `103.0`: integers that had gaps."""
    columns = [(column.name, value) for column, value, kind in bound.ids() if kind == "VARCHAR"]
    if not columns:
        return {}
    tests = ", ".join(
        f"bool_and(v{place} IS NULL OR ends_with(v{place}, '.0')) AND count(v{place}) > 0"
        for place in range(len(columns))
    )
    values = ", ".join(f"{value} AS v{place}" for place, (_, value) in enumerate(columns))
    found = connection.execute(f"SELECT {FILE}, {tests} FROM (SELECT {FILE}, {values} FROM {view}) GROUP BY {FILE}")
    result: dict[str, list[str]] = {}
    for file, *likely in found.fetchall():
        for (column, value), is_likely in zip(columns, likely, strict=True):
            if is_likely and _are_floats(connection, view, value, file):
                result.setdefault(column, []).append(file)
    return {column: sorted(files) for column, files in result.items()}


def _are_floats(connection: duckdb.DuckDBPyConnection, view: str, value: str, file: str) -> bool:
    found = connection.execute(
        f"SELECT bool_and(regexp_full_match({value}, '[+-]?[0-9]{{1,15}}\\.0')) FROM {view} "
        f"WHERE {FILE} = ? AND {value} IS NOT NULL",
        [file],
    ).fetchone()
    return bool(found and found[0])
