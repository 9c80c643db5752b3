"""Completeness log of a table: its completely ingested days with row counts, in a small lake table, one file per month.

The days of a table are no such record: on some days nothing is delivered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from resources.lake.port import Lake

_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("month", pa.date32()),
        ("rows_kept", pa.int64()),
        ("rows_quarantined", pa.int64()),
        ("rows_held", pa.int64()),
    ]
)


@dataclass(frozen=True)
class DayCounts:
    """Rows delivered on one complete day, by what became of them; `held` ones were in the lake already."""

    kept: int
    quarantined: int
    held: int = 0


def quarantine_of(table: str) -> str:
    """Return the lake table with the refused rows of `table`."""
    return f"quarantine_{table}"


def logged_table(table: str) -> str:
    """Return the lake table of a contracted table's rows that came as events."""
    return f"logged_{table}"


def record_of(table: str) -> str:
    """Return the lake table that records which days of `table` are complete."""
    return f"ingested_{table}"


def complete_days(lake: Lake, table: str) -> dict[date, DayCounts]:
    """Return the days of `table` that are completely ingested, also those without any row."""
    if not lake.exists(record_of(table)):
        return {}
    rows = lake.scan(record_of(table)).to_table()
    days, *counts = (rows[name].to_numpy().tolist() for name in ("day", "rows_kept", "rows_quarantined", "rows_held"))
    return dict(zip(days, map(DayCounts, *counts), strict=True))


def mark_complete(lake: Lake, table: str, days: Mapping[date, DayCounts]) -> None:
    """Add `days` to the record, in one commit. The caller holds the table's lock."""
    _write(lake, table, {**complete_days(lake, table), **days}, set(days))


def recount(lake: Lake, table: str) -> None:
    """Set the record's counts to those of the rows in the lake, in at most one commit.

    For rows that were removed since. Which days are complete does not change. The caller holds the table's lock.
    """
    complete = complete_days(lake, table)
    kept, quarantined = (lake.rows_by_day(name) for name in (table, quarantine_of(table)))
    now = {
        day: replace(counts, kept=kept.get(day, 0), quarantined=quarantined.get(day, 0))
        for day, counts in complete.items()
    }
    changed = {day for day in complete if now[day] != complete[day]}
    if changed:
        _write(lake, table, now, changed)


def uneven_days(lake: Lake, table: str) -> set[date]:
    """Complete days of which the lake does not hold the rows that were counted when they were written."""
    kept, quarantined = (lake.rows_by_day(name) for name in (table, quarantine_of(table)))
    counted = complete_days(lake, table).items()
    return {d for d, counts in counted if (kept.get(d, 0), quarantined.get(d, 0)) != (counts.kept, counts.quarantined)}


def mark_incomplete(lake: Lake, table: str, days: set[date]) -> None:
    """Remove `days` from the record, in at most one commit. The caller holds the table's lock."""
    complete = complete_days(lake, table)
    if not days.isdisjoint(complete):
        _write(lake, table, {d: counts for d, counts in complete.items() if d not in days}, days & complete.keys())


def _write(lake: Lake, table: str, complete: Mapping[date, DayCounts], changed: set[date]) -> None:
    first, last = min(changed).replace(day=1), max(changed).replace(day=1)
    rows = [
        {
            "day": d,
            "month": d.replace(day=1),
            "rows_kept": counts.kept,
            "rows_quarantined": counts.quarantined,
            "rows_held": counts.held,
        }
        for d, counts in sorted(complete.items())
        if first <= d.replace(day=1) <= last
    ]
    lake.replace(record_of(table), pa.Table.from_pylist(rows, schema=_SCHEMA), by="month", first=first, last=last)
