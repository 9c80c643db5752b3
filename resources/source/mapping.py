"""From a file's columns to a contract's, as SQL that never aborts on a bad value."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import duckdb

from models.contracts import EARLIEST_DAY, UNREADABLE, Column, Contract
from models.errors import TesseraError, choose_from
from resources.source.spool import BEYOND, FILE, PROBLEM, TEXT
from resources.source.values import name, text, typed

_MISSING = re.compile(r'Referenced column "(.+?)" (?:was )?not found')

#: An expression that is one column's name, plain or quoted.
_PLAIN = re.compile(r'([A-Za-z_]\w*)|"([^"]+)"')


@dataclass(frozen=True)
class ColumnMapping:
    """Mapping of files to one contracted table.

    Attributes:
        contract: the table's contract.
        columns: contract column -> SQL expression over the files' columns; a column left out is the one of its name.
        delivered_on: SQL expression for the day of delivery; empty: the UTC day of the event.
        where: SQL condition on the rows that belong to the table; empty: all of them.
        decimal: sign before the fraction of numbers that are texts.
        earliest: the first day on which a row can have happened.
    """

    contract: Contract
    columns: Mapping[str, str]
    delivered_on: str = ""
    where: str = ""
    decimal: str = "."
    earliest: date = EARLIEST_DAY

    def __post_init__(self) -> None:
        """Raise TesseraError if a mapped column is not one of the contract's."""
        known = [column.name for column in self.contract.columns]
        for column in self.columns:
            if column not in known:
                raise TesseraError(
                    f"The mapping of {self.contract.table!r} names {column!r}, which is no column of that table.",
                    expected=choose_from(column, known),
                    todo="Correct `columns` of this table in stack.yaml.",
                )

    def bind(self, connection: duckdb.DuckDBPyConnection, relation: str, types: Mapping[str, str]) -> "Bound":
        """Return the mapping over the columns of `relation`.

        Args:
            connection: where the relation is.
            relation: a view or table with the columns `types` and the internal ones.
            types: DuckDB's types of the files' columns.

        Raises:
            TesseraError: an expression names a column that the files do not have, or is no SQL.
        """
        if absent := self._absent(types):
            return replace(self, columns={**self.columns, **absent}).bind(connection, relation, types)
        expressions = {column.name: self.source(column.name) for column in self.contract.columns}
        settings = {f"`columns.{column}`": expression for column, expression in expressions.items()}
        settings |= {
            f"`{setting}`": value for setting in ("delivered_on", "where") if (value := getattr(self, setting))
        }
        tried = ", ".join(f"TRY({expression})" for expression in settings.values())
        try:
            found = connection.execute(f"DESCRIBE SELECT {tried} FROM {relation}").fetchall()
        except duckdb.Error:
            for setting, expression in settings.items():
                self._bind(connection, relation, types, setting, expression)
            raise
        return Bound(self, dict(types), {c: str(row[1]) for c, row in zip(expressions, found, strict=False)})

    def names(self, column: str) -> bool:
        """Return True if an expression of the profile names the column as a word."""
        return any(_names(expression, column) for expression in (*self.columns.values(), self.delivered_on, self.where))

    def named_beside(self, column: str, others: Iterable[str]) -> list[str]:
        """Those of `others` that are named in an expression that names `column`, too."""
        beside = [expression for expression in self.columns.values() if _names(expression, column)]
        return [other for other in others if any(_names(expression, other) for expression in beside)]

    def original_names(self) -> dict[str, str]:
        """Contract column -> the file's column, where the mapping does nothing but rename it."""
        plain = {column: _PLAIN.fullmatch(expression.strip()) for column, expression in self.columns.items()}
        return {column: match[1] or match[2] for column, match in plain.items() if match}

    def source(self, column: str) -> str:
        """Return the expression of a contract column."""
        return self.columns.get(column) or name(column)

    def _absent(self, types: Mapping[str, str]) -> dict[str, str]:
        """Return NULL for each optional column that neither the mapping nor the files have."""
        known = {column.lower() for column in types}
        return {
            column.name: "NULL::VARCHAR"
            for column in self.contract.columns
            if column.optional and column.name not in self.columns and column.name not in known
        }

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
            columns = list(types)
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
                todo=_other_delimiter(columns) or "Correct it in stack.yaml.",
            ) from error


