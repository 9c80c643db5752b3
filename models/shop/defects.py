"""Known faults added to what the shop delivers, so that what a contract must find is known exactly."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.shop.draws import Integers, Purpose, uniform
from models.shop.orders import Lines

#: Kinds of bad rows: each is an additional row, broken in exactly one way.
Defect = Literal["duplicate", "redelivered", "null_customer", "wrong_unit", "unreadable_quantity"]

_PURPOSE: dict[Defect, Purpose] = {
    "duplicate": Purpose.DUPLICATE,
    "redelivered": Purpose.REDELIVERED,
    "null_customer": Purpose.NULL_CUSTOMER,
    "wrong_unit": Purpose.WRONG_UNIT,
    "unreadable_quantity": Purpose.UNREADABLE_QUANTITY,
}
_LATE_DAYS = 3
_CENTS = 100


@dataclass(frozen=True)
class DefectShares:
    """How many bad rows come with each good order line, and the share of good lines that come late; each 0..1.

    Attributes:
        duplicate: the line again, in the same delivery.
        redelivered: the line again, in the next day's delivery.
        null_customer: a copy under an id of its own, without customer.
        wrong_unit: a copy under an id of its own, priced in cents.
        unreadable_quantity: a copy under an id of its own, its quantity a text that is no number.
        late: the good line itself is delivered one to three days after it happened.
    """

    duplicate: float = 0.004
    redelivered: float = 0.003
    null_customer: float = 0.004
    wrong_unit: float = 0.002
    unreadable_quantity: float = 0.002
    late: float = 0.01

    def __post_init__(self) -> None:
        """Raises ValueError if a share is outside 0..1."""
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"the share {field.name!r} is {getattr(self, field.name)}, not between 0 and 1")


def days_late(seed: int, lines: Lines, shares: DefectShares) -> Integers:
    """Days between a line and its delivery: 0, or 1..3 for the late ones."""
    key = lines.key.view(np.int64)
    days = 1 + (uniform(seed, Purpose.LATE_DELAY, key) * _LATE_DAYS).astype(np.int64)
    return np.where(uniform(seed, Purpose.LATE, key) < shares.late, days, 0)


def affected(seed: int, lines: Lines, shares: DefectShares, defect: Defect) -> NDArray[np.bool_]:
    """Which good lines come with a bad row of this kind."""
    return uniform(seed, _PURPOSE[defect], lines.key.view(np.int64)) < getattr(shares, defect)


def broken(rows: pa.Table, defect: Defect) -> tuple[pa.Table, pa.Array | None]:
    """Copies of `rows` (order lines) broken in one way, and their quantities as delivered where these are no number."""
    if defect in ("duplicate", "redelivered"):
        return rows, None
    rows = _with(rows, "order_line_id", pc.binary_join_element_wise(rows["order_line_id"], defect, "-"))
    if defect == "null_customer":
        return _with(rows, "customer_id", pa.nulls(len(rows), pa.string())), None
    if defect == "wrong_unit":
        return _with(rows, "unit_price", pc.multiply(rows["unit_price"], float(_CENTS))), None
    text = pc.binary_join_element_wise(rows["quantity"].cast(pa.string()), "pcs", " ")
    return _with(rows, "quantity", pa.nulls(len(rows), pa.int32())), text


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
