"""Ids as text: the same text whatever physical type a file, an event or a command delivers them in.

Use `id_text` for one value and `id_texts` for a whole column of any Arrow type. Text ids keep their letters and leading
zeros; only blanks around them go (`trim_ids`). A placeholder such as `nan` or `NULL` is no id (`MISSING_IDS`).
"""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

import math
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.contracts.contract import Contract

#: Texts that stand for "no id", in lower case. `0` is not among them: real data has a customer 0.
MISSING_IDS: tuple[str, ...] = (
    *("", "nan", "-nan", "null", "none", "nil", "na", "n/a", "n.a.", "<na>", "nat", "undefined"),
    *("(null)", "<null>", "[null]", "{null}", r"\n", "-", "--", "---", "–", "—", "?", "."),
    *("#n/a", "#na", "#n/a n/a", "#null!", "#ref!", "#value!", "#name?", "#num!", "#div/0!"),
    *("1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"),
)

#: From these on, a floating-point type of so many bits skips integers: two ids can become one.
EXACT_BELOW = {16: 2**11, 32: 2**24, 64: 2**53}

#: Blanks, also invisible ones: no-break, zero-width, marks of direction, control characters.
BLANKS = (
    "".join(map(chr, range(0x21)))
    + "".join(map(chr, range(0x7F, 0xA1)))
    + "\u00ad\u1680\u180e"
    + "".join(map(chr, range(0x2000, 0x2010)))
    + "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f"
    + "".join(map(chr, range(0x2060, 0x2070)))
    + "\u3000\ufeff"
)

#: A number as a spreadsheet shortens it, e.g. `8.50123E+11`: its last digits are gone.
SHORTENED = r"^[+-]?[0-9](\.[0-9]+)?[eE]\+[0-9]+$"
_SHORTENED = re.compile(SHORTENED)


class NotAnIdError(ValueError):
    """The value cannot be the text of an id; the message says why."""


def id_text(value: Any, missing: Collection[str] = MISSING_IDS) -> str | None:
    """Text of an id of any type: `103`, `103.0`, `Decimal("103.00")` and `" 103 "` are `"103"`; None if it is missing.

    Args:
        value: an int, float, Decimal, str, bytes, numpy scalar, UUID, or None.
        missing: texts in lower case that stand for "no id".

    Raises:
        NotAnIdError: a number with a fraction, a float that does not hold every integer of its size, a number that a
            spreadsheet shortened, or bytes that are not UTF-8.
    """
    bits = 8 * getattr(value, "itemsize", 8)
    value = value.item() if hasattr(value, "item") else value
    if value is None or value != value:  # NaN of any type
        return None
    match value:
        case bool():
            return str(value).lower()
        case float():
            return _of_float(value, EXACT_BELOW.get(bits, 2**53))
        case Decimal():
            return _of_decimal(value)
        case bytes():
            return id_text(_decoded(value), missing)
    text = str(value).strip(BLANKS)
    if _SHORTENED.match(text):
        raise NotAnIdError(f"{text!r} was shortened by a spreadsheet: its last digits are lost")
    return None if text.lower() in missing else text


def id_texts(column: pa.Array | pa.ChunkedArray, missing: Collection[str] = MISSING_IDS) -> pa.ChunkedArray:
    """Return a column of ids of any Arrow type as texts, like `id_text` value by value.

    Raises:
        NotAnIdError: a value cannot be the text of an id.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pa.chunked_array([_texts(chunk, missing) for chunk in chunks], pa.string())


def trim_ids(contract: Contract, rows: pa.Table) -> tuple[pa.Table, int]:
    """`rows` with the contract's text ids without blanks around them, and the number of values that had any."""
    count = 0
    for column in contract.columns:
        if not column.is_id or column.type != "string" or column.name not in rows.column_names:
            continue
        given = rows[column.name].cast(pa.string())
        trimmed = pc.utf8_trim(given, characters=BLANKS)
        changed = pc.sum(pc.not_equal(given, trimmed)).as_py() or 0
        if changed:
            rows = rows.set_column(rows.column_names.index(column.name), column.name, trimmed)
            count += changed
    return rows, count


def _texts(chunk: pa.Array, missing: Collection[str]) -> pa.Array:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    if pa.types.is_integer(chunk.type):
        return chunk.cast(pa.string())
    # Each distinct value once: ids repeat, and what cannot be one is found by the rule for a single value.
    encoded = chunk.dictionary_encode()
    bits = 8 if not pa.types.is_floating(chunk.type) else chunk.type.bit_width
    values = [_value_text(value, bits, missing) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)


def _value_text(value: Any, bits: int, missing: Collection[str]) -> str | None:
    if isinstance(value, float) and not math.isnan(value):
        return _of_float(value, EXACT_BELOW[bits])
    return id_text(value, missing)


def _of_float(value: float, exact_below: int) -> str:
    if not value.is_integer():
        raise NotAnIdError(f"{value!r} is no integer")
    if abs(value) >= exact_below:
        raise NotAnIdError(f"{value:.0f} is a float, which does not hold every integer from {exact_below} on")
    return str(int(value))


def _of_decimal(value: Decimal) -> str:
    if not value.is_finite() or value != value.to_integral_value():
        raise NotAnIdError(f"{value} is no integer")
    return str(int(value))


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NotAnIdError(f"{value!r} is not UTF-8") from None
