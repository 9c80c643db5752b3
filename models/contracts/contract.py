"""Declaration of a table's contract and its columns."""

# pyright: basic
# pyarrow ships no types.

from datetime import date
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

#: What the lake adds to the columns of every contract: the UTC day on which the row was delivered.
DELIVERED_ON = "delivered_on"
#: What a source delivers beside these columns: the row as it came, one JSON object.
ORIGINAL = "_original"

#: Before it nothing happened unless a source's settings say so: clocks that were never set say 1970-01-01.
EARLIEST_DAY = date(1970, 1, 2)
#: First field of `_original` where the source could not take the row apart: the reason, one sentence.
UNREADABLE = "_unreadable"

ColumnType = Literal["string", "timestamp", "date", "int32", "int64", "float64", "bool"]

#: `pseudonymous`: names a person only together with another table; `direct`: names or reaches a person by itself.
Pii = Literal["none", "pseudonymous", "direct"]

#: Promises about a whole row. Their words are in `RULE_WORDS`, their tests in `models.contracts.rules`.
RowRule = Literal["returns_are_negative", "not_after_delivery", "near_list_price"]

RULE_WORDS: dict[RowRule, str] = {
    "returns_are_negative": "quantity is negative if and only if is_return is true",
    "not_after_delivery": "a row does not happen after the day on which it is delivered",
    "near_list_price": "unit_price lies within 0.1 x to 10 x of the product's list price, where that is known",
}

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}

#: A refused row: `key` may be null, `reasons` are sentences with the value in them (of a personal
#: column its form), `original` is the row as delivered
#: (one JSON object), `run_id` is the run that refused it first.
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field(DELIVERED_ON, pa.date32()),
        pa.field("key", pa.string()),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("original", pa.string()),
        pa.field("run_id", pa.string()),
    ]
)


class Column(BaseModel):
    """One column: type, unit, limits, whether it may be null, whether it says something about a person.

    Strings are never empty, floats are finite, timestamps are µs in UTC. Limits are inclusive, except `more_than`.
    Files may lack a column that is `optional`: it is then null in every row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: ColumnType
    description: str
    unit: str | None = None
    nullable: bool = False
    optional: bool = False
    more_than: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    never: float | None = None
    not_before: date | None = None
    one_of: tuple[str, ...] = ()
    at_most_characters: int | None = None
    pii: Pii = "none"

    @property
    def is_id(self) -> bool:
        """True if the column names something: its values are compared as texts (`models.contracts.identifiers`)."""
        return self.name.endswith("_id")

    def limits_in_words(self) -> list[str]:
        """Each limit of the values as a short phrase, e.g. `> 0`."""
        phrases = {
            "> {:g}": self.more_than,
            ">= {:.15g}": self.at_least,
            "<= {:.15g}": self.at_most,
            "never {:g}": self.never,
            "not before {}": self.not_before,
            "one of {}": ", ".join(self.one_of) or None,
            "at most {} characters": self.at_most_characters,
        }
        return [phrase.format(limit) for phrase, limit in phrases.items() if limit is not None]


class Contract(BaseModel):
    """One table's promise.

    Attributes:
        table: name of the table.
        version: semantic; a change that breaks a producer or a consumer needs a new first number.
        key: names the thing that a row is about, e.g. `transaction_id`.
        versioned_by: further columns of a composite key: rows that agree in `key` and differ here are successive
            statements about one thing; all of them are kept, and the one with the latest `event` counts. Empty: `key`
            alone is unique.
        event: the column that says when the row happened; None where nothing happens (a catalogue).
        freshness_hours: after the end of a day, its rows are there within so many hours.
        is_register: whether every row ever delivered is kept (customers, products), not only those of the last
            `IngestionConfig.history_days` days.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: str
    owner: str
    freshness_hours: int = Field(gt=0)
    key: str
    versioned_by: tuple[str, ...] = ()
    event: str | None
    is_register: bool = False
    columns: tuple[Column, ...]
    rules: tuple[RowRule, ...] = ()

    @property
    def unique(self) -> tuple[str, ...]:
        """The columns that are unique together over the whole table; of several deliveries the first one is kept."""
        return self.key, *self.versioned_by

    def arrow_schema(self) -> pa.Schema:
        """Return the contract's own columns, in order: what a source delivers beside `delivered_on` and `_original`."""
        return pa.schema([pa.field(c.name, ARROW_TYPES[c.type]) for c in self.columns])

    def lake_schema(self) -> pa.Schema:
        """Return the columns of the lake's table: those of the contract, then `delivered_on` (date32)."""
        return self.arrow_schema().append(pa.field(DELIVERED_ON, pa.date32()))

    def since(self, earliest: date) -> "Contract":
        """Return the contract with another first day of what can have happened."""
        columns = [c.model_copy(update={"not_before": earliest}) if c.not_before else c for c in self.columns]
        return self.model_copy(update={"columns": tuple(columns)})

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
