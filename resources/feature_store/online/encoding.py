"""Whole columns to the bytes that Feast stores online, and back, without one protobuf object per cell.

What comes out is what Feast's own conversion gives: `Value.SerializeToString()` and `serialize_entity_key(..., 3)`.
A column whose Arrow type does not say the same as its Feast type (integers for a string, lists, maps...) takes Feast's
conversion itself. Differences, on purpose: 64-bit integers stay exact in a column that has NULLs (Feast sends them
through doubles), and empty byte strings stay empty byte strings where a batch holds no other (Feast makes them NULL).
"""

# Feast and its protobufs are only partly typed.
# pyright: basic

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import (
    NULL_TIMESTAMP_INT_VALUE,
    feast_value_type_to_python_type,
    python_values_to_proto_values,
)
from feast.types import FeastType
from feast.value_type import ValueType
from google.protobuf.message import DecodeError

from models.errors import TesseraError

#: Fewer cells are parsed one by one: numpy's fixed costs are larger.
_WORTH_A_COLUMN = 50
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_STRINGS = {
    ValueType.STRING: "string_val",
    ValueType.UUID: "uuid_val",
    ValueType.TIME_UUID: "time_uuid_val",
    ValueType.DECIMAL: "decimal_val",
}
_BYTES = (ValueType.BYTES, ValueType.PDF_BYTES, ValueType.IMAGE_BYTES)
_INTEGERS = {ValueType.INT32: ("int32_val", pa.int32()), ValueType.INT64: ("int64_val", pa.int64())}
_FLOATS = {ValueType.FLOAT: ("float_val", "<f4"), ValueType.DOUBLE: ("double_val", "<f8")}


def entity_keys(join_keys: Sequence[str], columns: pa.Table, types: Sequence[FeastType]) -> list[bytes]:
    """Feast's serialized key (version 3) of each row of `columns`.

    Args:
        join_keys: names of the key columns, in any order.
        columns: holds at least those.
        types: the Feast type of each join key.

    Raises:
        TesseraError: a key is NULL, or does not fit its type.
    """
    ordered = sorted(zip(join_keys, types, strict=True), key=lambda key: key[0])
    prefix = _prefix(tuple(name for name, _ in ordered))
    parts = []
    for name, dtype in ordered:
        column = _plain(columns.column(name))
        if column.null_count:
            raise TesseraError(
                f"{column.null_count} of {len(column)} rows have no {name!r}.",
                expected="a value in every join key of a feature view",
                todo="Drop these rows where the features are computed.",
            )
        parts.append(_key_parts(column, dtype))
    if not parts:
        return [prefix] * columns.num_rows
    parts[0] = [prefix + part for part in parts[0]]
    return parts[0] if len(parts) == 1 else list(map(b"".join, zip(*parts, strict=True)))


