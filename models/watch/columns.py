"""Roles of a contract's columns in a profile: ids, numbers, categories, texts, the time of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from models.contracts import CONTRACTS, DELIVERED_ON, Column, Contract

#: A string that may be longer than this is a text, not a category.
_CATEGORY_CHARACTERS = 120
#: Id column -> the register that lists its ids.
REGISTERS = {contract.key: contract.table for contract in CONTRACTS.values() if contract.is_register}
#: Key -> the other contracted table that it names a row of, e.g. the payment that a label is about.
PARENTS = {
    contract.key: contract.table
    for contract in CONTRACTS.values()
    if not contract.is_register and not contract.versioned_by
}
#: Id column -> the table that lists its ids.
NAMED = {**PARENTS, **REGISTERS}
_NUMBERS = ("int32", "int64", "float64")


@dataclass(frozen=True)
class Roles:
    """Names of the columns of a table, by what is measured of them.

    Attributes:
        key: names the row, or the thing that successive rows are about.
        ids: other columns that name something.
        numbers: amounts and counts.
        floats: those numbers that can have a fraction.
        flags: true or false.
        categories: strings with few different values.
        texts: strings that are read by people, or say who somebody is.
        prose: those texts that can be long.
        nullable: may be missing.
        event: time of the event, if rows have one with hours.
        event_day: time of the event, also where it is only a day.
        dates: other days.
        alike: pairs of numbers in the same unit.
        versions: further columns of a composite key.
    """

    key: str
    ids: tuple[str, ...]
    numbers: tuple[str, ...]
    floats: tuple[str, ...]
    flags: tuple[str, ...]
    categories: tuple[str, ...]
    texts: tuple[str, ...]
    prose: tuple[str, ...]
    nullable: tuple[str, ...]
    event: str | None
    event_day: str | None
    dates: tuple[str, ...]
    alike: tuple[tuple[str, str], ...]
    versions: tuple[str, ...]

    @property
    def short(self) -> tuple[str, ...]:
        """Columns that are compared between days: of texts the long ones, of what numbers the rows nothing else."""
        key = (self.key,) if self.versions or self.prose else ()
        named = (*key, *self.ids, *self.numbers, *self.flags, *self.categories, *self.prose, *self.states)
        event = (self.event_day,) if self.event_day else ()
        return (*dict.fromkeys((*named, *event)), DELIVERED_ON)

    @property
    def measured(self) -> tuple[str, ...]:
        """Numbers that are compared with those of the same thing on other days."""
        return self.numbers if self.versions else self.floats or self.numbers

    @property
    def things(self) -> tuple[str, ...]:
        """Ids of what comes again: also the key of a table whose rows are states of one thing."""
        return (*((self.key,) if self.versions else ()), *self.ids)

    @property
    def states(self) -> tuple[str, ...]:
        """Columns that seldom change from one row of a thing to its next one, of a table whose rows are states."""
        return (*self.categories, *self.flags, *self.dates, *self.prose) if self.versions else ()

    @property
    def content(self) -> tuple[str, ...]:
        """Columns that say what a row states, without the numbering of rows: equal ones are copies."""
        key = (self.key,) if self.versions else ()
        things = [name for name in self.ids if name in REGISTERS]
        named = (*key, *things, *self.numbers, *self.flags, *self.categories)
        return tuple(name for name in named if name not in self.versions)


def roles_of(contract: Contract) -> Roles:
    """Return the roles of the columns of a contract."""
    columns = {column.name: column for column in contract.columns}
    ids = [name for name, column in columns.items() if column.is_id and name != contract.key]
    numbers = [name for name, column in columns.items() if column.type in _NUMBERS and not column.is_id]
    strings = [column for column in columns.values() if column.type == "string" and not column.is_id]
    texts = [column.name for column in strings if _is_text(column)]
    event = contract.event
    return Roles(
        key=contract.key,
        ids=tuple(ids),
        numbers=tuple(numbers),
        floats=tuple(name for name in numbers if columns[name].type == "float64"),
        flags=tuple(name for name, column in columns.items() if column.type == "bool"),
        categories=tuple(column.name for column in strings if not _is_text(column)),
        texts=tuple(texts),
        prose=tuple(column.name for column in strings if (column.at_most_characters or 0) > _CATEGORY_CHARACTERS),
        nullable=tuple(name for name, column in columns.items() if column.nullable),
        event=event if event and columns[event].type == "timestamp" else None,
        event_day=event,
        dates=tuple(name for name, column in columns.items() if column.type == "date" and name != event),
        alike=tuple(pair for pair in combinations(numbers, 2) if _unit(columns, pair[0]) == _unit(columns, pair[1])),
        versions=contract.versioned_by,
    )


def _unit(columns: Mapping[str, Column], name: str) -> str:
    """Return the unit of a column; one without a unit is like no other."""
    return columns[name].unit or name


def _is_text(column: Column) -> bool:
    return column.pii == "direct" or (column.at_most_characters or 0) > _CATEGORY_CHARACTERS
