"""The shop's arrays as rows of the contracted tables."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

import json
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.contracts import CONTRACTS, DELIVERED_ON, ORIGINAL
from models.simulation.catalogue import CATEGORIES, Catalogue
from models.simulation.customer_behaviour import COUNTRIES
from models.simulation.orders import Lines
from models.simulation.payments import LABEL_DAYS, Paid
from models.simulation.population import Customers
from models.simulation.random_streams import Integers

CURRENCY = "EUR"
_IDS_A_DAY = 10_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_ORIGINAL = pa.field(ORIGINAL, pa.string())

#: Columns of free text, whose signs JSON escapes.
_FREE_TEXTS = ("text", "title", "body")
SCHEMAS: dict[str, pa.Schema] = {table: contract.lake_schema() for table, contract in CONTRACTS.items()}


def empty(table: str) -> pa.Table:
    """No rows of `table`."""
    return SCHEMAS[table].empty_table()


def orders(lines: Lines, delivered_on: Integers | int) -> pa.Table:
    """Order lines as rows, delivered on the given day numbers; returns have an order id that starts with `C`."""
    dates, day = np.unique(lines.order_day, return_inverse=True)
    days = pa.array(
        [np.datetime64(int(number) - _EPOCH, "D").item().strftime("%Y%m%d") for number in dates], pa.string()
    )
    order = pc.binary_join_element_wise(days.take(pa.array(day)), padded(lines.order, 6), "-")
    order = pc.binary_join_element_wise(_chosen(("", "C"), lines.is_return.astype(np.int64)), order, "")
    columns = [
        pc.binary_join_element_wise(order, padded(lines.line + 1, 2), "-"),
        order,
        customer_id_column(lines.customer),
        product_id_column(lines.product),
        moment_column(lines.day, lines.second),
        pa.array(lines.quantity, pa.int32()),
        pa.array(lines.unit_price),
        _same(CURRENCY, len(lines.day)),
        _chosen(COUNTRIES, lines.country),
        pa.array(lines.is_return),
        date_column(np.broadcast_to(delivered_on, lines.day.shape)),
    ]
    return pa.table(columns, schema=SCHEMAS["orders"])


def customers(who: Customers, delivered_on: Integers | int) -> pa.Table:
    """Return customers as rows, delivered on the given day numbers."""
    ids = customer_id_column(who.number)
    columns = [
        ids,
        _chosen(COUNTRIES, who.country),
        date_column(who.joined),
        pc.binary_join_element_wise(ids, "example.com", "@"),
        date_column(np.broadcast_to(delivered_on, who.number.shape)),
    ]
    return pa.table(columns, schema=SCHEMAS["customers"])


def products(catalogue: Catalogue, which: Integers, delivered_on: int) -> pa.Table:
    """Products as rows, delivered on one day."""
    columns = [
        product_id_column(which),
        _chosen(CATEGORIES, catalogue.category(which)),
        pa.array(catalogue.list_price(which)),
        _same(CURRENCY, len(which)),
        date_column(np.full(len(which), delivered_on)),
    ]
    return pa.table(columns, schema=SCHEMAS["products"])


def payments(paid: Paid, delivered_on: int) -> pa.Table:
    """Payments as rows, delivered on one day."""
    columns = [
        _transaction_id(paid),
        customer_id_column(paid.customer),
        pc.binary_join_element_wise("t", padded(paid.terminal, 5), ""),
        moment_column(paid.day, paid.second),
        pa.array(paid.amount),
        date_column(np.full(len(paid.day), delivered_on)),
    ]
    return pa.table(columns, schema=SCHEMAS["payments"])


def payment_labels(paid: Paid) -> pa.Table:
    """Build the fraud labels of the payments, delivered when they become known."""
    known = paid.day + LABEL_DAYS
    columns = [
        _transaction_id(paid),
        pa.array(paid.scenario > 0),
        moment_column(known, paid.second),
        date_column(known),
    ]
    return pa.table(columns, schema=SCHEMAS["payment_labels"])


def with_original(table: pa.Table, quantity_text: list[pa.Array | pa.ChunkedArray] | None) -> pa.Table:
    """Return the table with `_original`: each row as delivered, one JSON object.

    `quantity_text` (parts that follow each other) replaces `quantity` where it is not null.
    """
    table = table.combine_chunks()
    pieces: list[pa.Array | pa.Scalar] = []
    for place, field in enumerate(field for field in table.schema if field.name != DELIVERED_ON):
        value = _escaped(table[field.name]) if field.name in _FREE_TEXTS else _json(table[field.name])
        if field.name == "quantity" and quantity_text is not None:
            text = pa.concat_arrays([piece for part in quantity_text for piece in _pieces(part)])
            value = pc.if_else(pc.is_valid(text), _json(text), value)
        pieces += [pa.scalar(f'{", " if place else "{"}"{field.name}": '), value]
    return table.append_column(_ORIGINAL, pc.binary_join_element_wise(*pieces, pa.scalar("}"), ""))


def _pieces(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _json(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Each value as JSON; ids and names of this shop hold nothing that JSON would escape."""
    if pa.types.is_timestamp(column.type):
        column = pc.replace_substring(column.cast(pa.string()), " ", "T")
    text = column.cast(pa.string())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        text = pc.binary_join_element_wise('"', text, '"', "")
    return pc.fill_null(text, "null")


def _escaped(column: pa.ChunkedArray) -> pa.Array:
    """Each text as JSON, which keeps letters of all languages."""
    return pa.array([json.dumps(text, ensure_ascii=False) for text in column.to_pylist()], pa.string())


def customer_id_column(number: Integers) -> pa.Array:
    """Return customers' numbers as ids."""
    return pc.binary_join_element_wise("u", padded(number, 8), "")


def product_id_column(number: Integers) -> pa.Array:
    """Return products' numbers as ids."""
    return pc.binary_join_element_wise("p", padded(number, 5), "")


def _transaction_id(paid: Paid) -> pa.Array:
    """Return the day as YYYYMMDD, then seven digits: ascending with time, and below 2**53, which JSON can hold."""
    days, place = np.unique(paid.day, return_inverse=True)
    dates = np.array([int(date.fromordinal(int(day)).strftime("%Y%m%d")) for day in days], dtype=np.int64)
    return pa.array(dates[place] * _IDS_A_DAY + paid.number)


def moment_column(day: Integers, second: Integers) -> pa.Array:
    """Return day numbers and seconds of the day as timestamps, UTC."""
    return pa.array((day - _EPOCH) * 86_400_000_000 + second * 1_000_000).cast(pa.timestamp("us", tz="UTC"))


def padded(number: Integers, width: int) -> pa.Array:
    """Return numbers as texts of at least `width` digits."""
    return pc.utf8_lpad(pa.array(number).cast(pa.string()), width=width, padding="0")


def _chosen(names: tuple[str, ...], places: Integers) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(places))


def _same(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), rows)


def date_column(day: NDArray[np.int64]) -> pa.Array:
    """Return day numbers as dates."""
    return pa.array((day - _EPOCH).astype(np.int32)).cast(pa.date32())
