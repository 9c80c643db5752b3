"""One value of a file as a contract's type, in SQL that never aborts on a bad value."""

import re
from collections.abc import Container, Mapping

import duckdb

from models.contracts import Column
from models.contracts.identifiers import EXACT_BELOW

_BLANK = r"[\s\p{Z}\p{Cf}]*"
_DAY = "[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}"
_TIME_OF_DAY = r"[T ]+[0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]+)?)?"
#: A day or a time without a zone.
_LOCAL = f"{_DAY}(?:{_TIME_OF_DAY})?"
#: A time with an offset as DuckDB reads it itself.
_ISO = f"{_DAY}{_TIME_OF_DAY}(?:Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])"
#: A time and the zone behind it: an offset, a name, or letters; Java writes an offset and a name in brackets.
_ZONED = (
    f"^{_BLANK}({_DAY}{_TIME_OF_DAY})"
    rf"(?:{_BLANK}([+-][0-9]{{2}}(?::?[0-9]{{2}}(?::?[0-9]{{2}})?)?|[A-Za-z][A-Za-z0-9_/+:\-]*)(?:\[[^\]]+\])?)?{_BLANK}$"
)
_NUMBER = r"[+-]?([0-9]{1,3}(\.[0-9]{3})+|[0-9]*)(,[0-9]+)?([eE][+-]?[0-9]+)?"
#: Blanks, and the signs that part groups of three in France and Switzerland.
_SPACING = r"[\s\p{Z}\p{Cf}'’]"
#: Seconds; no place on Earth is further from UTC.
_LARGEST_OFFSET = 15 * 3600
#: DuckDB's types that hold several values.
_NESTED = re.compile(r"\]$|^(STRUCT|MAP|UNION)\b")
#: Bits of DuckDB's floating-point types.
_FLOATS = {"DOUBLE": 64, "FLOAT": 32}


def zones_in(connection: duckdb.DuckDBPyConnection, relation: str, value: str) -> dict[str, str]:
    """Zones that follow the times of a text column -> SQL of the instant at the time `naive` in it.

    Offsets, `Z`, UTC, GMT and names of zones (`Europe/Berlin`, `Japan`) are known; letters that mean several zones
    (BST, CST, EST) are not, nor are UTC+2 and the like, by which people mean both directions.
    """
    zone = f"regexp_extract({value}, {text(_ZONED)}, 2)"
    plain = f"regexp_full_match({value}, {text(f'{_LOCAL}|{_ISO}')})"
    query = f"SELECT DISTINCT {zone} FROM {relation} WHERE NOT {plain}"  # noqa: S608 - of the profile's own expressions
    found = connection.execute(query).fetchall()
    if not found:
        return {}
    names = {str(row[0]) for row in connection.execute("SELECT name FROM pg_timezone_names()").fetchall()}
    instants = {str(row[0]): _instant(str(row[0]), names) for row in sorted(found)}
    return {zone: instant for zone, instant in instants.items() if instant}


def _instant(zone: str, names: Container[str]) -> str:
    """Return SQL of the instant at the time `naive` in a zone; empty if the zone is not known."""
    if not zone:  # only blanks around a time without one
        return "TRY_CAST(naive AS TIMESTAMPTZ)"
    if zone.upper() in ("Z", "UTC", "GMT", "UCT"):
        return "timezone('UTC', naive)"
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(6, "0")
        hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
        offset = 3600 * hours + 60 * minutes + seconds
        sign = "-" if zone[0] == "+" else "+"
        return f"timezone('UTC', naive {sign} INTERVAL {offset} SECOND)" if offset <= _LARGEST_OFFSET else ""
    is_name = zone in names and ("/" in zone or (zone.isalpha() and not zone.isupper()))
    return f"timezone({text(zone)}, naive)" if is_name else ""


def _time(value: str, zones: Mapping[str, str]) -> str:
    plain = (
        f"WHEN regexp_full_match({value}, {text(_LOCAL)}) THEN TRY_CAST(TRY_CAST({value} AS TIMESTAMP) AS TIMESTAMPTZ) "
        f"WHEN regexp_full_match({value}, {text(_ISO)}) THEN TRY_CAST({value} AS TIMESTAMPTZ)"
    )
    if not zones:
        return f"CASE {plain} END"
    naive = f"TRY_CAST(regexp_extract({value}, {text(_ZONED)}, 1) AS TIMESTAMP)"
    cases = " ".join(f"WHEN {text(zone)} THEN {instant.replace('naive', naive)}" for zone, instant in zones.items())
    return f"CASE {plain} ELSE CASE regexp_extract({value}, {text(_ZONED)}, 2) {cases} END END"


def _number(value: str, decimal: str) -> str:
    if decimal != ",":  # DuckDB takes 1_000 for a thousand, as programs write it and no export does
        return f"CASE WHEN NOT contains({value}, '_') THEN {value} END"
    bare = f"regexp_replace({value}, {text(_SPACING)}, '', 'g')"
    return f"CASE WHEN regexp_full_match({bare}, {text(_NUMBER)}) THEN replace(replace({bare}, '.', ''), ',', '.') END"


def typed(column: Column, expression: str, kind: str, decimal: str, zones: Mapping[str, str]) -> str:
    """Return SQL of the contract's type; NULL what cannot be read.

    Args:
        column: of the contract.
        expression: over the file's columns.
        kind: DuckDB's type of the expression.
        decimal: sign before the fraction of numbers that are texts.
        zones: see `zones_in`.
    """
    value = f"TRY({expression})"
    number = _number(value, decimal) if kind == "VARCHAR" else value
    match column.type:
        case "timestamp":
            if kind == "VARCHAR":
                return _time(value, zones)
            cast = f"TRY_CAST({value} AS TIMESTAMPTZ)"
            return f"CASE WHEN isfinite({cast}) THEN {cast} END"
        case "date":
            cast = f"TRY_CAST({value} AS DATE)"
            return f"CASE WHEN isfinite({cast}) THEN {cast} END"
        case "int32" | "int64":
            cast = f"TRY_CAST({number} AS {'INTEGER' if column.type == 'int32' else 'BIGINT'})"
            return f"CASE WHEN {cast} = TRY_CAST({number} AS DOUBLE) THEN {cast} END"
        case "float64":
            return f"TRY_CAST({number} AS DOUBLE)"
        case "bool":
            return f"TRY_CAST({value} AS BOOLEAN)"
        case "string":
            if _NESTED.search(kind):  # the text of a list or a struct would be a value that no row has
                return "CAST(NULL AS VARCHAR)"
            return _id(value, kind) if column.is_id else f"TRY_CAST({value} AS VARCHAR)"


def exact_below(kind: str) -> int | None:
    """Return the number from which on a type of DuckDB skips integers; None if it never does."""
    return EXACT_BELOW[_FLOATS[kind]] if kind in _FLOATS else None


def name(column: str) -> str:
    """Return a column's name as SQL."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def _id(value: str, kind: str) -> str:
    """As `models.contracts.identifiers.id_text`; blanks and placeholders are left to the contract."""
    if limit := exact_below(kind):
        whole = f"{value} = trunc({value}) AND abs({value}) < {limit}"
        return f"CASE WHEN {whole} THEN CAST(CAST({value} AS BIGINT) AS VARCHAR) END"
    if kind.startswith("DECIMAL"):
        return f"CASE WHEN {value} = trunc({value}) THEN CAST(CAST({value} AS DECIMAL(38, 0)) AS VARCHAR) END"
    return f"TRY_CAST({value} AS VARCHAR)"
