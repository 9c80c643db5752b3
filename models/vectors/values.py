"""Values of payload fields, checked: every store gives back what it was given."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TypeAlias

from models.errors import TesseraError
from models.timestamps import to_epoch_micros
from models.vectors.spec import PayloadType

Value: TypeAlias = str | int | float | bool | datetime

#: Stores compare whole numbers as floating-point numbers, which are exact up to here.
GREATEST_INTEGER = 2**53

_EXPECTED = {
    "text": "a text without zero characters",
    "document": "a text without zero characters",
    "integer": "a whole number between -2^53 and 2^53",
    "float": "a finite number",
    "boolean": "true or false",
    "timestamp": "a timestamp with a time zone",
    "texts": "a list of texts without zero characters",
}


def checked_value(field: str, kind: PayloadType, value: object) -> Value:
    """Return a value of one field as stores hold it; timestamps as µs since 1970.

    Raises:
        TesseraError: the value is of another type.
    """
    if kind in ("text", "document") and isinstance(value, str) and is_storable(value):
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "timestamp" and isinstance(value, datetime) and value.tzinfo is not None:
        return to_epoch_micros(value.astimezone(UTC))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if kind == "integer" and isinstance(value, int) and abs(value) <= GREATEST_INTEGER:
            return value
        if kind == "float" and math.isfinite(value):
            return float(value)
    raise TesseraError(
        f"{field!r} is of type {kind}, and a value is {value!r}.",
        expected=_EXPECTED[kind],
        todo="Correct the value, or the field's type where the index is built.",
    )


def is_storable(text: str) -> bool:
    """Return True if every store takes the text: it is Unicode, without zero characters."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
