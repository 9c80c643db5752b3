"""A column mapping for an export of orders, proposed from its columns' names and tried on its rows."""

# ruff: noqa: S608 - the SQL is made of quoted names and of expressions that are made here.

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.contracts.exports import SYNONYMS, currency_of, guessed_columns, unmapped
from models.contracts.readings import (
    DateOrder,
    Reading,
    date_reading,
    fitting_formats,
    number_reading,
    plain_date_readings,
    quoted,
    truth_reading,
    year_is_sound,
)
from models.errors import TesseraError, choose_from
from resources.duckdb_connection import connect_shared
from resources.source.cancellations import cancellations

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Share of values that a reading must read: a few broken ones are what quarantine is for.
_ENOUGH = 0.95
_REPEAT = "_repeat"


@dataclass(frozen=True)
class Proposal:
    """A mapping of the contract `orders`: DuckDB expressions by contract column, each decision in words, and the
    condition on the rows that are sales (empty: all are).
    """

    columns: dict[str, str]
    notes: tuple[str, ...]
    where: str = ""


def propose(
    raw: pa.Table,
    *,
    given: Mapping[str, str] | None = None,
    currency: str | None = None,
    dates: DateOrder | None = None,
) -> Proposal:
    """Return mapping that reads `raw`, a sample of an export as it is in the file.

    Args:
        raw: rows with the file's own columns and types; those of a CSV file are texts.
        given: contract column -> the file's column, from a person: counts before any guess.
        currency: ISO 4217 code where no column and no sign shows it.
        dates: order of day and month where the dates of the sample fit both.

    Raises:
        TesseraError: a column that orders need cannot be inferred, or nothing reads its dates.
    """
    found = _found(raw, given or {})
    if not raw.num_rows:
        raise TesseraError(
            "The file has a header line and no row below it.",
            expected="at least one order, from which formats of dates and numbers are inferred",
            todo="Export the orders again, one line for each item.",
        )
    sample = _Sample(raw)
    date, date_words = _date(sample, found["ordered_at"], dates)
    price, quantity = (sample.number(found[name]) for name in ("unit_price", "quantity"))
    money, money_words = _currency(sample, found, currency)
    columns = {
        "order_line_id": _line_id(sample, found),
        **{name: quoted(found[name]) for name in ("order_id", "customer_id", "product_id")},
        "ordered_at": date,
        "quantity": quantity.expression,
        "unit_price": price.expression,
        "currency": money,
        "country": f"coalesce({sample.text(found['country'])}, 'unknown')" if "country" in found else "'unknown'",
        "is_return": sample.truth(found["is_return"])
        if "is_return" in found
        else f"try_cast({quantity.expression} AS DOUBLE) < 0",
    }
    notes = [f"{name}: {found[name]}" for name in ("order_id", "customer_id", "product_id")]
    notes += [f"ordered_at: {found['ordered_at']}, {date_words}"]
    notes += [f"{name}: {found[name]}, {way.words}" for name, way in (("quantity", quantity), ("unit_price", price))]
    notes += [money_words, f"country: {found.get('country', 'none in the file, so `unknown`')}"]
    notes += [] if "is_return" in found else ["is_return: lines with a negative quantity"]
    if columns["order_line_id"].startswith("md5("):
        notes.append("order_line_id: made of the line's values; exact copies are numbered, so that true repeats count")
    else:
        notes.append(f"order_line_id: {found['order_line_id']}")
    where, about_sales = cancellations(raw, found["order_id"])
    return Proposal(columns, (*notes, *about_sales), where)


def date_reading_of(raw: pa.Table, column: str) -> str:
    """Expression that reads the dates of one column.

    Raises:
        TesseraError: none does, or day and month may be in either order.
    """
    return _date(_Sample(raw), column, None)[0]


def _found(raw: pa.Table, given: Mapping[str, str]) -> dict[str, str]:
    for column, name in given.items():
        if column not in SYNONYMS:
            raise TesseraError(
                f"--column names {column!r}, which is no column of orders.",
                expected=choose_from(column, SYNONYMS),
                todo="Write --column CONTRACT=NAME, for example --column customer_id=Client.",
            )
        if name not in raw.column_names:
            raise TesseraError(
                f"The file has no column {name!r}.",
                expected=choose_from(name, raw.column_names),
                todo=f"Correct --column {column}={name}.",
            )
    rest = [name for name in raw.column_names if name not in given.values()]
    found = {**guessed_columns(rest), **given}
    if missing := unmapped(found):
        raise TesseraError(
            f"No column of the file is certainly the {missing[0]} of orders; its columns are "
            f"{', '.join(raw.column_names)}.",
            expected="one line for each item of an order, with a column for each of " + ", ".join(missing),
            todo="Name it: " + " ".join(f'--column {name}="..."' for name in missing),
        )
    return found


def _date(sample: "_Sample", column: str, wanted: DateOrder | None) -> tuple[str, str]:
    """Expression of the day and time, and what the dates were taken for."""
    if not sample.is_text(column):
        return quoted(column), f"a {sample.kind(column)}"
    enough = math.ceil(_ENOUGH * sample.values(column)) or 1
    iso, *numeric = plain_date_readings(column)
    dated = date_reading(column, fitting_formats(sample.texts(column)), enough, wanted)
    readings: list[Reading] = []
    for group in ([iso], dated, *([other] for other in numeric)):
        counts = {reading: sample.reads(column, reading.expression, sound_year=True) for reading in group}
        readings = [reading for reading in group if counts[reading] == max(counts.values()) >= enough]
        if len(readings) > 1:
            readings = _plausible(sample, readings)
        if len(readings) == 1:
            return readings[0].expression, readings[0].words
        if readings:
            break
    example = sample.example(column)
    if not readings:
        raise TesseraError(
            f"The dates in {column!r} cannot be read, for example {example!r}.",
            expected="ISO 8601, or digits as 31.12.2026 or 12/31/2026 or 31 Dec 2026, with or without a time",
            todo="Write the profile by hand: docs/your-own-orders.md shows `strptime`.",
        )
    raise TesseraError(
        f"The dates in {column!r} fit more than one order of day and month, for example {example!r}.",
        expected=" or ".join(reading.words.split(",")[0] for reading in readings),
        todo="Say which: --dates day-first, or --dates month-first.",
    )


