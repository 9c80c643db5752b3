"""Named tensors of the Open Inference Protocol: the datatype and shape of a column, and its values as JSON or bytes.

A missing value is `null`, of numbers also NaN; bytes have no `null`. Where a field has no datatype of its own, its
values are texts (BYTES): lists and records as JSON, times as ISO 8601 in UTC.
"""

import json
import math
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from models.compose.fields import Column, FieldType
from models.errors import TesseraError, choose_from

Datatype = Literal["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]

_DTYPES: Mapping[Datatype, type[Any]] = {"FP32": np.float32, "FP64": np.float64}
#: Of values as bytes: little-endian, without padding.
_BINARY: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("u1"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
#: Each of BYTES: its length, then so many bytes.
_LENGTH = struct.Struct("<I")
_NUMBERS: tuple[Datatype, ...] = ("FP64", "FP32", "INT64", "INT32")
#: Type of a field -> datatypes that are taken for it; metadata names the first.
_TAKEN: Mapping[str, tuple[Datatype, ...]] = {
    "number": _NUMBERS,
    "vector": ("FP32", "FP64"),
    "integer": ("INT64", "INT32"),
    "flag": ("BOOL",),
}
_PYTHON: Mapping[Datatype, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "INT32": frozenset({int}),
    "INT64": frozenset({int}),
    "FP32": frozenset({int, float}),
    "FP64": frozenset({int, float}),
    "BYTES": frozenset({str}),
}
_NULLABLE: Mapping[Datatype, frozenset[type]] = {name: kinds | {type(None)} for name, kinds in _PYTHON.items()}
_BITS: Mapping[Datatype, int] = {"INT32": 31, "INT64": 63}
_FLOATS: set[type] = {float}
_SHOWN = 60


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model.

    Attributes:
        name: of the column.
        datatype: that metadata names.
        width: numbers of a vector; 0: one value for each row.
    """

    name: str
    datatype: Datatype
    width: int = 0

    @property
    def shape(self) -> list[int]:
        """Shape as metadata has it: -1 is the number of rows."""
        return [-1, self.width] if self.width else [-1]


def tensor_of(name: str, kind: FieldType) -> Tensor:
    """Return the tensor of a field."""
    return Tensor(name, _TAKEN.get(kind.name, ("BYTES",))[0], kind.width)


def read_tensor(kind: FieldType, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> Column:
    """Return the column of a tensor, one value or vector for each row.

    Args:
        kind: of the field.
        datatype: of the values.
        shape: `[rows]`, `[rows, 1]`, or of a vector `[rows, width]`.
        data: values in row-major order, flat or nested as the shape says.

    Raises:
        TesseraError: another datatype or shape, or a value that is none of the datatype; without the tensor's name.
    """
    if kind.name == "number" and datatype == "FP64" and shape == [len(data)] and set(map(type, data)) == _FLOATS:
        return _finite(kind, np.frombuffer(array("d", data)))
    checked = _checked(kind, datatype, shape)
    values = _flat(data, shape)
    _check_types(values, checked, nullable=kind.nullable)
    return _column(kind, checked, values, shape[0])


def read_bytes(kind: FieldType, datatype: str, shape: Sequence[int], data: memoryview) -> Column:
    """Return the column of a tensor whose values are bytes, as `read_tensor`; numbers of 64 bits are not copied.

    Args:
        kind: of the field.
        datatype: of the values.
        shape: as of `read_tensor`.
        data: in row-major order, little-endian, without padding; each of BYTES after its length (4 bytes, unsigned).

    Raises:
        TesseraError: another datatype, shape or size, or a value that is none of the datatype.
    """
    if kind.name == "number" and datatype == "FP64" and len(shape) == 1 and 0 < shape[0] * 8 == len(data):
        return _finite(kind, np.frombuffer(data, _BINARY["FP64"]))
    checked = _checked(kind, datatype, shape)
    if checked == "BYTES":
        return _column(kind, checked, read_texts(data, math.prod(shape)), shape[0])
    values = _read_numbers(checked, shape, data)
    if kind.name == "number":
        return _finite(kind, values.astype(np.float64, copy=False))
    if kind.name == "vector":
        with np.errstate(over="ignore"):
            return _finite(kind, values.astype(np.float32, copy=False).reshape(shape[0], kind.width))
    if checked == "BOOL" and (wrong := values > 1).any():
        place = int(np.argmax(wrong))
        raise _wrong(f"has the byte {values[place]} as value {place}", "bytes 0 (false) and 1 (true)")
    return _column(kind, checked, (values.astype(np.bool_) if checked == "BOOL" else values).tolist(), shape[0])


def read_texts(data: memoryview, number: int) -> list[str]:
    """Return so many texts, each after its length.

    Raises:
        TesseraError: there are fewer or more bytes, or some are no UTF-8.
    """
    found, at, size = list[str](), 0, len(data)
    while len(found) < number:
        end = at + _LENGTH.size
        length = _LENGTH.unpack_from(data, at)[0] if end <= size else size
        if end + length > size:
            raise _wrong(
                f"has {size:,} bytes, which end within value {len(found)}", f"{number:,} values, each after its length"
            )
        try:
            found.append(str(data[end : end + length], "utf-8"))
        except UnicodeDecodeError as error:
            raise _wrong(f"has bytes as value {len(found)} that are no text", "UTF-8") from error
        at = end + length
    if at < size:
        raise _wrong(f"has {size - at:,} bytes after its last value", f"{number:,} values, each after its length")
    return found


def values_of(column: Column) -> list[Any]:
    """Return the values of a column as tensors have them: flat, in row-major order, `None` where one is missing."""
    if column.dtype.kind in "iub":
        return column.ravel().tolist()
    if column.dtype.kind == "f":
        values = column.ravel().tolist()
        return [None if math.isnan(one) else one for one in values] if np.isnan(column).any() else values
    return [json_value(one) for one in column.tolist()]


def bytes_of(tensor: Tensor, column: Column) -> bytes:
    """Return the values of a column as `read_bytes` reads them.

    Raises:
        TesseraError: a value is missing, and the datatype has no NaN; without the tensor's name.
    """
    if column.dtype.kind in "biuf":
        return np.ascontiguousarray(column, _BINARY[tensor.datatype]).tobytes()
    values = values_of(column)
    if None in values and tensor.datatype not in _DTYPES:
        raise _wrong(
            f"has no value {values.index(None)}", "a value each, since bytes have no null", "Ask for it as JSON."
        )
    if tensor.datatype != "BYTES":
        return np.array(values, _BINARY[tensor.datatype]).tobytes()
    texts = [str(one).encode() for one in values]
    return b"".join(part for one in texts for part in (_LENGTH.pack(len(one)), one))


def json_value(value: Any) -> Any:
    """Return a value as a tensor has it: lists and records as JSON text, times as ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, list | tuple | dict | np.ndarray):
        return json.dumps(value, default=_plain)
    return value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _checked(kind: FieldType, datatype: str, shape: Sequence[int]) -> Datatype:
    """Return the datatype, which is taken for the field, as the shape is."""
    taken = _TAKEN.get(kind.name, ("BYTES",))
    if datatype not in taken:
        raise _wrong(f"has the datatype {datatype[:_SHOWN]!r}", choose_from(datatype, taken))
    wide = [kind.width] if kind.width else [1]
    if not shape or shape[0] < 1 or list(shape[1:]) not in ([wide] if kind.width else [[], wide]):
        raise _wrong(
            f"has the shape {list(shape)}", f"[rows, {kind.width}]" if kind.width else "[rows], rows at least 1"
        )
    return taken[taken.index(datatype)]


def _read_numbers(datatype: Datatype, shape: Sequence[int], data: memoryview) -> Column:
    dtype, number = _BINARY[datatype], math.prod(shape)
    if len(data) != number * dtype.itemsize:
        raise _wrong(
            f"has {len(data):,} bytes, and its shape is {list(shape)}",
            f"{number * dtype.itemsize:,} bytes of {datatype}",
        )
    return np.frombuffer(data, dtype)


def _finite(kind: FieldType, column: Column) -> Column:
    """Return numbers, none of which is infinite, nor missing where none may be."""
    flat = column if column.ndim == 1 else column.ravel()
    if math.isfinite(flat.dot(flat)):  # a third of the cost of looking at each
        return column
    if (infinite := np.isinf(flat)).any():
        place = int(np.argmax(infinite))
        raise _wrong(f"has {flat[place]} as value {place}", "finite numbers; null or NaN where one is missing")
    return _without_wrong(kind, column, flat.tolist())


def _flat(data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    values = data if isinstance(data, list) else list(data)
    if len(shape) > 1 and any(type(one) is list for one in values):
        if any(type(one) is not list or len(one) != shape[1] for one in values):
            raise _wrong("has rows of different lengths", f"rows of {shape[1]} values, or all values in one list")
        values = [one for row in values for one in row]
    wanted = math.prod(shape)
    if len(values) != wanted:
        raise _wrong(f"has {len(values):,} values, and its shape is {list(shape)}", f"{wanted:,} values")
    return values


def _check_types(values: list[Any], datatype: Datatype, *, nullable: bool) -> None:
    allowed = _NULLABLE[datatype] if nullable else _PYTHON[datatype]
    if not set(map(type, values)) <= allowed:
        place = next(at for at, one in enumerate(values) if type(one) not in allowed)
        expected = f"{datatype} values" + (", or null where one is missing" if nullable else ", none missing")
        raise _wrong(f"has {_shown(values[place])} as value {place}", expected)
    if datatype in _BITS:
        limit = 2 ** _BITS[datatype]
        for place, one in enumerate(values):
            if one is not None and not -limit <= one < limit:
                raise _wrong(f"has {_shown(one)} as value {place}", f"{datatype} values")


def _column(kind: FieldType, datatype: Datatype, values: list[Any], rows: int) -> Column:
    if kind.name in ("number", "vector"):
        return _numbers(kind, datatype, values, rows)
    decoded = _decoded(kind, values)
    try:
        column = kind.column(decoded)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"has a value that is no {kind}: {error}", f"values of the type {kind}") from error
    return _without_wrong(kind, column, values)


def _numbers(kind: FieldType, datatype: Datatype, values: list[Any], rows: int) -> Column:
    try:
        if datatype == "FP32" or kind.dtype == np.float32:
            with np.errstate(over="ignore"):  # what a float32 cannot hold is infinite, and refused below
                column = np.array(values, _DTYPES.get(datatype, np.float64)).astype(kind.dtype)
        else:
            column = np.array(values, kind.dtype)
    except OverflowError as error:
        raise _wrong("has a number that is too large", f"{datatype} values") from error
    shaped = column.reshape(rows, kind.width) if kind.width else column
    if np.isfinite(column).all():
        return shaped
    if (infinite := np.isinf(column)).any():
        place = int(np.argmax(infinite))
        raise _wrong(
            f"has {_shown(values[place])} as value {place}", "finite numbers; null or NaN where one is missing"
        )
    return _without_wrong(kind, shaped, values)


def _without_wrong(kind: FieldType, column: Column, values: list[Any]) -> Column:
    wrong = kind.wrong(column)
    if wrong is not None:
        place = int(np.argmax(wrong)) * (kind.width or 1)
        raise _wrong(f"has {_shown(values[place])} as value {place}", f"values of the type {kind}")
    return column


def _decoded(kind: FieldType, values: list[Any]) -> list[Any]:
    read: Callable[[str], Any] | None = {
        "texts": json.loads,
        "record": json.loads,
        "timestamp": datetime.fromisoformat,
    }.get(kind.name)
    if read is None:
        return values
    form = "ISO 8601" if kind.name == "timestamp" else "JSON"
    found: list[Any] = []
    for place, one in enumerate(values):
        try:
            found.append(None if one is None else read(one))
        except (ValueError, RecursionError) as error:
            raise _wrong(f"has {_shown(one)} as value {place}", f"{kind} as {form} text") from error
    return found


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)[:_SHOWN]


def _wrong(what: str, expected: str, todo: str = "Correct it.") -> TesseraError:
    return TesseraError(what, expected=expected, todo=todo)
