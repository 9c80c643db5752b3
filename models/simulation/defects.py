"""Known faults added to what the shop delivers, so that what a contract must find is known exactly."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from dataclasses import dataclass, fields
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.simulation.orders import Lines
from models.simulation.random_streams import Integers, Purpose, uniform

#: Kinds of bad order lines, payments and tickets: each is an additional row, broken in exactly one way.
Defect = Literal["duplicate", "redelivered", "null_customer", "wrong_unit", "unreadable_quantity"]
PaymentDefect = Literal["duplicate", "negative_amount", "no_terminal"]
TicketDefect = Literal["duplicate", "blank_text"]

_PURPOSE: dict[Defect | PaymentDefect | TicketDefect, Purpose] = {
    "duplicate": Purpose.DUPLICATE,
    "redelivered": Purpose.REDELIVERED,
    "null_customer": Purpose.NULL_CUSTOMER,
    "wrong_unit": Purpose.WRONG_UNIT,
    "unreadable_quantity": Purpose.UNREADABLE_QUANTITY,
    "negative_amount": Purpose.NEGATIVE_AMOUNT,
    "no_terminal": Purpose.NO_TERMINAL,
    "blank_text": Purpose.BLANK_TEXT,
}
#: Where the numbers of broken copies begin: beyond the payments of any day.
_BROKEN_ID: dict[PaymentDefect, int] = {"negative_amount": 8_000_000, "no_terminal": 9_000_000}
_LATE_DAYS = 3
_CENTS = 100


class Keyed(Protocol):
    """Rows with 64 mixed bits each."""

    @property
    def key(self) -> NDArray[np.uint64]:
        """The bits."""
        ...


@dataclass(frozen=True)
class DefectShares:
    """Number of bad rows per good one, by defect, and the share of good order lines that come late; each 0..1.

    Attributes:
        duplicate: the line, the payment or the ticket again, in the same delivery.
        redelivered: the line again, in the next day's delivery.
        null_customer: a copy under an id of its own, without customer.
        wrong_unit: a copy under an id of its own, priced in cents.
        unreadable_quantity: a copy under an id of its own, its quantity a text that is no number.
        late: the good line itself is delivered one to three days after it happened.
        negative_amount: a copy of a payment under a number of its own, its amount below zero.
        no_terminal: a copy of a payment under a number of its own, without terminal.
        blank_text: a copy of a ticket under an id of its own, its text nothing but blanks.
    """

    duplicate: float = 0.004
    redelivered: float = 0.003
    null_customer: float = 0.004
    wrong_unit: float = 0.002
    unreadable_quantity: float = 0.002
    late: float = 0.01
    negative_amount: float = 0.002
    no_terminal: float = 0.002
    blank_text: float = 0.002

    def __post_init__(self) -> None:
        """Raise ValueError if a share is outside 0..1."""
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"the share {field.name!r} is {getattr(self, field.name)}, not between 0 and 1")


def days_late(seed: int, lines: Lines, shares: DefectShares) -> Integers:
    """Days between a line and its delivery: 0, or 1..3 for the late ones."""
    key = lines.key.view(np.int64)
    days = 1 + (uniform(seed, Purpose.LATE_DELAY, key) * _LATE_DAYS).astype(np.int64)
    return np.where(uniform(seed, Purpose.LATE, key) < shares.late, days, 0)


def affected(
    seed: int, good: Keyed, shares: DefectShares, defect: Defect | PaymentDefect | TicketDefect
) -> NDArray[np.bool_]:
    """Mark the good lines, payments or tickets that come with a bad row of this kind."""
    return uniform(seed, _PURPOSE[defect], good.key.view(np.int64)) < getattr(shares, defect)


def broken(rows: pa.Table, defect: Defect) -> tuple[pa.Table, pa.Array | None]:
    """Return a copy of `rows` (order lines) broken in one way, and quantities as delivered where not numbers."""
    if defect in ("duplicate", "redelivered"):
        return rows, None
    rows = _with(rows, "order_line_id", pc.binary_join_element_wise(rows["order_line_id"], defect, "-"))
    if defect == "null_customer":
        return _with(rows, "customer_id", pa.nulls(len(rows), pa.string())), None
    if defect == "wrong_unit":
        return _with(rows, "unit_price", pc.multiply(rows["unit_price"], float(_CENTS))), None
    text = pc.binary_join_element_wise(rows["quantity"].cast(pa.string()), "pcs", " ")
    return _with(rows, "quantity", pa.nulls(len(rows), pa.int32())), text


def broken_payments(rows: pa.Table, defect: PaymentDefect) -> pa.Table:
    """Return a copy of `rows` (payments) broken in one way."""
    if defect == "duplicate":
        return rows
    rows = _with(rows, "transaction_id", pc.add(rows["transaction_id"], _BROKEN_ID[defect]))
    if defect == "negative_amount":
        # Of nothing nothing can be taken: a card that is only verified gets a cent back.
        return _with(rows, "amount", pc.negate(pc.max_element_wise(rows["amount"], 0.01)))
    return _with(rows, "terminal_id", pa.nulls(len(rows), pa.string()))


def broken_tickets(rows: pa.Table, defect: TicketDefect) -> pa.Table:
    """Return a copy of `rows` (tickets) broken in one way."""
    if defect == "duplicate":
        return rows
    rows = _with(rows, "ticket_id", pc.binary_join_element_wise(rows["ticket_id"], defect, "-"))
    return _with(rows, "text", pa.repeat(pa.scalar(" \n\u00a0"), len(rows)))


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
