"""The clean order lines of some customers as arrays: what is known of them at a cut-off."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.simulation.customer_behaviour import COUNTRIES
from models.simulation.random_streams import Integers

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class History:
    """Customers in ascending order of id, and their orders in ascending order of customer; days are day numbers.

    `whose` is the place of an order's customer, `lines` its number of lines, `returned` whether a part of it has come
    back by the cut-off.
    """

    country: Integers
    joined: Integers
    whose: Integers
    day: Integers
    lines: Integers
    returned: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> "History":
        """Return the customers at the places `start`..`stop` (not included), with their orders."""
        first, last = np.searchsorted(self.whose, [start, stop])
        orders = slice(int(first), int(last))
        return History(
            self.country[start:stop],
            self.joined[start:stop],
            self.whose[orders] - start,
            self.day[orders],
            self.lines[orders],
            self.returned[orders],
        )

    def last_bought(self) -> Integers:
        """Return the day of each customer's last order."""
        last = np.zeros(len(self.joined), dtype=np.int64)
        np.maximum.at(last, self.whose, self.day)
        return last


def seen_at(orders: pa.Table, customers: pa.Table, cutoff_day: date, active_days: int) -> tuple[list[str], History]:
    """Return the customers who bought in the `active_days` up to `cutoff_day`, and all they did until then.

    Raises:
        ValueError: a customer in question is not among `customers`.
    """
    orders = orders.filter(pc.less_equal(_day(orders), cutoff_day))
    bought = orders.filter(pc.invert(orders["is_return"]))
    recent = pc.greater(_day(bought), cutoff_day - timedelta(days=active_days))
    ids = pc.unique(bought["customer_id"].filter(recent)).sort()
    known = customers.take(_places(ids, customers["customer_id"]))
    each = bought.append_column("day", _day(bought)).group_by(["order_id", "customer_id"])
    each = each.aggregate([("day", "min"), ("order_line_id", "count")])
    each = each.append_column("whose", pc.index_in(each["customer_id"], ids)).drop_null()
    each = each.sort_by([("whose", "ascending"), ("order_id", "ascending")])
    back = pc.utf8_slice_codeunits(orders["order_id"].filter(orders["is_return"]), 1)
    return ids.to_pylist(), History(
        country=_numbers(_places(known["country"], pa.array(COUNTRIES))),
        joined=_day_numbers(known["signed_up_on"]),
        whose=_numbers(each["whose"]),
        day=_day_numbers(each["day_min"]),
        lines=_numbers(each["order_line_id_count"]),
        returned=pc.is_in(each["order_id"], back).to_numpy(),
    )


def _day(orders: pa.Table) -> pa.ChunkedArray:
    return orders["ordered_at"].cast(pa.date32())


def _day_numbers(days: pa.ChunkedArray) -> Integers:
    return _numbers(days.cast(pa.int32())) + _EPOCH


def _numbers(values: pa.ChunkedArray | pa.Array) -> Integers:
    return values.to_numpy().astype(np.int64)


def _places(values: pa.Array | pa.ChunkedArray, among: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    places = pc.index_in(values, among)
    if places.null_count:
        missing = values.filter(pc.is_null(places))[0].as_py()
        raise ValueError(f"{missing!r} is not known to the shop")
    return places
