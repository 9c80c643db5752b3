"""Entity rows of a join: from pandas, Arrow, a Parquet path or SQL, as a relation of DuckDB."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from duckdb import DuckDBPyConnection

from models.errors import TesseraError
from resources.feature_store.offline.sources import column_of, described
from resources.feature_store.offline.sql import MOMENT, Column, loaded, parquet

_GIVEN = "__asof_given"
_DEFAULT_MOMENT = "event_timestamp"


@dataclass(frozen=True)
class Entities:
    """Entity rows that can be read any number of times.

    Attributes:
        columns: in their order.
        moment: the one that says at what time features are asked for.
    """

    rows: pa.Table | str
    columns: Mapping[str, Column]
    moment: Column

    def load(self, connection: DuckDBPyConnection) -> None:
        """Load the entity rows into the connection as `ROWS`, in their order, with the column `MOMENT`."""
        connection.execute(loaded(_relation(self.rows, connection), self.moment))

    @property
    def others(self) -> list[str]:
        """All columns but the moment."""
        return [name for name in self.columns if name != self.moment.name]

    @property
    def carried(self) -> Mapping[str, str]:
        """Name -> expression over `ROWS` of each column of the result that is not a feature; moments are µs, UTC."""
        expressions = {name: f"e.{column.sql}" for name, column in self.columns.items()}
        return {**expressions, self.moment.name: f"make_timestamptz(e.{MOMENT})"}


def entities_of(given: object, keys: Mapping[str, Column], connection: DuckDBPyConnection) -> Entities:
    """Return entity rows that `given` stands for: pandas or Arrow; a Parquet path, as `Path` or as text; or a SELECT.

    `keys` are the columns by which views are joined, and what they are in a view's source.

    Raises:
        TesseraError: it is something else; no moment, or a missing column.
    """
    rows = _rows(given, keys)
    columns = described(connection, _relation(rows, connection))
    if not isinstance(rows, str):
        _check_distinct(rows.column_names, columns)
    for key in keys:
        column_of(columns, key, "the entity rows")
    return Entities(rows, columns, _moment(columns))


def _check_distinct(names: Sequence[str], columns: Mapping[str, Column]) -> None:
    """DuckDB gives another name to a column that is called like one before it."""
    for name in names:
        if name not in columns or names.count(name) > 1:
            raise TesseraError(
                f"The entity rows have a column {name!r} twice.",
                expected="each name once, whatever its case",
                todo="Rename or drop one of them.",
            )


def _rows(given: object, keys: Mapping[str, Column]) -> pa.Table | str:
    if isinstance(given, pa.Table):
        return given
    if isinstance(given, pd.DataFrame):
        return _from_pandas(given, keys)
    if isinstance(given, Path) or (isinstance(given, str) and _is_path(given)):
        return parquet([str(given)])
    if isinstance(given, str):
        return f"({given.strip().rstrip(';')})"
    raise TesseraError(
        f"Entity rows are given as {type(given).__name__}.",
        expected="a pandas DataFrame, a pyarrow Table, the path of a Parquet file, or a SELECT statement",
        todo="Give one row per entity and moment; ranges of time without entity rows are not supported.",
    )


def _is_path(text: str) -> bool:
    statement = re.match(r"\s*(select|with|from|values|table|\()", text, re.IGNORECASE)
    return text.endswith(".parquet") and (statement is None or Path(text).exists())


def _from_pandas(frame: pd.DataFrame, keys: Mapping[str, Column]) -> pa.Table:
    try:
        rows = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TesseraError(
            f"The entity rows have a column of mixed types: {error}.",
            expected="one type per column",
            todo="Cast the column before asking for features.",
        ) from error
    for at, field in enumerate(rows.schema):
        # pandas has no missing integer: a column of integers with a gap comes as floats.
        key = keys.get(field.name)
        if key and key.is_integer and pa.types.is_floating(field.type) and rows[at].null_count:
            rows = rows.set_column(at, field.name, _integers(rows[at]))
    return rows


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def _relation(rows: pa.Table | str, connection: DuckDBPyConnection) -> str:
    if isinstance(rows, str):
        return rows
    connection.register(_GIVEN, rows)
    return _GIVEN


def _moment(columns: Mapping[str, Column]) -> Column:
    """`event_timestamp`, or the only column that is a timestamp (as in Feast's stores)."""
    stamps = [column for column in columns.values() if column.type.startswith("TIMESTAMP")]
    if _DEFAULT_MOMENT not in columns and len(stamps) == 1:
        return stamps[0]
    found = column_of(columns, _DEFAULT_MOMENT, "the entity rows")
    if not found.is_moment:
        raise TesseraError(
            f"The entity rows have {found.type} in {_DEFAULT_MOMENT!r}.",
            expected="a timestamp; without a time zone it is taken as UTC",
            todo="Convert the column.",
        )
    return found
