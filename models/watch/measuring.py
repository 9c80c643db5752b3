"""Measures of the days of a table, many days at once: what a profile holds. Imports polars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from models.contracts import DELIVERED_ON, Contract
from models.watch.agreement import agreement
from models.watch.categories import category_shares, forms, missing_by_category
from models.watch.codes import Coded
from models.watch.columns import Roles, roles_of
from models.watch.gaps import gaps
from models.watch.numbering import quoting
from models.watch.profile import DayProfile, Name, Value
from models.watch.relations import relations
from models.watch.repetition import repetition
from models.watch.resolution import ends, pairs, resolution, sequence
from models.watch.words import words

#: Version of what is measured: profiles of another one are computed again.
MEASURED = "9"
#: Significant digits that are kept: the order in which threads add up rows changes the sixteenth.
_DIGITS = 9
#: Signs of texts that a faulty step changes: letters made small or large, markup, blanks taken away.
_SIGNS = {"capitals": r"[A-Z]", "blanks": r"\s", "punctuation": r"[^\pL\pN\s]"}
#: What is left of letters whose bytes were read in another encoding than they were written in.
_MISREAD = "[\u00c2-\u00c5\u00e2][\u0080-\u00bf]|\u00e2\u20ac|\ufffd"
Numbers = defaultdict[date, dict[Name, Value]]
#: Age from which on a row is old.
_OLD_DAYS = 31
_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class Refused:
    """Quarantined rows of a day.

    Attributes:
        delivered: rows that were delivered, refused ones included.
        rows: rows that were refused.
        columns: refused rows by the column that the reason is about, for every column; empty: unknown.
    """

    delivered: int
    rows: int
    columns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """Rows of some days of a table, and what they are compared with.

    Attributes:
        contract: of the table.
        rows: of the days, all columns.
        before: of the days before them, columns `Roles.short`.
        refused: of each day.
        registers: id column -> its ids, with the day of their delivery and columns of the same name as the table's.
        facts: id column -> rows of the table that it names, with the columns that labels are compared with.
    """

    contract: Contract
    rows: pl.DataFrame
    before: pl.DataFrame
    refused: Mapping[date, Refused] = field(default_factory=dict)
    registers: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    facts: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def roles(self) -> Roles:
        """Roles of the columns."""
        return roles_of(self.contract)


def profiles(loaded: Loaded, days: Sequence[date]) -> list[DayProfile]:
    """Return the profile of each of the days; one without rows has the number of rows alone."""
    numbers: Numbers = defaultdict(dict)
    if len(loaded.rows):
        _scalars(loaded, numbers)
        _hours(loaded, numbers)
        for measured in (missing_by_category, sequence, gaps):
            for name, found in measured(loaded.rows, loaded.roles):
                _add(numbers, found, name)
        persons = partial(persons_among, loaded)
        for name, column, category, found in category_shares(loaded.rows, loaded.roles, persons):
            _add(numbers, found, Name(name, column, category))
        for column, category, found in forms(loaded.rows, loaded.roles):
            _add(numbers, found, Name("shape", column, category))
        coded = Coded(loaded.rows, loaded.before, loaded.roles)
        for name, found in repetition(loaded.rows, loaded.before, coded, loaded.roles, loaded.registers):
            _add(numbers, found, name)
        for name, found in relations(loaded.rows, coded, loaded.roles, loaded.registers):
            _add(numbers, found, name)
        for name, found in quoting(loaded.rows, loaded.roles):
            _add(numbers, found, name)
        for column in loaded.roles.prose:
            for name, found in words(loaded.rows, loaded.before, column):
                _add(numbers, found, name)
        for name, found in agreement(loaded.rows, loaded.before, loaded.roles, loaded.facts):
            _add(numbers, found, name)
    return [DayProfile(day, _of_day(numbers[day], loaded.refused.get(day))) for day in days]


def columns_of_reasons(contract: Contract, reasons: Iterable[str]) -> set[str]:
    """Return the columns that the reasons of a quarantined row are about; a reason begins with its column."""
    names = {column.name for column in contract.columns}
    return {reason.split(" ", 1)[0] for reason in reasons} & names


def persons_among(loaded: Loaded, values: pl.Series) -> set[str]:
    """Return those values that are ids of persons in these rows or in the registers: no category may be one."""
    columns = [column.name for column in loaded.contract.columns if column.pii != "none" and column.type == "string"]
    held = [frame[name] for frame in (loaded.rows, loaded.before) for name in columns if name in frame.columns]
    held += [register[name] for name, register in loaded.registers.items() if register.schema[name] == pl.String]
    return {text for one in held for text in one.filter(one.is_in(values.implode())).unique().to_list()}


def _of_day(found: dict[Name, Value], refused: Refused | None) -> dict[Name, Value]:
    rows = found.get(Name("rows"), Value(0.0, 0.0))
    return {**found, Name("rows"): rows, **dict(_of_refused(refused))}


def _of_refused(refused: Refused | None) -> Iterable[tuple[Name, Value]]:
    if refused and refused.delivered:
        yield Name("quarantined"), Value(refused.rows / refused.delivered, refused.delivered)
        for column, rows in refused.columns.items():
            yield Name("refused", category=column), Value(rows / refused.delivered, refused.delivered)


def _add(numbers: Numbers, found: pl.DataFrame, name: Name) -> None:
    """Add a frame of `delivered_on`, `value`, `n`."""
    columns = [found[name].to_list() for name in (DELIVERED_ON, "value", "n")]
    for day, value, rows in zip(*columns, strict=True):
        if value is not None and value == value:
            numbers[day][name] = _value(value, rows)


def _value(value: float, rows: float) -> Value:
    return Value(float(f"{value:.{_DIGITS}g}"), float(rows))


def _scalars(loaded: Loaded, numbers: Numbers) -> None:
    expressions = dict(_expressions(loaded))
    made = [expression.alias(str(place)) for place, expression in enumerate(expressions.values())]
    found = loaded.rows.group_by(DELIVERED_ON).agg(pl.len().alias("n"), *made)
    for row in found.iter_rows():
        day, rows, *values = row
        numbers[day][Name("rows")] = Value(float(rows), float(rows))
        for name, value in zip(expressions, values, strict=True):
            if value is not None and value == value:
                numbers[day][name] = _value(value, rows)


def _expressions(loaded: Loaded) -> Iterable[tuple[Name, pl.Expr]]:
    roles = loaded.roles
    for name in roles.nullable:
        yield Name("null", name), pl.col(name).null_count() / pl.len()
        yield Name("filled", name), pl.col(name).count() / pl.len()
    for name in roles.numbers:
        yield from _of_number(name)
    for name in roles.floats:
        yield Name("whole", name), (pl.col(name) == pl.col(name).round()).mean()
        yield Name("same", name), pl.col(name).unique_counts().max() / pl.len()
    for name in roles.flags:
        yield Name("true", name), pl.col(name).cast(pl.Float64).mean()
    for name in roles.ids:
        yield Name("distinct", name), pl.col(name).n_unique()
        yield Name("per", name), pl.col(name).count() / pl.col(name).drop_nulls().n_unique()
    for name in (roles.key, *roles.ids):
        yield Name("length", name), pl.col(name).cast(pl.String).str.len_chars().mean()
    for name in roles.texts:
        yield Name("text", name), pl.col(name).str.len_chars().mean()
        yield from _of_text(name)
    for name in roles.dates:
        yield Name("age", name), (pl.col(DELIVERED_ON) - pl.col(name)).dt.total_days().mean()
    for name in (*roles.dates, *roles.texts):
        yield Name("alike", name), pl.col(name).unique_counts().max() / pl.len()
    yield from resolution(roles)
    yield from ends(roles)
    yield from pairs(roles)
    if roles.event:
        time = pl.col(roles.event).dt.time().cast(pl.Int64) / _HOUR_NS
        yield Name("clock", roles.event), time.mean()
    if roles.event_day:
        happened = pl.col(roles.event_day).cast(pl.Date)
        yield Name("late", roles.event_day), (happened < pl.col(DELIVERED_ON)).mean()
        yield Name("old", roles.event_day), (happened < pl.col(DELIVERED_ON).dt.offset_by(f"-{_OLD_DAYS}d")).mean()


def _of_text(name: str) -> Iterable[tuple[Name, pl.Expr]]:
    text, characters = pl.col(name), pl.col(name).str.len_chars().sum()
    other = text.str.replace_all(r"[\x00-\x7F]+", "").str.len_chars()
    yield Name("letters", name), other.sum() / characters
    yield Name("misread", name), text.str.contains(_MISREAD).mean()
    for kind, signs in _SIGNS.items():
        yield Name("signs", name, kind), text.str.count_matches(signs).sum() / characters


def _of_number(name: str) -> Iterable[tuple[Name, pl.Expr]]:
    value = pl.col(name)
    size = value.abs().cast(pl.Float64)
    logs = size.filter(size > 0).log()
    yield Name("typical", name), logs.mean().exp()
    yield Name("mean", name), size.mean()
    yield Name("spread", name), logs.std()
    yield Name("negative", name), (value < 0).mean()
    yield Name("zero", name), (value == 0).mean()


def _hours(loaded: Loaded, numbers: Numbers) -> None:
    if not loaded.roles.event:
        return
    hour: Any = pl.col(loaded.roles.event).dt.hour().alias("hour")
    counted = loaded.rows.group_by(DELIVERED_ON, hour).len().with_columns(n=pl.col("len").sum().over(DELIVERED_ON))
    for day, at, rows, of in counted.iter_rows():
        numbers[day][Name("hour", loaded.roles.event, str(at))] = _value(rows / of, of)
