"""The profile of one day: its measures by name. It holds counts, shares and sizes, no ids of persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import NamedTuple

#: Measures whose categories share out the rows of a column: one that is not there has a share of 0. Of all others, a
#: category that is not there has no value.
_SHARED_OUT = frozenset({"category", "hour", "shape"})


class Name(NamedTuple):
    """Name of one number: its measure, and the column and the category that it is about, if any."""

    measure: str
    column: str = ""
    category: str = ""


class Value(NamedTuple):
    """A number, and the rows that it was measured on."""

    value: float
    n: float


@dataclass(frozen=True)
class DayProfile:
    """Measures of one day of one table, or of one published set.

    Attributes:
        day: the day, UTC.
        values: numbers by name; `Name("rows")` is always there.
        faulty: it was found faulty and no one accepted it: it is left out of the history.
    """

    day: date
    values: Mapping[Name, Value] = field(default_factory=dict)
    faulty: bool = False

    @property
    def rows(self) -> float:
        """Rows of the day."""
        return self.values.get(Name("rows"), Value(0, 0)).value

    @cached_property
    def families(self) -> Mapping[tuple[str, str], float]:
        """Rows behind the categories of each measure and column."""
        every = self.values.items()
        return {(name.measure, name.column): value.n for name, value in every if name.measure in _SHARED_OUT}

    def value(self, name: Name) -> Value | None:
        """Return a number; of a category that the day does not have, while it has others of the column, it is 0."""
        if (found := self.values.get(name)) is not None:
            return found
        rows = self.families.get((name.measure, name.column))
        return None if rows is None else Value(0.0, rows)
