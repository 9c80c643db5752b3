"""The assessment of a day: every measure against its limits, then causes in place of symptoms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from models.watch.absence import Absence, silences
from models.watch.calendar import is_campaign, occasion
from models.watch.config import CheckName, Severity, WatchConfig
from models.watch.derived import distances, unseen
from models.watch.findings import Assessment, Finding, at_most, number, worst_first
from models.watch.limits import Estimates, History, Limits
from models.watch.measures import MEASURES, Effect, Measure
from models.watch.profile import DayProfile, Name, Value

#: Share of a category from which on its absence stops a day.
_VANISHED_SHARE = 0.25
#: Rows below which a day without any is no surprise: to warn, to stop the run.
_SOME_ROWS, _MANY_ROWS = 5, 8
#: Rows below which shares of these checks, which differ from day to day by themselves, say nothing.
_FEWEST_ROWS = 20
#: Share below which all are alike when they are compared by a factor, and least change that matters then.
_SMALL_SHARE, _SMALL_CHANGE = 0.005, 0.01
_VARYING: frozenset[CheckName] = frozenset({"categories", "hours", "values"})
#: Checks that a campaign moves.
_MOVED_BY_CAMPAIGNS: frozenset[CheckName] = frozenset({"volume", "values", "categories", "hours"})
_MOVED_BY_HOLIDAYS: frozenset[CheckName] = frozenset({"volume", "hours"})


def assess(
    table: str,
    today: DayProfile,
    before: Sequence[DayProfile],
    config: WatchConfig,
    measures: Mapping[str, Measure] = MEASURES,
) -> Assessment:
    """Compare a day with the days before it.

    Args:
        table: name of the table, or of the published set.
        today: the day.
        before: earlier days in any order; those of last year help with holidays.
        config: limits and modes.
        measures: by name; profiles may hold others, which are left out.
    """
    return Expectations(table, today.day, before, config, measures).assess(today)


class Expectations:
    """Expected numbers of a day, estimated once from the days before it, however often the day is assessed.

    Args:
        table: name of the table, or of the published set.
        day: the day.
        before: earlier days in any order; those of last year help with holidays.
        config: limits and modes.
        measures: by name; profiles may hold others, which are left out.
    """

    def __init__(
        self,
        table: str,
        day: date,
        before: Sequence[DayProfile],
        config: WatchConfig,
        measures: Mapping[str, Measure] = MEASURES,
    ) -> None:
        self._table, self._config, self._measures = table, config, measures
        self._history = History(day, before, measures, config.history_days)
        #: By the names of the distances between distributions: those that the day has.
        self._estimates: dict[tuple[Name, ...], tuple[Estimates, Absence]] = {}

    def assess(self, today: DayProfile) -> Assessment:
        """Compare the day, as it was measured, with the days before it."""
        history, config = self._history, self._config
        held = sum(one is not None for one in history.profiles)
        if held < config.min_days:
            return self._limited(_too_young(today, held, config), Assessment(today.day, history=held))
        if not today.rows:
            return self._limited(_no_rows(self._table, today, history), Assessment(today.day, (), 1, held))
        today, history = distances(today, history, self._measures)
        known = {*history.names, *(name for name in today.values if name.measure in self._measures)}
        names = sorted(known, key=lambda name: (name.measure != "rows", name))
        found: dict[Name, Finding] = {}
        for name in names:
            if (value := today.value(name)) and (finding := self._found(name, value, today, history)):
                found[name] = finding
        found.update(unseen(today, history, self._measures))
        found.update(silences(today, history, self._measures, self._config))
        return self._limited(list(found.values()), Assessment(today.day, (), len(names), held))

    def _found(self, name: Name, value: Value, today: DayProfile, history: History) -> Finding | None:
        """Return the finding about one number, None if it is usual."""
        estimates, absent = self._estimated(history)
        limits = estimates.of(name, value)
        if not limits:
            return None
        measure = self._measures[name.measure]
        gone = absent.beyond_chance(name, value, limits.expected)
        if severity := _vanished(limits) if gone else _severity(measure, value, limits):
            return _finding(name, measure, value, limits, severity, _since(history, name, limits, today.day))
        if absent.by_chance(name, value, limits.expected):
            return _none_by_chance(name, measure, value, limits, today.day)
        return None

    def _estimated(self, history: History) -> tuple[Estimates, Absence]:
        added = tuple(history.names[len(self._history.names) :])
        if added not in self._estimates:
            both = Estimates(history, self._measures, self._config), Absence(history, self._measures, self._config)
            self._estimates[added] = both
        return self._estimates[added]

    def _limited(self, findings: Sequence[Finding], assessment: Assessment) -> Assessment:
        return _limited(self._table, findings, self._config, assessment)


def _severity(measure: Measure, value: Value, limits: Limits) -> Severity | None:
    """Return the severity of a number: unusual enough, and changed enough to matter."""
    varies = measure.kind == "share" and measure.check in _VARYING
    few = measure.kind != "count" and value.n < (_FEWEST_ROWS if varies else measure.fewest)
    if abs(limits.distance) < 1 or few:
        return None
    up = limits.distance > 0
    change = _change(measure, value.value, limits.expected)
    warn, block = _least(measure, measure.effect, up=up)
    if change >= block and abs(limits.certain) >= 1:
        return "block"
    return "warn" if change >= warn or _is_times(measure, value.value, limits.expected) else None


def _weight(measure: Measure, value: Value, limits: Limits) -> float:
    """Return the change as a multiple of the least one that is worth a warning."""
    least, _ = _least(measure, measure.effect, up=value.value > limits.expected)
    return _change(measure, value.value, limits.expected) / least


def _is_times(measure: Measure, found: float, expected: float) -> bool:
    """Return True if a small share changed by a factor that matters."""
    low, high = sorted((max(found, _SMALL_SHARE), max(expected, _SMALL_SHARE)))
    return bool(measure.factor) and high >= measure.factor * low and high - low >= _SMALL_CHANGE


def _vanished(limits: Limits) -> Severity:
    return "block" if limits.expected >= _VANISHED_SHARE else "warn"


def _change(measure: Measure, found: float, expected: float) -> float:
    """Return the size of the change on the scale of the measure's effects."""
    if measure.kind in ("share", "distance"):
        return abs(found - expected)
    offset = 1.0 if measure.kind == "count" else 1e-9
    return abs(math.log((abs(found) + offset) / (abs(expected) + offset)))


