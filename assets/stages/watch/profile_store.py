"""Profiles of days in the lake: `profile_<table>`, one row per number of a day; no ids of persons."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.watch.profile import DayProfile, Name, Value
from resources.lake.port import Lake

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_SCHEMA = pa.schema(
    [
        ("month", pa.date32()),
        ("day", pa.date32()),
        ("content", pa.string()),
        ("known", pa.string()),
        ("measure", pa.string()),
        ("column", pa.string()),
        ("category", pa.string()),
        ("value", pa.float64()),
        ("rows", pa.float64()),
    ]
)
_BY = "month"


@dataclass(frozen=True)
class StoredProfile:
    """A profile, and what it was computed from.

    Attributes:
        profile: of the day.
        content: digest of the day's rows.
        known: digest of the registers up to the day.
    """

    profile: DayProfile
    content: str
    known: str


def profile_of(table: str) -> str:
    """Return the lake table with the profiles of the days of `table`."""
    return f"profile_{table}"


def files_by_day(lake: Lake, tables: Sequence[str]) -> Mapping[date, list[str]]:
    """Return the names of the files of each day of some tables: a day that is written anew has others."""
    files: dict[date, list[str]] = defaultdict(list)
    for table in tables:
        for file in lake.refer(table).files if lake.exists(table) else ():
            files[file.day].append(file.address.rpartition("/")[2])
    return files


def digest(parts: Sequence[str]) -> str:
    """Return a short digest of some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def stored_profiles(lake: Lake, table: str, days: Collection[date]) -> dict[date, StoredProfile]:
    """Return the stored profiles of some days."""
    name = profile_of(table)
    if not days or not lake.exists(name):
        return {}
    rows = lake.scan(name, first=_month(min(days)), last=_month(max(days)))
    found = rows.to_table(columns=_SCHEMA.names, filter=pc.field("day").isin(sorted(days)))
    values: dict[date, dict[Name, Value]] = defaultdict(dict)
    made_of: dict[date, tuple[str, str]] = {}
    names = dict[tuple[str, str, str], Name]()
    for day, content, known, measure, column, category, value, n in zip(*map(_listed, found.columns[1:]), strict=True):
        key = measure, column, category
        values[day][names.get(key) or names.setdefault(key, Name(*key))] = Value(value, n)
        made_of[day] = content, known
    return {day: StoredProfile(DayProfile(day, values[day]), *made_of[day]) for day in values}


def _listed(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; of texts, which repeat, each is made once."""
    if not pa.types.is_string(column.type):
        return column.to_numpy().tolist()
    coded = column.combine_chunks().dictionary_encode()
    texts = coded.dictionary.to_pylist()
    return [texts[code] for code in coded.indices.to_numpy().tolist()]


def store_profiles(lake: Lake, table: str, profiles: Collection[StoredProfile]) -> None:
    """Put profiles in place of those of the same days, in one commit. The caller holds the lock of `profile_of`."""
    if not profiles:
        return
    new = {one.profile.day for one in profiles}
    first, last = _month(min(new)), _month(max(new))
    name = profile_of(table)
    months = [_table(profiles)]
    if lake.exists(name):
        others = lake.scan(name, first=first, last=last).to_table(filter=~pc.field("day").isin(sorted(new)))
        months.append(others.select(_SCHEMA.names).cast(_SCHEMA))
    rows = pa.concat_tables(months).sort_by([(name, "ascending") for name in ("day", "measure", "column", "category")])
    lake.replace(name, rows, by=_BY, first=first, last=last)


def _table(profiles: Collection[StoredProfile]) -> pa.Table:
    rows = [
        (_month(one.profile.day), one.profile.day, one.content, one.known, *name, value.value, value.n)
        for one in profiles
        for name, value in one.profile.values.items()
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(list(column), field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def watched_days(day: date, history_days: int) -> list[date]:
    """Return the days whose profiles an assessment of `day` sees: the history, and those around it a year before."""
    recent = [day - timedelta(days=back) for back in range(history_days + 1)]
    around = [day - timedelta(days=back) for back in range(364, 377)]
    return sorted({*recent, *around})


def _month(day: date) -> date:
    return day.replace(day=1)