def _names(expression: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", expression, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Bound:
    """A mapping over the columns of files that have the same ones.

    Attributes:
        types: DuckDB's types of the files' columns.
        kinds: DuckDB's types of the expressions, by contract column.
        zones: contract column -> zones behind its times that are texts, see `resources.source.values.zones_in`.
        written_as_floats: contract column -> files in which its ids are texts such as `103.0`.
    """

    mapping: ColumnMapping
    types: Mapping[str, str]
    kinds: Mapping[str, str]
    zones: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    written_as_floats: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def select(self) -> str:
        """Return the contract's columns, each of its type; NULL what cannot be read."""
        return ", ".join(
            f"CASE WHEN {BEYOND} IS NULL THEN {self._typed(column)} END AS {name(column.name)}"
            for column in self.mapping.contract.columns
        )

    def day(self) -> str:
        """Return day of delivery (date); NULL where it cannot be read or is no day on which a row can have happened."""
        contract, expression = self.mapping.contract, self.mapping.delivered_on
        if expression:
            day = f"TRY_CAST(TRY({expression}) AS DATE)"
        elif contract.event is None:
            return "CAST(NULL AS DATE)"
        else:
            event = contract.column(contract.event)
            value = self._typed(event)
            day = value if event.type == "date" else f"CAST(timezone('UTC', {value}) AS DATE)"
        earliest = self.mapping.earliest
        return f"CASE WHEN {BEYOND} IS NULL AND {day} BETWEEN DATE '{earliest}' AND DATE '9999-12-30' THEN {day} END"

    def counted(self) -> str:
        """Return the condition on rows that belong to the table; what cannot be taken apart belongs to it."""
        return f"(({self.mapping.where}) OR {PROBLEM} IS NOT NULL)" if self.mapping.where else "true"

    def near(self, first: date, last: date) -> str:
        """Return a condition that every row delivered on `first`..`last` meets and that Parquet statistics can answer.

        It exists where the day comes from one plain column of dates or times; else it is `true`. One day more on
        either side makes it hold in every time zone.
        """
        mapping = self.mapping
        event = mapping.contract.event
        expression = mapping.delivered_on or (mapping.source(event) if event else "")
        column = expression.strip().strip('"')
        if not self.types.get(column, "").startswith(("TIMESTAMP", "DATE")):
            return "true"
        lower, upper = first - timedelta(days=1), last + timedelta(days=2)
        return f"{name(column)} >= '{lower}' AND {name(column)} < '{upper}'"

    def original(self) -> str:
        """Return the row as it is in the file, as one JSON object; numbers that JSON does not know are texts.

        Of a row that cannot be read: why (`UNREADABLE`), its text (`_line`), and the fields that could be separated.
        """
        fields = ", ".join(f"{text(column)}, {_json(column, kind)}" for column, kind in self.types.items())
        problem = f"{text(UNREADABLE)}, {PROBLEM}, '_line', {TEXT}"
        return (
            f"CAST(CASE WHEN {PROBLEM} IS NULL THEN json_object({fields}) "
            f"WHEN {BEYOND} IS NULL THEN json_object({problem}, {fields}) "
            f"WHEN {BEYOND} = '' THEN json_object({problem}) "
            f"ELSE json_object({problem}, {fields}, {text(BEYOND)}, {BEYOND}) END AS VARCHAR)"
        )

    def times(self) -> Iterator[tuple[str, str]]:
        """Each contract column of times that is made of texts, and its expression."""
        for column in self.mapping.contract.columns:
            if column.type == "timestamp" and self.kinds[column.name] == "VARCHAR":
                yield column.name, f"TRY({self.mapping.source(column.name)})"

    def ids(self) -> Iterator[tuple[Column, str, str]]:
        """Each contract column of ids, its expression, and DuckDB's type of it."""
        for column in self.mapping.contract.columns:
            if column.is_id:
                yield column, f"TRY({self.mapping.source(column.name)})", self.kinds[column.name]

    def _typed(self, column: Column) -> str:
        expression = self.mapping.source(column.name)
        if files := self.written_as_floats.get(column.name):
            listed = ", ".join(map(text, files))
            expression = (
                f"CASE WHEN {FILE} IN ({listed}) THEN regexp_replace({expression}, '\\.0+(\\s*)$', '\\1') "
                f"ELSE {expression} END"
            )
        return typed(column, expression, self.kinds[column.name], self.mapping.decimal, self.zones.get(column.name, {}))


def _json(column: str, kind: str) -> str:
    if kind in ("DOUBLE", "FLOAT"):
        value = name(column)
        return f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"
    return name(column)


def _other_delimiter(columns: Sequence[str]) -> str:
    """Advice where one column holds all the names, because another sign separates them."""
    for sign in (";", "\t", "|", ","):
        if len(columns) == 1 and sign in columns[0]:
            return f"Set `delimiter: {sign!r}` of the table in stack.yaml."
    return ""
