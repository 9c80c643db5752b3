"""Single cells of an online store as Python's values: of one row, without an array for each column.

A cell that is not as our stores write its type is read as a column of one cell (`encoding.decoded`): both ways give
equal values.
"""

# Feast and its protobufs are only partly typed.
# pyright: basic

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value

from resources.feature_store.online.encoding import decoded

#: A serialized `Value` (None, `b""`: NULL) -> its value.
Reader = Callable[[bytes | None], Any]

_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_LONGEST_VARINT, _SHORT = 10, 0x80


def reader(type: pa.DataType) -> Reader:
    """Return what reads the cells of features of a type.

    Raises (the reader):
        TesseraError: as `decoded`.
    """

    def whole(cell: bytes | None) -> Any:
        return decoded([cell], type)[0].as_py() if cell else None

    if pa.types.is_float64(type):
        return _number_reader(_DOUBLE, _tag("double_val", _EIGHT_BYTES), whole)
    if pa.types.is_float32(type):
        return _number_reader(_FLOAT, _tag("float_val", _FOUR_BYTES), whole)
    if pa.types.is_int64(type):
        return _integer_reader(_tag("int64_val", _VARINT), whole)
    if pa.types.is_string(type):
        return _text_reader(_tag("string_val", _DELIMITED), whole)
    return whole


def read_doubles(cells: Sequence[bytes | None]) -> Sequence[float] | None:
    """Return the numbers in cells of float64 features; None if one is not a number as our stores write it."""
    try:
        joined = b"".join(cast(Sequence[bytes], cells))
    except TypeError:  # NULL
        return None
    size, number = 1 + _DOUBLE.size, len(cells)
    if joined[::size] != bytes([_DOUBLE_TAG]) * number or set(map(len, cast(Sequence[bytes], cells))) != {size}:
        return None
    return _doubles(number).unpack(joined)


@lru_cache(maxsize=64)
def _doubles(number: int) -> struct.Struct:
    return struct.Struct("<" + "xd" * number)


def _number_reader(form: struct.Struct, tag: int, whole: Reader) -> Reader:
    size, unpack = 1 + form.size, form.unpack_from

    def read(cell: bytes | None) -> Any:
        if cell and len(cell) == size and cell[0] == tag:
            return unpack(cell, 1)[0]
        return whole(cell)

    return read


def _integer_reader(tag: int, whole: Reader) -> Reader:
    def read(cell: bytes | None) -> Any:
        if not cell or cell[0] != tag or not 1 < len(cell) <= _LONGEST_VARINT:  # negative numbers have ten digits
            return whole(cell)
        number = 0
        for digit in reversed(cell[1:]):
            number = number << 7 | digit & 0x7F
        is_one = cell[-1] < _SHORT and all(digit >= _SHORT for digit in cell[1:-1])
        return number if is_one else whole(cell)

    return read


def _text_reader(tag: int, whole: Reader) -> Reader:
    def read(cell: bytes | None) -> Any:
        if cell and cell[0] == tag and 1 < len(cell) < _SHORT and cell[1] == len(cell) - 2 and cell.isascii():
            return cell[2:].decode("ascii")
        return whole(cell)

    return read


def _tag(field: str, wire: int) -> int:
    return Value.DESCRIPTOR.fields_by_name[field].number << 3 | wire


_DOUBLE_TAG = _tag("double_val", _EIGHT_BYTES)
