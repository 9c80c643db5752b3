"""Arrivals, a lake table: when each delivery unit was first seen, and the delivery day of its rows.

`arrivals_<table>` holds one row for each own day of each unit. A row of the source is delivered on its own day if that
day was still open when its unit was first seen, else on the night it was first seen: so completed days never change,
and running any night again gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from models.contracts import Contract
from resources.lake.port import Lake
from resources.source.port import Source
from resources.source.units import NewUnit, Slice, Unit

_SCHEMA = pa.schema(
    [
        ("seen_on", pa.date32()),
        ("number", pa.int32()),
        ("name", pa.string()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("modified_ns", pa.int64()),
        ("first_row", pa.int64()),
        ("last_row", pa.int64()),
        ("unit_rows", pa.int64()),
        ("day", pa.date32()),
        ("rows", pa.int64()),
        ("delivered_on", pa.date32()),
    ]
)
#: Attributes of a unit that are columns of the same name.
_OF_UNIT = ("name", "size", "sha256", "modified_ns", "first_row", "last_row")


@dataclass(frozen=True)
class Arrival:
    """Rows of one own day of a unit; `day` and `delivered_on` are None for a unit without any row that counts."""

    seen_on: date
    number: int
    unit: Unit
    day: date | None
    rows: int
    delivered_on: date | None


@dataclass(frozen=True)
class Arrivals:
    """Everything that ever arrived for a table, and the units that the source still holds."""

    rows: Sequence[Arrival]
    present: AbstractSet[Unit]
    new_units: int = 0
    _by_day: dict[date, list[Arrival]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the arrivals by their day of delivery."""
        for row in self.rows:
            if row.delivered_on is not None:
                self._by_day.setdefault(row.delivered_on, []).append(row)

    def slices(self, days: Iterable[date]) -> list[Slice]:
        """List the slices that the source must deliver for `days`: only units that still exist."""
        return [
            Slice(row.unit, row.day, row.delivered_on, row.number)
            for day in days
            for row in self._by_day.get(day, [])
            if row.unit in self.present and row.day is not None and row.delivered_on is not None
        ]

    def expected_rows(self, days: Iterable[date]) -> int:
        """Rows that `slices` of these days must give."""
        return sum(row.rows for day in days for row in self._by_day.get(day, []) if row.unit in self.present)

    def gone(self, day: date) -> list[str]:
        """Names of files that delivered rows on `day` and that the source no longer holds as they were."""
        return sorted({row.unit.name for row in self._by_day.get(day, []) if row.unit not in self.present})

    def first_day(self) -> date | None:
        """Return the earliest own day that any row ever had."""
        return min((row.day for row in self.rows if row.day is not None), default=None)

    def alone(self) -> set[date]:
        """Days to ingest one by one: they hold late rows, or rows of files that are gone."""
        late = {row.delivered_on for row in self.rows if row.delivered_on and row.delivered_on != row.day}
        return late | {row.delivered_on for row in self.rows if row.delivered_on and row.unit not in self.present}

    def counts(self, night: date, complete: AbstractSet[date]) -> dict[str, int]:
        """Rows of present units that are not delivered on a complete day: excluded, waiting, before the history."""
        units = {row.unit for row in self.rows if row.unit in self.present}
        counted = {row.unit: 0 for row in self.rows}
        waiting = before = 0
        for row in self.rows:
            counted[row.unit] += row.rows
            if row.unit in self.present and row.delivered_on is not None and row.delivered_on not in complete:
                waiting += row.rows if row.delivered_on > night else 0
                before += row.rows if row.delivered_on <= night else 0
        excluded = sum(unit.rows - counted[unit] for unit in units)
        return {"excluded": excluded, "waiting": waiting, "before": before}

    def are_swapped(self, new: Sequence[Arrival]) -> bool:
        """Return True if every unit that gave rows before `new` is gone, and `new` has rows."""
        fresh = {row.unit for row in new if row.rows}
        before = {row.unit for row in self.rows if row.rows} - fresh
        return bool(fresh and before) and before.isdisjoint(self.present)

    def vanished(self) -> list[str]:
        """Names of files whose rows the source no longer holds."""
        gone = {row.unit for row in self.rows if not row.unit.is_header} - self.present
        return sorted({unit.name for unit in gone})