def _plausible(sample: "_Sample", readings: list[Reading]) -> list[Reading]:
    """Return the readings that orders are likely to have.

    Rows ascend or descend in time, not all on one day of the month.
    """
    for likely in (sample.is_ordered, sample.has_many_days_of_month):
        readings = [reading for reading in readings if likely(reading.expression)] or readings
    return readings


def _currency(sample: "_Sample", found: Mapping[str, str], given: str | None) -> tuple[str, str]:
    if given:
        return f"'{given}'", f"currency: {given}, as given"
    if "currency" in found:
        most = sample.most(found["currency"])
        if most is None:
            return _assumed_currency()
        return (
            f"coalesce({sample.text(found['currency'])}, '{most}')",
            f"currency: {found['currency']}; {most} where it is empty",
        )
    sign = currency_of(sample.texts(found["unit_price"]))
    return (f"'{sign}'", f"currency: {sign}, by the sign at the prices") if sign else _assumed_currency()


def _assumed_currency() -> tuple[str, str]:
    return "'EUR'", "currency: none in the file, EUR assumed; say another with --currency"


def _line_id(sample: "_Sample", found: Mapping[str, str]) -> str:
    """Return the file's own id of lines if it is one; else a digest of the line, with the number of an exact copy."""
    if "order_line_id" in found and sample.is_unique(found["order_line_id"]):
        return quoted(found["order_line_id"])
    used = dict.fromkeys(
        found[name] for name in ("order_id", "product_id", "ordered_at", "quantity", "unit_price", "customer_id")
    )
    return f"md5(concat_ws('|', {', '.join(quoted(name) for name in used)}, {_REPEAT}))"


class _Sample:
    """Rows of a file, asked by expressions."""

    def __init__(self, raw: pa.Table) -> None:
        self._raw = raw
        self._connection = connect_shared(threads=1)
        self._connection.register("rows", raw)

    def kind(self, column: str) -> str:
        """Type of the column in the file."""
        return str(self._raw.schema.field(column).type)

    def is_text(self, column: str) -> bool:
        """Return True if the file holds texts, which have to be read."""
        kind = self._raw.schema.field(column).type
        return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)

    def texts(self, column: str) -> list[str]:
        """Values that are not blank, as texts."""
        values = self._raw[column].cast(pa.string()).drop_null().to_pylist()
        return [value for value in values if value.strip()]

    def values(self, column: str) -> int:
        """Return number of values that are not blank."""
        return len(self.texts(column))

    def example(self, column: str) -> str:
        """One value."""
        return next(iter(self.texts(column)), "")

    def most(self, column: str) -> str | None:
        """Return the value that is there most often."""
        counts: dict[str, int] = {}
        for value in self.texts(column):
            counts[value.strip()] = counts.get(value.strip(), 0) + 1
        return max(counts, key=lambda value: counts[value]) if counts else None

    def is_unique(self, column: str) -> bool:
        """Return True if every row has a value of its own."""
        return self._raw[column].null_count == 0 and pc.count_distinct(self._raw[column]).as_py() == len(self._raw)

    def text(self, column: str) -> str:
        """Expression of a column as texts, NULL where it is empty."""
        return f"nullif({quoted(column) if self.is_text(column) else f'CAST({quoted(column)} AS VARCHAR)'}, '')"

    def truth(self, column: str) -> str:
        """Expression of a column that says yes or no, in words or as it is."""
        return truth_reading(column).expression if self.is_text(column) else quoted(column)

    def number(self, column: str) -> Reading:
        """Return reading of a column of numbers."""
        return (
            number_reading(column, self.texts(column)) if self.is_text(column) else Reading(quoted(column), "a number")
        )

    def reads(self, column: str, expression: str, *, sound_year: bool = False) -> int:
        """Return number of values that an expression reads."""
        when = f"try_cast(try({expression}) AS TIMESTAMPTZ)"
        sound = f" AND {year_is_sound(when)}" if sound_year else ""
        row = self._connection.execute(
            f"SELECT count(*) FILTER ({when} IS NOT NULL{sound}) FROM rows WHERE trim({quoted(column)}::VARCHAR) <> ''"
        ).fetchone()
        return int(row[0]) if row else 0

    def has_many_days_of_month(self, expression: str) -> bool:
        """Return False if five days or more all are, say, the third of a month: then day and month are exchanged."""
        days = f"SELECT DISTINCT cast({expression} AS DATE) AS day FROM rows"
        found = self._connection.execute(f"SELECT count(day), count(DISTINCT day(day)) FROM ({days})").fetchone()
        return not found or found[0] < 5 or found[1] > 1

    def is_ordered(self, expression: str) -> bool:
        """Return True if the rows' times never fall, or never rise, but for one in a hundred."""
        steps = f"SELECT {expression} AS t, lag({expression}) OVER () AS before FROM rows"
        found = self._connection.execute(
            f"SELECT count(*) FILTER (t < before), count(*) FILTER (t > before), count(*) FROM ({steps})"
        ).fetchone()
        falls, rises, rows = found or (1, 1, 1)
        return min(falls, rises) <= rows / 100 and max(falls, rises) > 0
