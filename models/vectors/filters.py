"""Conditions on the payload of rows, checked against the fields that an index declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.errors import TesseraError, choose_from
from models.vectors.spec import PayloadType
from models.vectors.values import Value, checked_value


@dataclass(frozen=True)
class Equal:
    """The field is the value; a field of several texts has it among them."""

    field: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    """The field is one of the values; a field of several texts has one of them."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Between:
    """The field is a number or a timestamp within bounds; a bound that is None is open.

    Attributes:
        at_least: smallest value that fits.
        below: the value must be smaller than it.
        at_most: greatest value that fits.
        above: the value must be greater than it.
    """

    field: str
    at_least: Value | None = None
    below: Value | None = None
    at_most: Value | None = None
    above: Value | None = None


@dataclass(frozen=True)
class Missing:
    """The row has no value of the field: null, or a list without a text."""

    field: str


@dataclass(frozen=True)
class Every:
    """Each condition holds; true if there is none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Some:
    """At least one condition holds; false if there is none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    """The condition does not hold: a row that lacks its field fits, too."""

    filter: Filter


Filter: TypeAlias = Equal | OneOf | Between | Missing | Every | Some | Not

_ORDERED = ("integer", "float", "timestamp")


def checked(where: Filter, payload: Mapping[str, PayloadType]) -> Filter:
    """Return the condition with its values as stores hold them: timestamps are µs since 1970.

    Raises:
        TesseraError: it names no field of the index, or compares a field with a value of another type.
    """
    if isinstance(where, Every):
        return Every(tuple(checked(one, payload) for one in where.filters))
    if isinstance(where, Some):
        return Some(tuple(checked(one, payload) for one in where.filters))
    if isinstance(where, Not):
        return Not(checked(where.filter, payload))
    kind = _kind(where.field, payload)
    if isinstance(where, Missing):
        return where
    if isinstance(where, Between):
        return _bounds(where, kind)
    item = "text" if kind == "texts" else kind
    if isinstance(where, Equal):
        return Equal(where.field, checked_value(where.field, item, where.value))
    return OneOf(where.field, tuple(checked_value(where.field, item, value) for value in where.values))


def holds(where: Filter, payload: Mapping[str, object]) -> bool:
    """Return True if the row with this payload fits; the condition is `checked`, and so are the row's values."""
    if isinstance(where, Every):
        return all(holds(one, payload) for one in where.filters)
    if isinstance(where, Some):
        return any(holds(one, payload) for one in where.filters)
    if isinstance(where, Not):
        return not holds(where.filter, payload)
    value = payload.get(where.field)
    if isinstance(where, Missing):
        return value is None or value == []
    if value is None:
        return False
    if isinstance(where, Between):
        return _within(where, value)
    wanted = (where.value,) if isinstance(where, Equal) else where.values
    found: Sequence[object] = value if isinstance(value, list) else [value]
    return any(one in wanted for one in found)


def bounds(where: Between) -> Mapping[str, Value]:
    """Return the bounds that are set, by name."""
    every = {"at_least": where.at_least, "below": where.below, "at_most": where.at_most, "above": where.above}
    return {name: value for name, value in every.items() if value is not None}


def _kind(field: str, payload: Mapping[str, PayloadType]) -> PayloadType:
    kind = payload.get(field)
    if kind is None:
        raise TesseraError(
            f"The filter names a field {field!r}.", expected=choose_from(field, payload), todo="Correct the filter."
        )
    if kind == "document":
        raise TesseraError(
            f"The filter names {field!r}, a document: no store can filter by it.",
            expected="a field of another type",
            todo="Correct the filter, or declare the field as `text` where the index is built.",
        )
    return kind


def _bounds(where: Between, kind: PayloadType) -> Between:
    if kind not in _ORDERED:
        raise TesseraError(
            f"The filter asks for a range of {where.field!r}, which is of type {kind}.",
            expected=f"a field of type {', '.join(_ORDERED)}",
            todo="Compare it with `Equal` or `OneOf`.",
        )
    return Between(where.field, **{name: checked_value(where.field, kind, at) for name, at in bounds(where).items()})


def _within(where: Between, value: object) -> bool:
    limits = {name: at for name, at in bounds(where).items() if isinstance(at, int | float)}
    if not isinstance(value, int | float) or len(limits) < len(bounds(where)):
        raise TypeError(f"{where} was not checked against the fields of the index")
    return (
        value >= limits.get("at_least", value)
        and value <= limits.get("at_most", value)
        and ("below" not in limits or value < limits["below"])
        and ("above" not in limits or value > limits["above"])
    )
