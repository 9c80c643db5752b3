"""Small tables of features and of entity rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from tests.conformance.feast_stores.stores import CREATED, KEY, MOMENT, US_UTC

T = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)

#: Customer, event time, created time, value of the feature `x`.
Row = tuple[str | None, datetime | None, datetime | None, float | None]


def features(*rows: Row) -> pa.Table:
    """`customer_id`, `event_timestamp`, `created_timestamp` (µs, UTC) and one feature, `x`."""
    return table(
        {KEY: pa.string(), MOMENT: US_UTC, CREATED: US_UTC, "x": pa.float64()},
        rows,
    )


def asked(*rows: tuple[str | None, datetime | None]) -> pa.Table:
    """Entity rows: `customer_id`, `event_timestamp`, and their number in `row`."""
    numbered = [(*row, number) for number, row in enumerate(rows)]
    return table({KEY: pa.string(), MOMENT: US_UTC, "row": pa.int64()}, numbered)


def table(schema: dict[str, pa.DataType], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of plain values as a table of that schema."""
    return pa.Table.from_pylist([dict(zip(schema, row, strict=True)) for row in rows], pa.schema(schema.items()))


def values(joined: pa.Table, column: str = "x") -> list[Any]:
    """The column in the order of the entity rows, which a store need not keep."""
    return joined.sort_by("row")[column].to_pylist()
