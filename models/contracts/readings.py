"""DuckDB expressions that read an export's texts as a contract's type: dates, decimal commas, prices, yes and no."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: Order of day, month and year in a date that is written in digits.
DateOrder = Literal["day-first", "month-first", "year-first", "named month"]

_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H:%M:%S %z", " %H:%M:%S.%f")
_DATES: dict[DateOrder, tuple[str, ...]] = {
    "day-first": tuple(f"%d{sign}%m{sign}{year}" for sign in "./-" for year in ("%Y", "%y")),
    "month-first": tuple(f"%m{sign}%d{sign}{year}" for sign in "/-" for year in ("%Y", "%y")),
    "year-first": ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    "named month": tuple(
        form.format(month=month)
        for month in ("%b", "%B")
        for form in (
            "%d {month} %Y",
            "%d-{month}-%Y",
            "%d-{month}-%y",
            "{month} %d, %Y",
            "{month} %d %Y",
            "%d. {month} %Y",
        )
    ),
}
#: Every date format that is tried, with the order it stands for.
DATE_FORMATS: dict[str, DateOrder] = {
    date + time: order for order, dates in _DATES.items() for date in dates for time in _TIMES
}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Reading:
    """A way to read one column: a DuckDB expression and what it takes the texts for, in words."""

    expression: str
    words: str


def quoted(column: str) -> str:
    """Name of a file's column as DuckDB reads it: in quotes where it holds blanks or signs."""
    return column if _PLAIN_NAME.fullmatch(column) else '"' + column.replace('"', '""') + '"'


def date_expression(column: str, formats: Sequence[str]) -> str:
    """Expression that reads a text column by the first of `formats` that fits."""
    listed = ", ".join(f"'{form}'" for form in formats)
    return f"try_strptime({quoted(column)}, {listed if len(formats) == 1 else f'[{listed}]'})"


def year_is_sound(expression: str) -> str:
    """Condition that a date lies in the years 1900 to 2100: `%Y` also reads `26` as the year 26."""
    return f"year({expression}) BETWEEN 1900 AND 2100"


def number_reading(column: str, texts: Iterable[str]) -> Reading:
    """Return reading of a column of numbers or prices, by the signs in its values.

    A sign that stands before other than three digits, or last of two, separates the fraction: `9,5`, `1.234,50`. Where
    only `1,234` is found, commas stand between thousands.
    """
    name, values = quoted(column), [text.strip() for text in texts]
    comma = _decimal_comma(values)
    foreign = any(re.search(r"[^0-9.,+\-eE]", value) for value in values)
    number = f"regexp_replace({name}, '[^0-9.,+-]', '', 'g')" if foreign else name
    words = "a price with its currency" if foreign else "a number"
    if comma:
        dots = any("." in value for value in values)
        whole = f"replace({number}, '.', '')" if dots else number
        return Reading(f"replace({whole}, ',', '.')", f"{words} with a decimal comma")
    if any("," in value for value in values):
        return Reading(f"replace({number}, ',', '')", f"{words} with commas between thousands")
    return Reading(number, words)


def truth_reading(column: str) -> Reading:
    """Return reading of a column that says yes or no in words."""
    return Reading(f"lower(trim({quoted(column)})) IN ('yes', 'y', 'true', 't', '1', 'ja', 'oui', 'si')", "yes or no")


def plain_date_readings(column: str) -> list[Reading]:
    """Return readings of dates that need no format: ISO 8601, time since 1970, a spreadsheet's day number."""
    name = quoted(column)
    return [
        Reading(name, "ISO 8601"),
        Reading(f"to_timestamp(try_cast({name} AS BIGINT))", "seconds since 1970"),
        Reading(f"to_timestamp(try_cast({name} AS BIGINT) / 1000)", "milliseconds since 1970"),
        Reading(
            f"TIMESTAMP '1899-12-30' + to_seconds(try_cast({name} AS DOUBLE) * 86400)", "a spreadsheet's day number"
        ),
    ]


