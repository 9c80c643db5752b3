"""Findings of a table's days, and the decisions of people on them, in the lake.

`anomalies_<table>` holds the findings of each assessed day, `accepted_<table>` those that a person let through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from models.watch.findings import Finding
from resources.lake.port import Lake

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_BY = "month"
_FINDINGS = pa.schema(
    [
        (_BY, pa.date32()),
        ("day", pa.date32()),
        ("content", pa.string()),
        ("severity", pa.string()),
        ("check", pa.string()),
        ("measure", pa.string()),
        ("sentence", pa.string()),
        ("since", pa.date32()),
        ("found", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
_ACCEPTED = pa.schema(
    [
        (_BY, pa.date32()),
        ("day", pa.date32()),
        ("measure", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("who", pa.string()),
        ("why", pa.string()),
    ]
)
#: Severity of the row that says of a day without findings that it was assessed.
_NONE = "none"


@dataclass(frozen=True)
class Acceptance:
    """Decision of a person to let a finding of a day through."""

    day: date
    measure: str
    at: datetime
    who: str
    why: str

    def sentence(self) -> str:
        """Return who accepted it, when, and why."""
        return f"accepted by {self.who} on {self.at:%Y-%m-%d %H:%M} UTC: {self.why}"


@dataclass(frozen=True)
class Assessed:
    """Stored findings of a day, and the content of the day and of its registers that they were made from."""

    findings: Sequence[Finding]
    content: str

    @property
    def blocks(self) -> bool:
        """True if one of the findings stops the run."""
        return any(finding.severity == "block" for finding in self.findings)


def anomalies_of(table: str) -> str:
    """Return the lake table with the findings of the days of `table`."""
    return f"anomalies_{table}"


def accepted_of(table: str) -> str:
    """Return the lake table with the decisions on the findings of `table`."""
    return f"accepted_{table}"


def assessed_days(lake: Lake, table: str, first: date, last: date) -> dict[date, Assessed]:
    """Return what was found on some days; days that were never assessed are not in it."""
    found: dict[date, list[Finding]] = defaultdict(list)
    content: dict[date, str] = {}
    for row in _rows(lake, anomalies_of(table), first, last):
        content[row["day"]] = row["content"]
        found[row["day"]] += [_finding(row)] if row["severity"] != _NONE else []
    return {day: Assessed(tuple(found[day]), content[day]) for day in content}


def store_assessed(lake: Lake, table: str, days: Mapping[date, Assessed]) -> None:
    """Put findings in place of those of the same days. The caller holds the lock of the table's profiles."""
    rows = [
        {_BY: day.replace(day=1), "day": day, "content": of.content, **row}
        for day, of in sorted(days.items())
        for row in [_row(finding) for finding in of.findings] or [{"severity": _NONE}]
    ]
    _replace(lake, anomalies_of(table), _FINDINGS, rows, lambda row: row["day"] not in days)


def acceptances(lake: Lake, table: str, first: date, last: date) -> dict[date, dict[str, Acceptance]]:
    """Return the decisions on some days: day -> measure -> the newest decision."""
    found: dict[date, dict[str, Acceptance]] = defaultdict(dict)
    for row in _rows(lake, accepted_of(table), first, last):
        found[row["day"]][row["measure"]] = Acceptance(**{name: row[name] for name in _ACCEPTED.names if name != _BY})
    return found


def accept(lake: Lake, table: str, day: date, measures: Collection[str], *, who: str, why: str) -> list[Acceptance]:
    """Record that a person lets findings of a day through; return the decisions."""
    at = datetime.now(UTC)
    made = [Acceptance(day, measure, at, who, why) for measure in sorted(measures)]
    rows = [{_BY: day.replace(day=1), **vars(one)} for one in made]
    with lake.lock(accepted_of(table)):
        _replace(
            lake,
            accepted_of(table),
            _ACCEPTED,
            rows,
            lambda row: row["day"] != day or row["measure"] not in measures,
        )
    return made


def _rows(lake: Lake, name: str, first: date, last: date) -> list[dict]:
    if not lake.exists(name):
        return []
    inside = (pc.field("day") >= first) & (pc.field("day") <= last)
    return lake.scan(name, first=first.replace(day=1), last=last).to_table(filter=inside).to_pylist()


def _replace(lake: Lake, name: str, schema: pa.Schema, rows: list[dict], stays) -> None:
    if not rows:
        return
    months = [row[_BY] for row in rows]
    first, last = min(months), max(months)
    held = lake.scan(name, first=first, last=last).to_table().to_pylist() if lake.exists(name) else []
    every = sorted([*filter(stays, held), *rows], key=lambda row: (row["day"], row.get("measure") or ""))
    lake.replace(name, pa.Table.from_pylist(every, schema=schema), by=_BY, first=first, last=last)


def _row(finding: Finding) -> dict:
    names = ("severity", "check", "measure", "sentence", "since", "found", "low", "high")
    return {name: getattr(finding, name) for name in names}


def _finding(row: dict) -> Finding:
    names = ("check", "measure", "severity", "sentence", "since", "found", "low", "high")
    return Finding(**{name: row[name] for name in names})
