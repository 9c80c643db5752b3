"""The windows of `pit_window_cases` by one plain DuckDB statement each, as rows of a feature view."""

# ruff: noqa: S608 - SQL of the cases' own names

from typing import Any

import duckdb
import pyarrow as pa

from tests.conformance.pit_cases import records


def window_rows(case: dict[str, Any]) -> pa.Table:
    """Per row of the case, in its order: `key`, `at_us` and its aggregates.

    Rows of one moment arrive one after the other, as the case lists them: `at_us` puts them 1 µs apart, so that a join
    which is wrong by one row or by one µs gives another row's aggregate.
    """
    rows = records(case["table"])
    order = case["order_by"]
    columns = {name: [row[name] for row in rows] for name in {order, *(one["column"] for one in case["aggregates"])}}
    keys = ["|".join(str(row[name]) for name in case["partition_by"]) for row in rows]
    with duckdb.connect() as connection:
        connection.register("listed", pa.table({"key": keys, "line": range(len(rows)), **columns}))
        return connection.sql(_statement(case)).to_arrow_table()


def _statement(case: dict[str, Any]) -> str:
    frame, order = case["frame"], case["order_by"]
    distance = "one.place - other.place" if frame["type"] == "rows" else f'one."{order}" - other."{order}"'
    conditions = [
        "one.key = other.key",
        "other.place <= one.place",
        f"{distance} BETWEEN {frame['end_preceding']} AND {frame['start_preceding']}",
        *(["other.place < one.place"] if frame["exclude_current_row"] else []),
        *([f'other."{order}" < one."{order}"'] if frame["exclude_current_time"] else []),
    ]
    aggregates = [f'{one["fn"]}(other."{one["column"]}") AS "{one["as"]}"' for one in case["aggregates"]]
    newest = "row_number() OVER (PARTITION BY one.line ORDER BY other.place DESC)"
    return f"""
        WITH placed AS (SELECT *, row_number() OVER (PARTITION BY key ORDER BY "{order}", line) AS place FROM listed),
        framed AS (
            SELECT one, other FROM placed one LEFT JOIN placed other ON {" AND ".join(conditions)}
            QUALIFY {newest} <= {frame["max_size"] or 2**31}
        )
        SELECT one.key AS key, one."{order}" * 1000 + one.place AS at_us, {", ".join(aggregates)}
        FROM framed GROUP BY one ORDER BY one.line"""