def _decimal_comma(values: Iterable[str]) -> bool:
    """Return True if commas stand before fractions."""
    for value in values:
        number = re.sub(r"[^0-9.,]", "", value).strip(".,")
        last = max(number.rfind(","), number.rfind("."))
        if last < 0 or number.count(number[last]) > 1:
            continue
        both = "," in number and "." in number
        if both or len(number) - last - 1 != 3:
            return number[last] == ","
    return False


def fitting_formats(texts: Iterable[str]) -> dict[str, int]:
    """Return number of texts that each date format fits, day and month being in range.

    Formats that fit none are left out.
    """
    counts = Counter(text.strip() for text in texts)
    shapes = {_shape(text) for text in counts}
    found: dict[str, int] = {}
    for form, pattern in _PATTERNS.items():
        if any(pattern.fullmatch(shape) for shape in shapes):
            fits = sum(count for text, count in counts.items() if _in_range(pattern.fullmatch(text)))
            if fits:
                found[form] = fits
    return found


def _shape(text: str) -> str:
    """Return the text with `1` for each digit."""
    return re.sub(r"[0-9]", "1", text)


def _in_range(match: re.Match[str] | None) -> bool:
    if match is None:
        return False
    parts = match.groupdict()
    return 1 <= int(parts["d"]) <= 31 and 1 <= int(parts.get("m") or 1) <= 12


def _pattern(form: str) -> re.Pattern[str]:
    pattern = "".join(_DIRECTIVES.get(part, re.escape(part)) for part in re.split(r"(%.)", form))
    # Without signs between them, day and month need both their digits.
    return re.compile(pattern.replace("{1,2}", "{2}") if "%Y%m%d" in form else pattern)


_DIRECTIVES = {
    **{"%d": "(?P<d>[0-9]{1,2})", "%m": "(?P<m>[0-9]{1,2})", "%Y": "[0-9]{4}", "%y": "[0-9]{2}", "%H": "[0-9]{1,2}"},
    **{"%M": "[0-9]{2}", "%S": "[0-9]{2}", "%I": "[0-9]{1,2}", "%p": "[AaPp][Mm]", "%z": "[+-][0-9]{2}:?[0-9]{2}"},
    **{"%f": "[0-9]{1,9}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}"},
}
_PATTERNS = {form: _pattern(form) for form in DATE_FORMATS}


def date_reading(column: str, read: Mapping[str, int], total: int, wanted: DateOrder | None = None) -> list[Reading]:
    """Return readings by formats, one for each order of day and month that reads every value; none if no order does.

    Args:
        column: the file's column.
        read: rows that each format of `DATE_FORMATS` reads.
        total: rows with a value.
        wanted: the only order that counts; None: any.
    """
    return [
        Reading(date_expression(column, formats), f"{order}, {' or '.join(formats)}")
        for order, formats in formats_by_order(read, total).items()
        if wanted in (None, order)
    ]


def formats_by_order(read: Mapping[str, int], total: int) -> dict[DateOrder, list[str]]:
    """Return the formats that together read every value, for each order of day and month by which that is possible.

    Args:
        read: values that each format of `DATE_FORMATS` reads.
        total: values.
    """
    found: dict[DateOrder, list[str]] = {}
    for order in _DATES:
        formats = [form for form, at in DATE_FORMATS.items() if at == order and read.get(form)]
        if needed := _needed(formats, read, total):
            found[order] = needed
    return found


def _needed(formats: list[str], read: Mapping[str, int], total: int) -> list[str]:
    """Return the fewest formats that together read all values.

    No value fits two formats of one order, but `%b` and `%B`.
    """
    chosen: list[str] = []
    rest = total
    for form in sorted(formats, key=lambda form: -read[form]):
        if rest > 0 and form.replace("%B", "%b") not in {other.replace("%B", "%b") for other in chosen}:
            chosen.append(form)
            rest -= read[form]
    return chosen if rest <= 0 else []
