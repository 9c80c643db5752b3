"""Small tables `orders` for tests, and the engine that computes over them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from resources.engine.local import LocalEngine, LocalEngineConfig

FIRST_DAY = date(2024, 1, 1)

SCHEMA = pa.schema(
    [
        ("order_line_id", pa.string()),
        ("order_id", pa.string()),
        ("customer_id", pa.string()),
        ("product_id", pa.string()),
        ("ordered_at", pa.timestamp("us", "UTC")),
        ("quantity", pa.int32()),
        ("unit_price", pa.float64()),
        ("currency", pa.string()),
        ("country", pa.string()),
        ("is_return", pa.bool_()),
        ("delivered_on", pa.date32()),
    ]
)


class Line(NamedTuple):
    """One order line; `at` counts microseconds from the first day, `late` days from order to delivery."""

    customer: str
    order: str
    product: str
    at: int
    pieces: int
    price_cents: int
    country: str
    is_return: bool
    late: int

    @property
    def ordered_at(self) -> datetime:
        return datetime.combine(FIRST_DAY, datetime.min.time(), tzinfo=UTC) + timedelta(microseconds=self.at)

    @property
    def delivered_on(self) -> date:
        return self.ordered_at.date() + timedelta(days=self.late)


def bought(customer: str, day: date, *, hour: int = 12, **changes: Any) -> Line:
    """A purchase of one piece for 10.00 at that hour, delivered on the same day."""
    at = (day - FIRST_DAY).days * 86_400_000_000 + hour * 3_600_000_000
    line = Line(customer, f"{customer}-{at}", "mug", at, 1, 1000, "Norway", False, 0)
    return line._replace(**changes)


def orders_table(lines: Iterable[Line]) -> pa.Table:
    """The lines as the lake table `orders`."""
    rows = [
        {
            "order_line_id": str(number),
            "order_id": line.order,
            "customer_id": line.customer,
            "product_id": line.product,
            "ordered_at": line.ordered_at,
            "quantity": -line.pieces if line.is_return else line.pieces,
            "unit_price": line.price_cents / 100,
            "currency": "EUR",
            "country": line.country,
            "is_return": line.is_return,
            "delivered_on": line.delivered_on,
        }
        for number, line in enumerate(lines)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def cutoffs_table(days: Iterable[date]) -> pa.Table:
    return pa.table({"feature_date": pa.array(list(days), pa.date32())})


def engine(temp_directory: object, threads: int = 1) -> LocalEngine:
    return LocalEngineConfig(threads=threads, memory_limit_mb=500, temp_directory=str(temp_directory)).open()