def _least(measure: Measure, effect: Effect, *, up: bool) -> tuple[float, float]:
    both = (effect.warn_up, effect.block_up) if up else (effect.warn_down, effect.block_down)
    return both if measure.kind in ("share", "distance") else (math.log(both[0]), math.log(both[1]))


def _finding(name: Name, measure: Measure, value: Value, limits: Limits, severity: Severity, since: date) -> Finding:
    words = measure.words.format(column=name.column, category=name.category)
    low, high = (number(limit, measure.kind) for limit in (limits.low, limits.high))
    found = number(value.value, measure.kind)
    expected = f"an expected {low} to {high}" if low != high else f"the usual {number(limits.expected, measure.kind)}"
    return Finding(
        check=measure.check,
        measure=" ".join(part for part in name if part),
        severity=severity,
        sentence=f"{words}: {found} for {expected}",
        since=since,
        found=value.value,
        low=limits.low,
        high=limits.high,
        weight=_weight(measure, value, limits),
    )


def _none_by_chance(name: Name, measure: Measure, value: Value, limits: Limits, day: date) -> Finding:
    words = measure.words.format(column=name.column, category=name.category)
    says = f"{words}: none, where about {round(limits.expected * value.n)} rows are usual; chance can explain it"
    return Finding(measure.check, " ".join(part for part in name if part), "note", says, day, 0.0, limits.low)


def _since(history: History, name: Name, limits: Limits, day: date) -> date:
    """Return the first day of the unbroken row of days, up to this one, that lie beyond the same limits."""
    place, since = history.place[name], day
    for back in range(1, len(history.days) + 1):
        value = history.values[-back, place]
        if not (value < limits.low or value > limits.high):
            break
        since = day - timedelta(days=back)
    return since


def _too_young(today: DayProfile, held: int, config: WatchConfig) -> list[Finding]:
    says = f"cannot be assessed yet: {held} days before {today.day} are held, {config.min_days} are needed"
    return [Finding("history", "days", "note", says, today.day, held, config.min_days)]


def _no_rows(table: str, today: DayProfile, history: History) -> list[Finding]:
    """Return the finding of a day without any row, if such days usually have some."""
    known = [one for one, usable in zip(history.profiles, history.usable, strict=True) if one and usable]
    alike = [one.rows for one in known if one.day.weekday() == today.day.weekday()] or [one.rows for one in known]
    usual = sorted(alike)[len(alike) // 2] if alike else 0.0
    empty = sum(not rows for rows in alike) / max(len(alike), 1)
    if usual < _SOME_ROWS or empty > 0.25:
        return []
    severity: Severity = "block" if usual >= _MANY_ROWS and empty < 0.1 else "warn"
    refused = today.values.get(Name("quarantined"))
    why = (
        f"all {round(refused.n):,} delivered rows are in quarantine" if refused and refused.n else "did a file arrive?"
    )
    says = f"{table} has no rows on {today.day}, usually about {round(usual):,} on this weekday: {why}"
    since = today.day
    for one in reversed(history.profiles):
        if one is None or one.rows:
            break
        since = one.day
    return [Finding("volume", "rows", severity, says, since, 0.0, min(alike), max(alike))]


def _limited(table: str, findings: Sequence[Finding], config: WatchConfig, assessment: Assessment) -> Assessment:
    """Return the assessment with what the settings and the calendar leave of the findings."""
    day = assessment.day
    name = occasion(day, config)
    moved = _MOVED_BY_CAMPAIGNS if is_campaign(day, config) else _MOVED_BY_HOLIDAYS
    kept: list[Finding] = []
    for finding in findings:
        limited = at_most(finding, config.mode(table, finding.check))
        if limited and name and finding.check in moved:
            limited = replace(limited, severity="note", sentence=f"{finding.sentence} ({day} is {name})")
        kept += [limited] if limited else []
    return Assessment(day, tuple(worst_first(kept)), assessment.measured, assessment.history)
