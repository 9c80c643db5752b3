"""From a file's columns to a contract's, as SQL that never aborts on a bad value."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from models.contracts import Column, Contract
from models.errors import TesseraError, choose_from
from resources.source.scan import BEYOND, FILE, ROW, name, text

_MISSING = re.compile(r'Referenced column "(.+?)" (?:was )?not found')

#: An expression that is one column's name, plain or quoted.
_PLAIN = re.compile(r'([A-Za-z_]\w*)|"([^"]+)"')


@dataclass(frozen=True)
class ColumnMapping:
    """How one contracted table is made from files.

    Attributes:
        contract: the table's contract.
        columns: contract column -> SQL expression over the files' columns; a column left out is the one of its name.
        delivered_on: SQL expression for the day of delivery; empty: the UTC day of the event.
        where: SQL condition on the rows that belong to the table; empty: all of them.
    """

    contract: Contract
    columns: Mapping[str, str]
    delivered_on: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        """Raises TesseraError if a mapped column is not one of the contract's."""
        known = [column.name for column in self.contract.columns]
        for column in self.columns:
            if column not in known:
                raise TesseraError(
                    f"The mapping of {self.contract.table!r} names {column!r}, which is no column of that table.",
                    expected=choose_from(column, known),
                    todo="Correct `columns` of this table in stack.yaml.",
                )

    def select(self) -> str:
        """The contract's columns, each of its type; NULL what cannot be read."""
        return ", ".join(
            f"CASE WHEN {BEYOND} IS NULL THEN {_typed(column, self._source(column.name))} END AS {name(column.name)}"
            for column in self.contract.columns
        )

    def day(self) -> str:
        """The day of delivery (date); NULL where it cannot be read or is no day on which a row can have happened."""
        if self.delivered_on:
            day = f"TRY_CAST(TRY({self.delivered_on}) AS DATE)"
        elif self.contract.event is None:
            return "CAST(NULL AS DATE)"
        else:
            event = self.contract.column(self.contract.event)
            value = _typed(event, self._source(event.name))
            day = value if event.type == "date" else f"CAST(timezone('UTC', {value}) AS DATE)"
        earliest = self._earliest()
        return f"CASE WHEN {BEYOND} IS NULL AND {day} BETWEEN DATE '{earliest}' AND DATE '9999-12-30' THEN {day} END"

    def near(self, types: Mapping[str, str], first: date, last: date) -> str:
        """A condition that every row delivered on `first`..`last` meets and that Parquet statistics can answer.

        It exists where the day comes from one plain column of dates or times; else it is `true`. One day more on
        either side makes it hold in every time zone.
        """
        expression = self.delivered_on or (self._source(self.contract.event) if self.contract.event else "")
        column = expression.strip().strip('"')
        if not types.get(column, "").startswith(("TIMESTAMP", "DATE")):
            return "true"
        lower, upper = first - timedelta(days=1), last + timedelta(days=2)
        return f"{name(column)} >= '{lower}' AND {name(column)} < '{upper}'"

    def original(self, types: Mapping[str, str]) -> str:
        """The row as it stands in the file, as one JSON object; numbers that JSON does not know are texts."""
        fields = [column for column in types if column not in (FILE, ROW, BEYOND)]
        pairs = ", ".join(f"{text(column)}, {_json(column, types[column])}" for column in fields)
        whole, longer = f"json_object({pairs})", f"json_object({pairs}, {text(BEYOND)}, {BEYOND})"
        return f"CAST(CASE WHEN {BEYOND} IS NULL THEN {whole} ELSE {longer} END AS VARCHAR)"

    def original_names(self) -> dict[str, str]:
        """Contract column -> the file's column, where the mapping does nothing but rename it."""
        plain = {column: _PLAIN.fullmatch(expression.strip()) for column, expression in self.columns.items()}
        return {column: match[1] or match[2] for column, match in plain.items() if match}

    def check(self, connection: duckdb.DuckDBPyConnection, relation: str, types: Mapping[str, str]) -> None:
        """Binds every expression to the columns of `relation`.

        Raises:
            TesseraError: an expression names a column that the files do not have, or is no SQL.
        """
        for column in self.contract.columns:
            self._bind(connection, relation, types, f"`columns.{column.name}`", self._source(column.name))
        for setting in ("delivered_on", "where"):
            if getattr(self, setting):
                self._bind(connection, relation, types, f"`{setting}`", getattr(self, setting))

    def _source(self, column: str) -> str:
        return self.columns.get(column) or name(column)

    def _earliest(self) -> date:
        event = self.contract.event and self.contract.column(self.contract.event).not_before
        return event or date(1900, 1, 1)

    def _bind(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        types: Mapping[str, str],
        setting: str,
        expression: str,
    ) -> None:
        try:
            connection.execute(f"EXPLAIN SELECT TRY({expression}) FROM {relation}")
        except duckdb.Error as error:
            columns = [column for column in types if column not in (FILE, ROW, BEYOND)]
            missing = _MISSING.search(str(error))
            if missing is None:
                reason = str(error).split("\n")[0].rstrip(".")
                raise TesseraError(
                    f"{setting} of table {self.contract.table!r} is {expression!r}: {reason}.",
                    expected=f"a DuckDB expression over the columns {', '.join(columns)}",
                    todo="Correct it in stack.yaml.",
                ) from error
            raise TesseraError(
                f"{setting} of table {self.contract.table!r} is {expression!r}, but the files have no {missing[1]!r}.",
                expected=choose_from(missing[1], columns),
                todo="Correct it in stack.yaml.",
            ) from error


def _typed(column: Column, expression: str) -> str:
    value = f"TRY({expression})"
    match column.type:
        case "timestamp":
            cast = f"TRY_CAST({value} AS TIMESTAMPTZ)"
            return f"CASE WHEN isfinite({cast}) THEN {cast} END"
        case "date":
            cast = f"TRY_CAST({value} AS DATE)"
            return f"CASE WHEN isfinite({cast}) THEN {cast} END"
        case "int32" | "int64":
            cast = f"TRY_CAST({value} AS {'INTEGER' if column.type == 'int32' else 'BIGINT'})"
            return f"CASE WHEN {cast} = TRY_CAST({value} AS DOUBLE) THEN {cast} END"
        case "float64":
            return f"TRY_CAST({value} AS DOUBLE)"
        case "bool":
            return f"TRY_CAST({value} AS BOOLEAN)"
        case "string":
            return f"TRY_CAST({value} AS VARCHAR)"


def _json(column: str, kind: str) -> str:
    if kind in ("DOUBLE", "FLOAT"):
        value = name(column)
        return f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"
    return name(column)
