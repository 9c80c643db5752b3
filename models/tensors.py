"""Named tensors of the Open Inference Protocol: the datatype and shape of a column, and its values as JSON has them.

A missing value is `null`, of numbers also NaN. Where a field has no datatype of its own, its values are texts (BYTES):
lists and records as JSON, times as ISO 8601 in UTC.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from models.compose.fields import Column, FieldType
from models.errors import TesseraError, choose_from

Datatype = Literal["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]

_DTYPES: Mapping[Datatype, type[Any]] = {"FP32": np.float32, "FP64": np.float64}
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
    taken = _TAKEN.get(kind.name, ("BYTES",))
    if datatype not in taken:
        raise _wrong(f"has the datatype {datatype[:_SHOWN]!r}", choose_from(datatype, taken))
    wide = [kind.width] if kind.width else [1]
    if not shape or shape[0] < 1 or list(shape[1:]) not in ([wide] if kind.width else [[], wide]):
        raise _wrong(
            f"has the shape {list(shape)}", f"[rows, {kind.width}]" if kind.width else "[rows], rows at least 1"
        )
    values = _flat(data, shape)
    _check_types(values, taken[taken.index(datatype)], nullable=kind.nullable)
    return _column(kind, taken[taken.index(datatype)], values, shape[0])


def values_of(column: Column) -> list[Any]:
    """Return the values of a column as tensors have them: flat, in row-major order, `None` where one is missing."""
    if column.dtype.kind in "iub":
        return column.ravel().tolist()
    if column.dtype.kind == "f":
        return [None if math.isnan(one) else one for one in column.ravel().tolist()]
    return [json_value(one) for one in column.tolist()]


def json_value(value: Any) -> Any:
    """Return a value as a tensor has it: lists and records as JSON text, times as ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, list | tuple | dict | np.ndarray):
        return json.dumps(value, default=_plain)
    return value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


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


def _wrong(what: str, expected: str) -> TesseraError:
    return TesseraError(what, expected=expected, todo="Correct it.")
