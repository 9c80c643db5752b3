"""Features over nothing but the orders that were known at a cut-off."""

# ibis gives the columns of a table no static types.
# pyright: basic

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa


def known_orders(expression: Callable[..., ir.Table]) -> Callable[..., ir.Table]:
    """`expression` over `orders` without the rows placed or delivered later: for comparison with the whole table.

    What later means stands in the table `known`, see `known_by`: the SQL is the same for each cut-off.
    """

    def restricted(orders: Any, known: Any, **arguments: Any) -> ir.Table:
        placed, delivered = known.placed_by.max(), known.delivered_by.max()
        return expression(orders.filter(orders.ordered_at <= placed, orders.delivered_on <= delivered), **arguments)

    return restricted


def known_by(placed_by: datetime, delivered_by: date) -> pa.Table:
    """One row: the last moment (UTC) and the last day of delivery whose orders are known."""
    return pa.table(
        {
            "placed_by": pa.array([placed_by], pa.timestamp("us", "UTC")),
            "delivered_by": pa.array([delivered_by], pa.date32()),
        }
    )