def goes_on(new: Sequence[Arrival], newest: date) -> bool:
    """Return True if most rows of new units happened after `newest`.

    A file that is overwritten with the next days' rows.
    """
    rows = sum(row.rows for row in new)
    return 2 * sum(row.rows for row in new if row.day is not None and row.day > newest) > rows


def arrivals_of(table: str) -> str:
    """Return the lake table with the units of delivery of `table`."""
    return f"arrivals_{table}"


def recorded(lake: Lake, table: str) -> list[Arrival]:
    """Every recorded arrival of `table`."""
    if not lake.exists(arrivals_of(table)):
        return []
    return [_arrival(row) for row in lake.scan(arrivals_of(table)).to_table().to_pylist()]


@dataclass(frozen=True)
class Night:
    """The state of a table's days when a night looks for new units.

    Attributes:
        day: the night that is being run.
        open_from: the oldest day of the history that this night needs.
        complete_until: the newest complete day; None before the first ingestion.
    """

    day: date
    open_from: date
    complete_until: date | None

    @property
    def seen_on(self) -> date:
        """The night that late rows found now belong to: never one before the newest complete day."""
        if self.complete_until is None or self.day >= self.complete_until:
            return self.day
        return self.complete_until + timedelta(days=1)

    def delivered_on(self, day: date, today: date) -> date:
        """Return the day of delivery of rows of own day `day` that are first seen now."""
        if day > max(today, self.day):
            return self.seen_on  # can never come due: the contract refuses it there
        if self.complete_until is not None and self.open_from <= day <= self.complete_until:
            return self.seen_on
        return day


def look(contract: Contract, source: Source, lake: Lake, night: Night) -> tuple[Arrivals, list[Arrival]] | None:
    """All arrivals of a table with those that were first seen now, and the latter; None: the source has no units."""
    known = recorded(lake, contract.table)
    units = source.units(contract.table, sorted({row.unit for row in known}))
    if units is None:
        return None
    number = max((row.number + 1 for row in known), default=1)
    first = night.complete_until is None
    new = [row for unit in units.new for row in _arrivals(unit, night, 0 if first else number)]
    present = {*units.present, *(unit.unit for unit in units.new)}
    return Arrivals([*known, *new], present, len(units.new)), new


def record(lake: Lake, table: str, arrivals: Arrivals, new: Sequence[Arrival]) -> None:
    """Keep the new arrivals in the lake. The caller holds the table's lock."""
    if not new:
        return
    night = new[0].seen_on
    rows = [_row(row) for row in arrivals.rows if row.seen_on == night]
    order = ("number", "name", "first_row", "day")
    rows.sort(key=lambda row: tuple(row[name] or date.min if name == "day" else row[name] for name in order))
    lake.replace(arrivals_of(table), pa.Table.from_pylist(rows, schema=_SCHEMA), by="seen_on", first=night, last=night)


def _arrivals(unit: NewUnit, night: Night, number: int) -> list[Arrival]:
    today = datetime.now(UTC).date()
    days = sorted(unit.rows_by_day.items())
    if not days:
        return [Arrival(night.seen_on, number, unit.unit, None, 0, None)]
    return [Arrival(night.seen_on, number, unit.unit, day, rows, night.delivered_on(day, today)) for day, rows in days]


def _arrival(row: Mapping[str, Any]) -> Arrival:
    unit = Unit(**{name: row[name] for name in _OF_UNIT}, rows=row["unit_rows"])
    return Arrival(row["seen_on"], row["number"], unit, row["day"], row["rows"], row["delivered_on"])


def _row(arrival: Arrival) -> dict[str, Any]:
    return {
        "seen_on": arrival.seen_on,
        "number": arrival.number,
        **{name: getattr(arrival.unit, name) for name in _OF_UNIT},
        "unit_rows": arrival.unit.rows,
        "day": arrival.day,
        "rows": arrival.rows,
        "delivered_on": arrival.delivered_on,
    }
