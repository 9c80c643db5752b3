"""State of a stream as its application declares it: tables of rows by key, how rows age, whom they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

#: Values of all columns of a table, in their order.
Row = tuple[Any, ...]
#: The first values of a row, which name it in its table.
Key = tuple[Any, ...]
#: `int` has 64 bits. No value is missing.
ColumnType = Literal["int", "float", "text", "bytes"]
#: A row without what had to go (None: nothing is left of it), and the number of records that went.
Cut = tuple[Row | None, int]


@dataclass(frozen=True, eq=False)
class StateTable:
    """One kind of values of a stream.

    A row whose column is called as the id of a kind of entity (`models.erasure.tombstones.ENTITIES`) is erased with
    that entity.

    Attributes:
        name: of the table, unique in its stream.
        columns: name -> type; the first `key_columns` are the key.
        key_columns: number of columns of the key.
        at: column with a timestamp (µs since 1970, UTC); rows are listed and removed in its order.
        cut: removes what is older than a timestamp (µs) from a row of many records; None: an old row is removed whole.
        after: table of whose rows nothing may be that old before rows of this one are removed for their age.
    """

    name: str
    columns: Mapping[str, ColumnType]
    key_columns: int
    at: str
    cut: Callable[[Row, int], Cut] | None = None
    after: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(self.columns)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The names of the columns of its key."""
        return self.names[: self.key_columns]

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The names of the columns that are not in its key."""
        return self.names[self.key_columns :]

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names of the columns by which its rows are listed: the timestamp, then the key."""
        return tuple(dict.fromkeys((self.at, *self.key)))

    def key_of(self, row: Row) -> Key:
        """Return the key of a row."""
        return row[: self.key_columns]


def nothing_mixed(
    _column: str, _id: str, _rows: Mapping[str, Sequence[Row]]
) -> Mapping[tuple[str, Key], Callable[[Row], Cut]]:
    """No row holds anything of an entity among what it holds of others."""
    return {}


@dataclass(frozen=True, eq=False)
class StreamState:
    """The state of one stream.

    Attributes:
        name: of the stream, that of its application: lower-case letters, digits and `_`. Tables of other streams are
            apart.
        tables: removed for their age in this order.
        mixed: rows that hold something of an erased entity among what they hold of others. It is given the entity's
            column, its id, and the rows that name it, by table; it returns table and key of each such row, and the
            function that cuts it.
        alerts_about: column of the ids that its alerts are about, which are erased with the entity; "": of no entity
            that can be.
    """

    name: str
    tables: tuple[StateTable, ...]
    mixed: Callable[[str, str, Mapping[str, Sequence[Row]]], Mapping[tuple[str, Key], Callable[[Row], Cut]]] = (
        nothing_mixed
    )
    alerts_about: str = ""

    def table(self, name: str) -> StateTable:
        """Return one of its tables."""
        return next(one for one in self.tables if one.name == name)

    def stored_name(self, table: StateTable) -> str:
        """Return the name of one of its tables in a database that holds those of many streams."""
        return f"{self.name}_{table.name}"
