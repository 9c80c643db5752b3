"""Contract of a step's input or output: named, typed fields of a record."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError, choose_from

Column = NDArray[Any]

#: Type of a field -> type of its column. `text`, `texts` and `record` are Python objects; `timestamp` is UTC.
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "text": np.dtype(object),
        "texts": np.dtype(object),
        "record": np.dtype(object),
        "number": np.dtype(np.float64),
        "integer": np.dtype(np.int64),
        "flag": np.dtype(np.bool_),
        "timestamp": np.dtype("datetime64[us]"),
    }
)
#: Python types of one value of a field whose column holds objects.
_OBJECTS: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {"text": str, "texts": (list, tuple), "record": dict, "integer": int, "flag": bool}
)
#: The same of columns that numpy types hold.
_PLAIN: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "number": (int, float, np.integer, np.floating),
        "integer": (int, np.integer),
        "flag": (bool, np.bool_),
        "timestamp": (datetime, np.datetime64),
    }
)
_VECTOR = re.compile(r"vector\(([1-9][0-9]*)\)$")
_NAME = re.compile(r"[a-z][a-z0-9_]*$")


@dataclass(frozen=True)
class FieldType:
    """Type of one field.

    Attributes:
        name: a key of `DTYPES`, or `vector`.
        width: numbers of a vector; 0 of another type.
        nullable: whether a value may be missing (`?` behind the type).
    """

    name: str
    width: int = 0
    nullable: bool = False

    @classmethod
    def parse(cls, text: str) -> "FieldType":
        """Read a type as it is written, e.g. `text`, `number?`, `vector(384)`.

        Raises:
            TesseraError: there is no such type.
        """
        nullable, plain = text.endswith("?"), text.removesuffix("?")
        if found := _VECTOR.match(plain):
            return cls("vector", int(found.group(1)), nullable)
        if plain not in DTYPES:
            raise TesseraError(
                f"{text!r} is no type of a field.",
                expected=f"{choose_from(plain, [*DTYPES, 'vector(384)'])}; `?` behind it where a value may be missing",
                todo="Correct the step's `takes` or `gives`.",
            )
        return cls(plain, 0, nullable)

    @cached_property
    def holds_objects(self) -> bool:
        """True if its column holds Python objects: texts and records, and integers and flags that may be missing."""
        return self.name != "vector" and (
            DTYPES[self.name].kind == "O" or (self.nullable and self.name in ("integer", "flag"))
        )

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of its column."""
        return np.dtype(object) if self.holds_objects else DTYPES.get(self.name, np.dtype(np.float32))

    def accepts(self, other: "FieldType") -> bool:
        """Return whether every value of `other` is one of this type."""
        return (self.name, self.width) == (other.name, other.width) and (self.nullable or not other.nullable)

    def column(self, values: list[Any]) -> Column:
        """Build the column of some values, None where one is missing.

        Raises:
            TypeError: a value is of another type.
            ValueError, OverflowError: numpy cannot hold a value.
        """
        if self.holds_objects:
            found = np.empty(len(values), dtype=object)
            found[:] = values
            return found
        if self.name == "vector":
            missing = [np.nan] * self.width
            rows = [missing if value is None else value for value in values]
            return np.asarray(rows, dtype=np.float32).reshape(len(values), self.width)
        kind = _PLAIN[self.name]
        for value in values:
            # numpy would read "1" as a number, cut 1.5 to an integer, and take None for False.
            fits = isinstance(value, kind) and (self.name == "flag" or not isinstance(value, bool))
            if not (fits or (value is None and self.name in ("number", "timestamp"))):
                raise TypeError(f"{value!r} is no {self.name}")
        if self.name == "number":
            return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        if self.name == "timestamp":
            values = [_utc(value) for value in values]
        return np.array(values, dtype=DTYPES[self.name])

    def problem(self, column: object, n: int) -> str:
        """Return the reason why `column` is not one of `n` values of this type, "" if it is one."""
        if not isinstance(column, np.ndarray):
            return f"is a {type(column).__name__} instead of a column (numpy array)"
        shape = (n, self.width) if self.width else (n,)
        if column.shape != shape:
            return f"has the shape {column.shape} instead of {shape}"
        return "" if column.dtype == self.dtype else f"is of dtype {column.dtype} instead of {self.dtype}"

    def wrong(self, column: Column) -> NDArray[np.bool_] | None:
        """Return True where a value is missing that must not be, or is of another type; None if none is."""
        if self.holds_objects:
            kind = _OBJECTS[self.name]
            found = [not (isinstance(one, kind) or (self.nullable and one is None)) for one in column]
            return np.array(found) if True in found else None
        if self.nullable or self.name in ("integer", "flag"):
            return None
        if column.size == 1 and self.name == "number" and isfinite(column[0]):
            return None
        # Infinite numbers are as wrong as missing ones: no model knows them.
        missing: NDArray[np.bool_] = np.isnat(column) if self.name == "timestamp" else ~np.isfinite(column)
        if not missing.any():
            return None
        return np.asarray(missing.any(axis=1)) if missing.ndim == 2 else missing

    def __str__(self) -> str:
        return (f"vector({self.width})" if self.width else self.name) + ("?" if self.nullable else "")


@dataclass(frozen=True)
class Fields:
    """Fields of a record by name, with a name that errors and pictures show."""

    name: str
    types: Mapping[str, FieldType]

    def __getitem__(self, field: str) -> FieldType:
        return self.types[field]

    def __iter__(self) -> Iterator[str]:
        return iter(self.types)

    def __len__(self) -> int:
        return len(self.types)

    def __contains__(self, field: object) -> bool:
        return field in self.types

    def plus(self, other: "Fields", name: str = "") -> "Fields":
        """Return the fields of both; of a field of both, that of `other`."""
        return Fields(name or self.name, {**self.types, **other.types})

    def only(self, names: Iterable[str], name: str = "") -> "Fields":
        """Return some of the fields, in the order of `names`."""
        return Fields(name or self.name, {field: self.types[field] for field in names})

    def as_text(self) -> dict[str, str]:
        """Return the type of each field as it is written."""
        return {field: str(kind) for field, kind in self.types.items()}


def _utc(value: datetime | np.datetime64 | None) -> datetime | np.datetime64 | None:
    """Return a timestamp as numpy knows it: UTC without a zone."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def fields(name: str, types: Mapping[str, str]) -> Fields:
    """Build a contract of its fields' types as they are written: `fields("Ticket", {"text": "text"})`.

    Raises:
        TesseraError: a name or a type is none.
    """
    for field in types:
        if not _NAME.match(field):
            raise TesseraError(
                f"{name} has a field {field!r}.",
                expected="names of small letters, digits and `_`, e.g. `urgency`",
                todo="Rename it.",
            )
    return Fields(name, {field: FieldType.parse(text) for field, text in types.items()})
