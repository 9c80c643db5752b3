"""Conditions in Qdrant's words, for its engine in this process and for its server, whose classes differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from models.vectors.filters import Equal, Every, Filter, Missing, Not, OneOf, Some, bounds
from models.vectors.values import Value

#: Payload field that holds the id of the row.
ID = "_id"
#: Names of the vectors of a point.
DENSE, WORDS = "dense", "words"

_RANGE = {"at_least": "gte", "below": "lt", "at_most": "lte", "above": "gt"}


class Conditions(ABC):
    """Makes the conditions of one of Qdrant's libraries."""

    @abstractmethod
    def match(self, field: str, value: Value) -> Any:
        """Return the condition that the field is, or has, the value."""

    @abstractmethod
    def match_any(self, field: str, values: Sequence[Value]) -> Any:
        """Return the condition that the field is, or has, one of the texts or whole numbers."""

    @abstractmethod
    def range(self, field: str, limits: Mapping[str, Value]) -> Any:
        """Return the condition that the field is within limits: `gte`, `gt`, `lte`, `lt`."""

    @abstractmethod
    def empty(self, field: str) -> Any:
        """Return the condition that the row lacks the field, or has an empty list in it."""

    @abstractmethod
    def group(
        self, must: Sequence[Any] | None = None, should: Sequence[Any] | None = None, must_not: Any | None = None
    ) -> Any:
        """Return a filter, which is also a condition."""

    def filter(self, where: Filter | None) -> Any:
        """Return the filter of a checked condition; None for None."""
        return None if where is None else self.group(must=[self._condition(where)])

    def _condition(self, where: Filter) -> Any:
        if isinstance(where, Every):
            return self.group(must=[self._condition(one) for one in where.filters])
        if isinstance(where, Some):
            return self._some([self._condition(one) for one in where.filters])
        if isinstance(where, Not):
            return self.group(must_not=[self._condition(where.filter)])
        if isinstance(where, Missing):
            return self.empty(where.field)
        if isinstance(where, Equal):
            return self._equal(where.field, where.value)
        if isinstance(where, OneOf):
            return self._one_of(where)
        return self.range(where.field, {_RANGE[name]: value for name, value in bounds(where).items()})

    def _some(self, conditions: Sequence[Any]) -> Any:
        # An empty `should` is no condition for Qdrant: every row would fit. None lacks its id.
        return self.group(should=conditions) if conditions else self.empty(ID)

    def _equal(self, field: str, value: Value) -> Any:
        # Qdrant compares texts, whole numbers and truth values, but no fractions.
        return self.range(field, {"gte": value, "lte": value}) if isinstance(value, float) else self.match(field, value)

    def _one_of(self, where: OneOf) -> Any:
        if where.values and not isinstance(where.values[0], float | bool):
            return self.match_any(where.field, where.values)
        return self._some([self._equal(where.field, value) for value in where.values])
