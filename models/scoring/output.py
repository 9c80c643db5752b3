"""Output contracts: the columns, types and ranges of the rows that an application publishes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from models.errors import TesseraError

# pyarrow has no static types.
# pyright: basic

OutputType = Literal[
    "string",
    "timestamp",
    "date",
    "int32",
    "int64",
    "float32",
    "float64",
    "bool",
    "list<string>",
    "list<float32>",
    "list<float64>",
]
ARROW_TYPES: dict[OutputType, pa.DataType] = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
    "list<float32>": pa.list_(pa.float32()),
    "list<float64>": pa.list_(pa.float64()),
}
_NUMBERS = frozenset({"int32", "int64", "float32", "float64"})

#: Last columns of every published row. `model_version` is the registry's number, for people; `model_package` is the
#: sha256 of the model package, the same in every registry.
VERSION_FIELDS = tuple(
    pa.field(name, pa.string(), nullable=False) for name in ("model_version", "model_package", "feature_version")
)
#: Columns for people, which the digest of the rows leaves out: a registry's counter is not the model's identity.
UNHASHED_COLUMNS = frozenset({"model_version"})
#: Marks key columns in a schema, for storage that treats ids unlike other texts.
KEY_METADATA = {b"role": b"key"}


def shortest(number: float) -> float:
    """Return the number of the fewest digits that is the same in float32: 0.1 for 0.10000000149011612."""
    return float(str(np.float32(number)))


def printed(type: pa.DataType, value: Any) -> Any:
    """Return a value of a column of this type as JSON is to have it: single precision without digits of noise."""
    if value is None or type not in (ARROW_TYPES["float32"], ARROW_TYPES["list<float32>"]):
        return value
    return (
        shortest(value) if type == ARROW_TYPES["float32"] else [one if one is None else shortest(one) for one in value]
    )


@dataclass(frozen=True)
class OutputColumn:
    """One column: its values are not NULL unless `nullable`, numbers are not NaN and in `at_least`..`at_most`.

    Attributes:
        one_of: the only values of a text; empty: any.
        few_values: a text of few values, e.g. a language: the share of each is compared with earlier nights.
    """

    name: str
    type: OutputType
    description: str = ""
    nullable: bool = False
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()
    few_values: bool = False

    @property
    def is_category(self) -> bool:
        """True for decisions and other texts of few values, and for booleans."""
        return self.type == "bool" or (self.type == "string" and (self.few_values or bool(self.one_of)))

    @property
    def is_number(self) -> bool:
        """True for integers and floats."""
        return self.type in _NUMBERS

    @property
    def limits(self) -> tuple[float, float]:
        """Least and greatest value that the column may have; infinite where it is not limited."""
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most

    @property
    def has_range(self) -> bool:
        """True if there are values that the column must not have."""
        return self.is_number or bool(self.one_of) or self.type == "list<float32>"

    def field(self, *, is_key: bool = False) -> pa.Field:
        """The column as a field of an Arrow schema."""
        return pa.field(self.name, ARROW_TYPES[self.type], self.nullable, KEY_METADATA if is_key else None)


@dataclass(frozen=True)
class OutputContract:
    """The rows that an application publishes: keys, payload, then the versions that made them (`VERSION_FIELDS`).

    Attributes:
        keys: columns copied from the feature rows.
        payload: what the model and the decision rule say of each row.
        entity: the key column that names what is scored, e.g. `customer_id`.
        score: the numeric payload column whose distribution is audited, and by which users rank rows.
        order: key columns by which rows ascend and which together identify a row; default: the entity.
        not_descending: groups of payload columns that do not descend within a row, e.g. lower, prediction, upper.

    Raises:
        TesseraError: a name is repeated or unknown, or `score` is no number.
    """

    keys: tuple[OutputColumn, ...]
    payload: tuple[OutputColumn, ...]
    entity: str
    score: str
    order: tuple[str, ...] = ()
    not_descending: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", self.order or (self.entity,))
        names = [column.name for column in (*self.keys, *self.payload)] + [field.name for field in VERSION_FIELDS]
        keys = {column.name for column in self.keys}
        numbers = {column.name for column in self.payload if column.is_number}
        unknown = {self.entity, *self.order} - keys | {self.score, *sum(self.not_descending, ())} - numbers
        doubled = sorted({name for name in names if names.count(name) > 1})
        if unknown or doubled:
            raise TesseraError(
                f"The output contract of {self.entity!r} has "
                + (f"columns of one name: {doubled}." if doubled else f"no fitting column {sorted(unknown)}."),
                expected="distinct names; `entity` and `order` among the keys, `score` a number of the payload",
                todo="Correct the contract.",
            )

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the published rows, in order."""
        keys = [column.field(is_key=True) for column in self.keys]
        return pa.schema([*keys, *(column.field() for column in self.payload), *VERSION_FIELDS])

    def column(self, name: str) -> OutputColumn:
        """The key or payload column of this name."""
        return next(column for column in (*self.keys, *self.payload) if column.name == name)

    def require(self, schema: pa.Schema) -> None:
        """Refuse rows of any other columns.

        Raises:
            TesseraError: other names, types or order.
        """
        if not schema.equals(self.schema):
            raise TesseraError(
                f"Score rows have the columns {schema.names}.",
                expected=f"exactly {self.schema.names}, with their types",
                todo="Score the day again.",
            )


