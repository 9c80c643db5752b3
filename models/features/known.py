"""Features over nothing but the orders that were known at a cut-off."""

# ibis gives the columns of a table no static types.
# pyright: basic

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir


def known_orders(
    expression: Callable[..., ir.Table], placed_by: datetime, delivered_by: date
) -> Callable[..., ir.Table]:
    """`expression` over `orders` without the rows placed or delivered later: for comparison with the whole table."""

    def restricted(orders: Any, **arguments: Any) -> ir.Table:
        placed: Any = orders.ordered_at <= ibis.timestamp(placed_by.isoformat())
        return expression(orders.filter(placed, orders.delivered_on <= ibis.literal(delivered_by)), **arguments)

    return restricted