def encoded(column: pa.Array | pa.ChunkedArray, dtype: FeastType) -> list[bytes]:
    """Each value as a serialized Feast `Value`; NULL and NaN are `b""`, as Feast has it.

    A NULL time is the smallest integer, as Feast writes it; its readers take both for NULL.

    Raises:
        TesseraError: an integer does not fit its type.
    """
    array, kind = _plain(column), dtype.to_value_type()
    if kind in _STRINGS and _is_text(array.type):
        return _lengthy(array, _tag(_STRINGS[kind], _DELIMITED))
    if kind in _BYTES and _is_binary(array.type):
        return _lengthy(array, _tag("bytes_val", _DELIMITED))
    if kind in _FLOATS and _is_exact(array.type, kind):
        return _floats(array, *_FLOATS[kind])
    if kind in _INTEGERS and pa.types.is_integer(array.type):
        field, type = _INTEGERS[kind]
        return _integers(_fitted(array, type).cast(pa.int64()), _tag(field, _VARINT))
    if kind is ValueType.BOOL and pa.types.is_boolean(array.type):
        return _integers(array.cast(pa.int64()), _tag("bool_val", _VARINT))
    if kind is ValueType.UNIX_TIMESTAMP and (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        return _integers(_seconds(array), _tag("unix_timestamp_val", _VARINT))
    return [value.SerializeToString() for value in _feast_values(array, kind)]


def decoded(cells: Sequence[bytes | None], type: pa.DataType) -> pa.Array:
    """Return values of serialized Feast `Value`s as an array of `type`; None, `b""` and Feast's NULL time give NULL.

    Raises:
        TesseraError: a cell is no `Value`, or its value does not fit `type`.
    """
    read = _COLUMN_READERS.get(type.id) if len(cells) >= _WORTH_A_COLUMN else None
    try:
        array = read([cell or b"" for cell in cells], type) if read else None
        return _parsed(cells, type) if array is None else array
    except (DecodeError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TesseraError(
            f"A stored feature cannot be read: {error}.",
            expected=f"serialized Feast values that fit into {type}",
            todo="If the feature's type changed, materialize its view again.",
        ) from error


def key_prefix(join_keys: Iterable[str]) -> bytes:
    """Return the begin of the serialized keys of these join keys, which are in ascending order."""
    return _prefix(tuple(join_keys))


@lru_cache(maxsize=256)
def _prefix(join_keys: tuple[str, ...]) -> bytes:
    return serialize_entity_key_prefix(list(join_keys), 3)


def _feast_values(array: pa.Array, kind: ValueType) -> list[Value]:
    values = array.to_numpy(zero_copy_only=False)
    if pa.types.is_map(array.type):  # Arrow gives pairs, which Feast refuses
        values = [None if pairs is None else dict(pairs) for pairs in values]
    return python_values_to_proto_values(values, kind)  # pyright: ignore


def _key_parts(array: pa.Array, dtype: FeastType) -> list[bytes]:
    """Type, length and bytes of each value, as in a serialized key."""
    kind = dtype.to_value_type()
    if kind is ValueType.STRING and _is_text(array.type):
        return [struct.pack("<2I", kind.value, len(value)) + value for value in _raw(array)]
    if kind in _INTEGERS and pa.types.is_integer(array.type):
        fitted = _fitted(array, _INTEGERS[kind][1]).to_numpy(zero_copy_only=False)
        rows = np.empty(len(array), dtype=[("kind", "<u4"), ("size", "<u4"), ("value", fitted.dtype)])
        rows["kind"], rows["size"], rows["value"] = kind.value, fitted.itemsize, fitted
        return _cut(rows)
    start = len(serialize_entity_key_prefix(["key"], 3))
    keys = (EntityKey(join_keys=["key"], entity_values=[value]) for value in _feast_values(array, kind))
    return [serialize_entity_key(key, 3)[start:] for key in keys]


def _floats(array: pa.Array, field: str, width: str) -> list[bytes]:
    values = array.to_numpy(zero_copy_only=False)
    rows = np.empty(len(values), dtype=[("tag", "u1"), ("value", width)])
    rows["tag"] = _tag(field, _EIGHT_BYTES if width == "<f8" else _FOUR_BYTES)[0]
    with np.errstate(over="ignore"):  # a double too large for a float is infinite, as in protobuf
        rows["value"] = values
    cells = _cut(rows)
    for row in np.flatnonzero(np.isnan(values)):
        cells[row] = b""
    return cells


def _integers(array: pa.Array, tag: bytes) -> list[bytes]:
    """`tag` and a varint of 1 to 10 bytes each; negative numbers are their 64-bit two's complement."""
    numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).view(np.uint64)
    sizes = np.ones(len(numbers), np.uint8)
    for size in range(1, 10):
        sizes += numbers >= np.uint64(1 << 7 * size)
    sizes[array.is_null().to_numpy(zero_copy_only=False)] = 0
    cells = np.full(len(numbers), b"", dtype=object)
    for size in np.unique(sizes[sizes > 0]):
        where = np.flatnonzero(sizes == size)
        shifts = np.arange(0, 7 * size, 7, dtype=np.uint64)
        digits = (numbers[where, None] >> shifts & np.uint64(0x7F)).astype(np.uint8)
        digits[:, :-1] |= 0x80
        rows = np.hstack([np.broadcast_to(np.frombuffer(tag, np.uint8), (len(where), len(tag))), digits])
        cells[where] = rows.view(f"V{rows.shape[1]}")[:, 0].astype(object)
    return cells.tolist()


def _lengthy(array: pa.Array, tag: bytes) -> list[bytes]:
    """`tag`, length and bytes; each distinct value is put together once."""
    distinct = array.dictionary_encode()
    cells = [tag + _varint(len(value)) + value for value in _raw(distinct.dictionary)]
    codes = pc.fill_null(distinct.indices, len(cells)).to_numpy(zero_copy_only=False)
    table = np.empty(len(cells) + 1, dtype=object)
    table[:] = [*cells, b""]
    return table[codes].tolist()


def _seconds(array: pa.Array) -> pa.Array:
    moments = array.to_numpy(zero_copy_only=False).astype("datetime64[s]")
    return pa.array(moments.astype(np.int64))  # NaT is NULL_TIMESTAMP_INT_VALUE


def _fitted(array: pa.Array, type: pa.DataType) -> pa.Array:
    try:
        return array.cast(type)
    except pa.ArrowInvalid as error:
        raise TesseraError(
            f"A column has numbers that do not fit: {error}.",
            expected=f"what fits into {type}",
            todo="Declare the feature as Int64, or correct the values where they are computed.",
        ) from error


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _raw(array: pa.Array) -> list[bytes]:
    if len(array) < _WORTH_A_COLUMN and _is_text(array.type):
        return [value.encode() for value in array.to_pylist()]
    return array.cast(pa.large_binary()).to_numpy(zero_copy_only=False).tolist()


def _cut(rows: np.ndarray) -> list[bytes]:
    """Return the bytes of each packed record."""
    return rows.view(f"V{rows.itemsize}").tolist()


def _is_text(type: pa.DataType) -> bool:
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def _is_binary(type: pa.DataType) -> bool:
    return pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_binary_view(type)


def _is_exact(type: pa.DataType, kind: ValueType) -> bool:
    return pa.types.is_float64(type) or (kind is ValueType.FLOAT and pa.types.is_float32(type))


def _tag(field: str, wire: int) -> bytes:
    return _varint(Value.DESCRIPTOR.fields_by_name[field].number << 3 | wire)


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def _parsed(cells: Sequence[bytes | None], type: pa.DataType) -> pa.Array:
    """Cell by cell: for a few cells, for lists and maps, and for what was stored as another type."""
    if pa.types.is_float64(type):
        return pa.array([_double(cell, type) if cell else None for cell in cells], type)
    values = [_python(cell, type) if cell else None for cell in cells]
    if not pa.types.is_timestamp(type):
        return pa.array(values, type)
    seconds = pa.array([None if value == NULL_TIMESTAMP_INT_VALUE else value for value in values], pa.int64())
    return _moments(seconds, type)


def _double(cell: bytes, type: pa.DataType) -> Any:
    """Return the number of a cell that is one tag and eight bytes without making an object of it."""
    if len(cell) == 1 + _DOUBLE.size and cell[0] == _DOUBLE_TAG:
        return _DOUBLE.unpack_from(cell, 1)[0]
    return _python(cell, type)


def _python(cell: bytes, type: pa.DataType) -> Any:
    value = Value.FromString(cell)
    field = value.WhichOneof("val")
    found = None if field is None else getattr(value, field)
    if found is None or isinstance(found, (str, bytes, bool, int, float)):
        return found
    found = feast_value_type_to_python_type(value)
    if isinstance(found, dict) and pa.types.is_map(type):
        return list(found.items())
    return list(found) if isinstance(found, set) else found


def _read_floats(cells: list[bytes], type: pa.DataType) -> pa.Array | None:
    field, width = _FLOATS[ValueType.DOUBLE if pa.types.is_float64(type) else ValueType.FLOAT]
    rows = np.dtype([("tag", "u1"), ("value", width)])
    sizes = np.fromiter(map(len, cells), np.int64, len(cells))
    present = sizes > 0
    if not np.array_equal(sizes, present * rows.itemsize):
        return None
    found = np.frombuffer(b"".join(cells), rows)
    if np.any(found["tag"] != _tag(field, _EIGHT_BYTES if width == "<f8" else _FOUR_BYTES)[0]):
        return None
    values = np.zeros(len(cells), width)
    values[present] = found["value"]
    return pa.array(values, type, mask=~present)


def _read_integers(cells: list[bytes], type: pa.DataType) -> pa.Array | None:
    """From one-byte tag and varint."""
    buffer, starts, sizes = _joined(cells)
    present = sizes > 0
    tag = _tag(_INTEGER_FIELDS[type.id], _VARINT)[0]
    if np.any(sizes[present] < 2) or np.any(sizes > 11) or np.any(buffer[starts[present]] != tag):
        return None
    numbers = np.zeros(len(cells), np.uint64)
    for place in range(1, int(sizes.max(initial=0))):
        where = np.flatnonzero(sizes > place)
        digits = buffer[starts[where] + place]
        if np.any((digits > 0x7F) != (sizes[where] > place + 1)):
            return None
        numbers[where] |= (digits & 0x7F).astype(np.uint64) << np.uint64(7 * (place - 1))
    values = numbers.view(np.int64)
    if not pa.types.is_timestamp(type):
        return pa.array(values, mask=~present).cast(type)
    return _moments(pa.array(values, mask=~present | (values == NULL_TIMESTAMP_INT_VALUE)), type)


def _read_lengthy(cells: list[bytes], type: pa.DataType) -> pa.Array | None:
    """From one-byte tag, varint length of one or two bytes, and that many bytes."""
    buffer, starts, sizes = _joined(cells)
    present = sizes > 0
    long = sizes > 2 + 0x7F
    lengths = np.where(present, sizes - 2 - long, 0)
    first, second = starts[present] + 1, starts[long] + 2
    tag = _tag("bytes_val" if pa.types.is_binary(type) else "string_val", _DELIMITED)[0]
    if np.any(sizes == 1) or np.any(lengths >= 1 << 14) or np.any(buffer[first - 1] != tag):
        return None
    low, high = (lengths & 0x7F | long * 0x80)[present], (lengths >> 7)[long]
    if np.any(buffer[first] != low) or np.any(buffer[second] != high):
        return None
    kept = np.ones(len(buffer), bool)
    kept[np.concatenate([first - 1, first, second])] = False
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    parts = [pa.array(present).buffers()[1], pa.py_buffer(offsets), pa.py_buffer(buffer[kept])]
    array = pa.Array.from_buffers(type, len(cells), parts)
    array.validate(full=True)
    return array


def _joined(cells: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All bytes, and where each cell starts and how long it is."""
    sizes = np.fromiter(map(len, cells), np.int64, len(cells))
    return np.frombuffer(b"".join(cells), np.uint8), np.cumsum(sizes) - sizes, sizes


def _moments(seconds: pa.Array, type: pa.DataType) -> pa.Array:
    return seconds.cast(pa.timestamp("s", type.tz)).cast(type)  # pyright: ignore


_DOUBLE, _DOUBLE_TAG = struct.Struct("<d"), _tag("double_val", _EIGHT_BYTES)[0]
_INTEGER_FIELDS = {
    pa.int32().id: "int32_val",
    pa.int64().id: "int64_val",
    pa.bool_().id: "bool_val",
    pa.timestamp("us").id: "unix_timestamp_val",
}
_COLUMN_READERS: dict[int, Callable[[list[bytes], pa.DataType], pa.Array | None]] = {
    pa.float64().id: _read_floats,
    pa.float32().id: _read_floats,
    pa.string().id: _read_lengthy,
    pa.binary().id: _read_lengthy,
    **dict.fromkeys(_INTEGER_FIELDS, _read_integers),
}