def binary_output(entity: str, *, decisions: Sequence[str] = ()) -> OutputContract:
    """Probability of the positive class; with `decisions`, what follows from it and why (NULL where not given)."""
    score = OutputColumn("score", "float32", "Probability of the positive class.", at_least=0, at_most=1)
    if not decisions:
        return OutputContract((OutputColumn(entity, "string"),), (score,), entity, "score")
    payload = (
        score,
        OutputColumn("decision", "string", "What follows from the score.", one_of=tuple(decisions)),
        OutputColumn("reasons", "list<string>", "What raises the score most, largest first.", nullable=True),
    )
    return OutputContract((OutputColumn(entity, "string"),), payload, entity, "score")


def regression_output(
    entity: str, *, unit: str, at_least: float | None = None, at_most: float | None = None
) -> OutputContract:
    """A predicted number and its prediction interval, in `unit`, within the given limits."""
    described = (
        ("prediction", "Prediction"),
        ("lower", "Lower end of the interval"),
        ("upper", "Upper end"),
    )
    payload = tuple(
        OutputColumn(name, "float32", f"{words}, {unit}.", at_least=at_least, at_most=at_most)
        for name, words in described
    )
    interval = (("lower", "prediction", "upper"),)
    return OutputContract((OutputColumn(entity, "string"),), payload, entity, "prediction", not_descending=interval)


def multiclass_output(entity: str, labels: Sequence[str]) -> OutputContract:
    """The most probable of `labels`, its probability, and the `top` labels with their probabilities, best first."""
    payload = (
        OutputColumn("label", "string", "Most probable label.", one_of=tuple(labels)),
        OutputColumn("probability", "float32", "Probability of the label.", at_least=0, at_most=1),
        OutputColumn("top_labels", "list<string>", "Most probable labels, best first.", one_of=tuple(labels)),
        OutputColumn("top_probabilities", "list<float32>", "Their probabilities.", at_least=0, at_most=1),
    )
    return OutputContract((OutputColumn(entity, "string"),), payload, entity, "probability")


def ranking_output(entity: str, item: str) -> OutputContract:
    """One row per entity and item: its rank for the entity, from 1, and the score it goes by."""
    payload = (
        OutputColumn("rank", "int32", "Place among the entity's items, from 1.", at_least=1),
        OutputColumn("score", "float32", "Relevance; comparable within an entity."),
    )
    keys = (OutputColumn(entity, "string"), OutputColumn(item, "string"))
    return OutputContract(keys, payload, entity, "score", order=(entity, item))
